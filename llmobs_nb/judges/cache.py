"""Judgements on disk, so that nothing is paid for twice: one small file each, named by the hash of everything that matters."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from .replies import Judgement


def default_folder() -> str:
    """``$LLMOBS_CACHE``, else the user's own cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("LLMOBS_CACHE") or os.path.join(base, "llmobs_nb", "judgements")


class Cache:
    """Scores by key. Only scores are kept: what failed or could not be read is asked for again. The folder is the user's alone."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def get(self, key: str) -> Judgement | None:
        """What is kept under a key; None where nothing is, or what is there cannot be read."""
        try:
            told = json.loads(self._path(key).read_text(encoding="utf-8"))
            found = Judgement(**told)
        except (OSError, ValueError, TypeError):
            return None
        return replace(found, cached=True) if found.word == "scored" and found.value is not None else None

    def put(self, key: str, judgement: Judgement) -> None:
        """Keep a score; a whole file or none, also when two runs write at once."""
        if judgement.word != "scored":
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, beside = tempfile.mkstemp(dir=path.parent)  # readable by the user alone
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(asdict(judgement), out)
        os.replace(beside, path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def key_of(*parts: object) -> str:
    """The key of a judgement: the hash of everything that it depends on."""
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode("utf-8", "replace")).hexdigest()
