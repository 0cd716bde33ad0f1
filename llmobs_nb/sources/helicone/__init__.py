"""Helicone: requests as its API and its export tool give them."""
