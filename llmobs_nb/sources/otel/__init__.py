"""OpenTelemetry: OTLP-JSON and console-exporter dumps under the GenAI conventions, OpenInference and OpenLLMetry."""
