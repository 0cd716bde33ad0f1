"""The prompt of one judgement: the rubric, then the texts between delimiters that the texts cannot know."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..text import clean
from .rubrics import Rubric

LONGEST = 24_000


@dataclass(frozen=True)
class Prompt:
    """What a judge gets: ``system`` (the rubric and the rules) and ``user`` (the texts). ``mark`` must come back in the reply.

    ``str(prompt)`` is both, for a judge that takes one text.
    """

    rubric: str
    version: str
    system: str
    user: str
    mark: str

    def __str__(self) -> str:
        return f"{self.system}\n\n{self.user}"


def prompt(rubric: Rubric, parts: Mapping[str, str], *, repeat: int = 0) -> Prompt:
    """A prompt over named texts (``QUESTION``, ``CONTEXT``, ``ANSWER``); empty ones are left out, long ones are cut in the middle.

    The mark is a hash of everything in the prompt, so that no text can hold it, and the same texts give the same prompt.
    """
    texts = {name: _cut(clean(text)) for name, text in parts.items() if text}
    seed = "\x1f".join([rubric.version, str(repeat), *(f"{k}\x1e{v}" for k, v in texts.items())])
    mark = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:16]
    blocks = [f"<<<{name} {mark}>>>\n{text}\n<<<END {mark}>>>" for name, text in texts.items()]
    return Prompt(rubric.name, rubric.version, rubric.rules(mark), "\n\n".join(blocks), mark)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - LONGEST:,} characters left out …]\n{text[-half:]}"
