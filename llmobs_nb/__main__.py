"""``python -m llmobs_nb`` is ``llmobs``."""

from .cli import entry

entry()
