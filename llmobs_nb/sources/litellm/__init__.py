"""LiteLLM: StandardLoggingPayload objects and SpendLogs rows."""
