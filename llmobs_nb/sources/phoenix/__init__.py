"""Phoenix: OpenInference spans as JSON, JSON lines, Parquet or DataFrames written as JSON, and annotation exports."""
