"""How a notebook hands its result to whoever runs it: two JSON files in a folder that only a run names."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ..analyses.result import plain
from ..text import mask_secrets

FOLDER = "LLMOBS_REPORT_DIR"
RESULT, CLAIMS = "result.json", "claims.json"


def deliver(result, claims: Sequence[dict] = (), *, store=None) -> None:
    """Write ``result.json`` and ``claims.json`` of a Result for the report being run; in an interactive session do nothing.

    ``claims`` are those of what a page counts itself, to stand beside the result's own; ``store`` is the handle whose card the
    page shows, for the claims of its numbers.
    Strict JSON: no NaN, times in ISO 8601; what looks like a credential is masked.
    """
    folder = os.environ.get(FOLDER)
    if folder:
        from ..views.store_claims import store_claims

        card = store_claims(store.status()) if store is not None else ()
        write(Path(folder) / RESULT, result.json())
        write(Path(folder) / CLAIMS, [*result.claims(), *claims, *card])


def dumps(document: object) -> str:
    """``document`` as strict JSON text."""
    return json.dumps(_masked(plain(document)), indent=1, allow_nan=False)


def write(path: Path, document: object) -> Path:
    """Write ``document`` as strict JSON: whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(dumps(document) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def _masked(value: object) -> object:
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {_masked(k): _masked(v) for k, v in value.items()}
    return [_masked(v) for v in value] if isinstance(value, list) else value
