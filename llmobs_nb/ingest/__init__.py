"""From inputs to the store: read, derive, price, stage, commit."""
