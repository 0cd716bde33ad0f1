"""The hallucination signals beside a review: both windows on the same weekdays, small samples, plain rows and their claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ... import units
from ...stats.estimate import Estimate
from ..result import claim, plain
from .read import read_samples
from .result import HOW, Prevalence
from .run import weighed

SAMPLE, SEED = 400, 0
FIRST = ("band.high", "band.medium")
NO_LABELS = "signs in the texts, not labels: nobody validated them on this product, so they are not a rate of hallucinations"
_SIDES = {"this": "in the week", "last": "in the week before", "change": "change"}


def beside(obs, plan) -> dict:
    """The signals of a random sample of the two windows that a review compares, on the days that it compares.

    ``drawn`` and ``of`` count traces by window, ``rows`` hold one signal each (share of the answers to which it applies, this
    and last, change, verdict corrected for the number of rows), ``reading`` the answers of highest risk. {} where no answer
    that was drawn has its text in the store.
    """
    if not obs.query("SELECT 1 AS x FROM payloads WHERE output IS NOT NULL LIMIT 1").num_rows:
        return {}
    days = {window: [plan.days[d] for d in plan.chosen(which)] for window, which in _windows(plan)}
    this, last = read_samples(obs, list(days), SAMPLE, SEED, days=days)
    if not any(e.answer for e in this.texts.values()):
        return {}
    result = weighed(this, last)
    order = sorted(result.prevalences, key=lambda p: FIRST.index(p.name) if p.name in FIRST else len(FIRST))
    counts = {"this": this, "last": last}
    out = {"drawn": {k: len(s.rows) for k, s in counts.items()}, "of": {k: s.traces for k, s in counts.items()}}
    return out | {"rows": [_row(p) for p in order], "reading": list(result.reading_list), "note": NO_LABELS}


def claims(told: Mapping) -> list[dict]:
    """A claim for every number of :func:`beside`; [] for {}."""
    out = []
    for name, text in (("drawn", "traces looked at for signals, drawn at random"), ("of", "traces that could be drawn")):
        for side, n in told.get(name, {}).items():
            how = "counted; each trace with the same probability"
            out.append(claim(f"signals.{name}.{side}", f"{text}, {_SIDES[side]}", Estimate(n, n, n, n), unit="count", how=how))
    return out + [one for row in told.get("rows", ()) for one in _row_claims(row)]


def _windows(plan) -> list[tuple]:
    return [(plan.week, plan.this), (plan.against, plan.last)]


def _row(p: Prevalence) -> dict:
    sides = {"this": p.this, "last": p.before, "change": p.change}
    told = {"verdict": p.verdict, "q": p.q, "how": f"{p.how}; {HOW}", "traces": list(p.traces)}
    return plain({"name": p.name, "label": p.label} | sides | told)


def _row_claims(row: Mapping) -> Sequence[dict]:
    out = []
    for side, when in _SIDES.items():
        e = Estimate(*(row[side][k] for k in ("value", "ci_low", "ci_high", "n")), reason=row[side].get("reason"))
        show = units.points if side == "change" else units.rate
        told = show(e.value, low=e.ci_low, high=e.ci_high) if e.ok else f"refused ({e.reason})"
        text = f"{row['label']}, {when}: {told} ({NO_LABELS})"
        traces = row["traces"] if side == "this" else ()
        out.append(claim(f"signals.{row['name']}.{side}", text, e, unit="rate", how=row["how"], traces=traces))
    return out
