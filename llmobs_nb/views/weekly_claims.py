"""The claims of what the weekly pages count and add up themselves, to stand beside those of the result in ``claims.json``."""

from __future__ import annotations

from collections.abc import Iterable

from ..analyses.result import Estimate, claim
from ..stats.estimate import finite
from ..text import terminal
from . import stakeholder_sentences as sentences
from . import weekly_beside as beside
from . import weekly_words as words
from .theme import is_number

_COUNTED = "counted over the rows of the KPI table"
_ADDED = "sum over the days of both weeks, or over the features"


def page_claims(result) -> list[dict]:
    """Counts of KPIs by family and verdict, sums on the charts, what the findings count, and the rows beside the KPIs."""
    made = (_families, _slices, _reasons, _scores, _sums, _findings, beside.claims, sentences.claims)
    return [one for part in made for one in part(result)]


def counted(id: str, text: str, value: float, unit: str = "count", how: str = _COUNTED, n: int | None = None) -> dict:
    """A claim of a number that is exact."""
    return claim(id, text, Estimate(value, value, value, int(value if n is None else n)), unit=unit, how=how)


def _families(result) -> Iterable[dict]:
    for slice in words.slices(result):
        rows = words.kpi_rows(result, slice=slice)
        for name, part in words.by_family(rows).items():
            text = f"{words.family_title(name)}, {terminal(slice, 80)}"
            yield counted(words.family_claim(name, slice, "all"), f"KPIs of {text}", len(part))
            for verdict, n in words.counts(part).items():
                yield counted(words.family_claim(name, slice, verdict), f"KPIs of {text}: {verdict}", n, n=len(part))
        for verdict, n in words.counts(rows).items():
            yield counted(f"page.{slice}.{verdict}", f"KPIs of {terminal(slice, 80)}: {verdict}", n, n=len(rows))
        yield counted(f"page.{slice}.all", f"KPIs of {terminal(slice, 80)}", len(rows))


def _slices(result) -> Iterable[dict]:
    others = [s for s in words.slices(result) if s != "all"]
    rows = [r for s in others for r in words.kpi_rows(result, slice=s)]
    moved = words.moved(result.kpis.to_dict("records"))
    yield counted("page.slices.all", "slices", len(others))
    yield counted("page.slices.rows", "rows of slices", len(rows))
    yield counted("page.slices.left_out", "rows of slices that are not shown", max(len(rows) - words.MAX_SLICE_ROWS, 0))
    yield counted("page.moved.left_out", "moved KPIs that are not shown", max(len(moved) - words.MAX_MOVED, 0))
    yield counted("page.traces.left_out", "traces that are not shown", max(len(result.reading_list) - words.MAX_TRACES, 0))
    for verdict, n in words.counts(rows).items():
        yield counted(f"page.slices.{verdict}", f"rows of slices: {verdict}", n, n=len(rows))


def _reasons(result) -> Iterable[dict]:
    """Why a verdict cannot be told, in the words of the analysis, with the q that it speaks of."""
    for row in result.kpis.to_dict("records"):
        if words.why(row):
            q = (
                Estimate(finite(row["q"]), None, None, len(result.kpis))
                if is_number(row["q"])
                else Estimate.refused("not compared")
            )
            how = "q: adjusted for the number of comparisons"
            yield claim(f"kpi.{row['name']}.{row['slice']}.why", words.why(row), q, unit="number", how=how)


def _scores(result) -> Iterable[dict]:
    for name, n in words.score_counts(words.score_rows(result)).items():
        yield counted(f"page.scores.{name}", f"scores: {name}", n)


def _sums(result) -> Iterable[dict]:
    for name, (value, unit, n) in words.sums(result).items():
        if is_number(value):
            yield counted(f"page.sum.{name}", f"{name.replace('.', ', ')} over both weeks as drawn", value, unit, _ADDED, n)


def _findings(result) -> Iterable[dict]:
    for at, one in enumerate(result.findings):
        yield counted(f"finding.{at}", terminal(one.text, 400), one.count, how="counted in the data")
