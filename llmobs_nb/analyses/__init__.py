"""Room 5: one question each, one Result each. Nothing here draws."""
