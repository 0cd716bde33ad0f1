"""The engine: one ``query`` over a pinned version of the store."""
