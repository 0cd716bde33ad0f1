"""MLflow: traces as JSON (MLflow 3 and 2), with their spans and assessments."""
