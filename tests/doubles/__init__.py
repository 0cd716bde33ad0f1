"""Loopback doubles of the vendors' APIs, written from what is known of the servers."""
