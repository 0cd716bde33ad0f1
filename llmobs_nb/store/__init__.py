"""The store: canonical tables as Delta tables in one folder, one writer at a time, any number of readers."""
