"""What a judge will cost before it is run: characters of the texts, four to a token, at the dated list price of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...judges.rubrics import rubric
from ...prices import PriceBook, Unpriced

CHARS_PER_TOKEN = 4
REPLY_TOKENS = 120


@dataclass(frozen=True)
class Priced:
    """The price of judging: USD per token in and out, calls a trace, characters a call beside the texts; or the ``reason`` why not.

    ``usd`` is the expected cost of a whole plan, null where it is not known.
    """

    model: str | None = None
    price_version: str | None = None
    input: float | None = None
    output: float | None = None
    per_call: float = 0.0
    calls: int = 0
    fixed_chars: int = 0
    usd: float | None = None
    reason: str | None = "no judge is named"

    def per_trace(self, sizes: Mapping) -> float | None:
        """Expected dollars of one trace of a cell, from the mean characters of its texts; None without a price."""
        if self.input is None:
            return None
        question, answer, retrieved, prompt = (
            float(sizes[f"{name}_chars"] or 0) for name in ("question", "answer", "retrieved", "prompt")
        )
        chars = question + answer + (retrieved or max(prompt - question, 0.0))
        tokens = (self.calls * chars + self.fixed_chars) / CHARS_PER_TOKEN
        return tokens * self.input + self.calls * (REPLY_TOKENS * (self.output or 0.0) + self.per_call)

    def usd_of(self, tokens_in: int, tokens_out: int, calls: int) -> float | None:
        """Dollars of calls that were made; None without a price."""
        return None if self.input is None else tokens_in * self.input + tokens_out * (self.output or 0.0) + calls * self.per_call


def priced(judge: Any, rubrics: Sequence[str], repeats: int, at: datetime) -> Priced:
    """The price of a judge (``provider/model``, or an object with ``provider`` and ``model``) on a day; an unknown one has a reason."""
    if judge is None:
        return Priced()
    provider, model = _names(judge)
    if model is None:
        return Priced(reason="the judge is a callable that names no model: its price is not known")
    rows = PriceBook().unit_prices(provider, model, at.date())
    if isinstance(rows, Unpriced):
        return Priced(model=model, reason=f"the price is not known: {rows.reason}")
    row, texts = rows[0], [rubric(name).chars for name in rubrics]
    return Priced(
        model, row.provenance, row.input, row.output, row.request, repeats * len(texts), repeats * sum(texts), reason=None
    )


def _names(judge: Any) -> tuple[str | None, str | None]:
    if isinstance(judge, str):
        provider, mark, model = judge.partition("/")
        return (provider, model) if mark else (None, judge)
    return getattr(judge, "provider", None), getattr(judge, "model", None)
