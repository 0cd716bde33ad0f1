"""LangSmith: runs of both API generations, tracer payloads, bulk-export Parquet, feedback rows."""
