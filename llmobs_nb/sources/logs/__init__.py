"""Call logs: one JSON line per LLM call, in the three record schemas of the seeds, structlog and Java twins included."""
