"""How a pull talks to a vendor's API: requests with patience, limits of rate, slices with checkpoints, workers."""
