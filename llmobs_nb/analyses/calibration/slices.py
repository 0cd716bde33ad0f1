"""Where the judge agrees less than elsewhere: "fine in English, bad in German"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...columns import literal, quote
from ...errors import UsageError
from ...schema import SPANS
from ...stats import agreement as ag
from ...stats.compare import mover, two_sided
from ...stats.intervals import critical, pooled_df
from ...stats.multiplicity import benjamini_hochberg
from ..result import Estimate
from .agree import compared, design_weights
from .chosen import choose_scores
from .result import Paired, empty

COLUMNS = ("where", "dimension", "value", "n", "kappa", "raw", "difference", "q", "verdict")
DEFAULT = (
    "locale", "feature", "tenant_id", "user_tier", "environment", "model", "prompt_version", "release", "retrieval_index_version",
)  # fmt: skip
LEAST = 20
MOST_VALUES, MOST_KEYS = 12, 8
ALPHA, MARGIN = 0.05, 0.1


def slices(obs, paired: Paired, design, by: Sequence[str]) -> pd.DataFrame:
    """One row per value of a dimension with 20 pairs or more, those that differ most first: how far judge and humans agree in it.

    Columns: where (``locale=de``), dimension, value, n, kappa and raw (estimates), difference (kappa here - elsewhere; of raw
    agreement where kappa is not defined), q (Benjamini-Hochberg over all rows) and verdict: ``at_chance`` (worse than elsewhere,
    and no better than chance), ``worse``, ``better``, ``same`` (the interval lies within a tenth), ``cannot_tell``. ``by`` are
    columns or metadata keys; by default those of the product. Empty without spans. Raises UsageError for unknown names.
    """
    known = values_of(obs, paired, by)
    judge, human = compared(paired)
    if judge is None or not len(known.columns):
        return empty(*COLUMNS)
    sides = _Sides(np.asarray(judge), np.asarray(human), design_weights(paired, design), paired.clusters)
    rows = [row for name in known.columns for row in _rows(name, known[name], sides)]
    if not rows:
        return empty(*COLUMNS)
    table = pd.DataFrame(rows)
    table["q"] = benjamini_hochberg([d.p if d.ok else None for d in table["difference"]])
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    order = np.lexsort((table["where"], table["q"].fillna(2.0)))
    return table.iloc[order].reset_index(drop=True)[list(COLUMNS)]


def values_of(obs, paired: Paired, by: Sequence[str] = ()) -> pd.DataFrame:
    """One row per pair, one column per dimension: its value in the pair's trace (of a session: in its first); None where it has none."""
    names = list(by) or _usual(obs)
    keys = {
        name: f"max(CAST({quote(name)} AS VARCHAR))" if name in SPANS else f"max(metadata[{literal(name)}])" for name in names
    }
    _, human = choose_scores(obs, paired.judge_name, paired.human_name)
    out = pd.DataFrame(index=paired.pairs.index, columns=names, dtype=object)
    select = ", ".join(f"{sql} AS d{i}" for i, sql in enumerate(keys.values()))
    traces = paired.pairs["trace_id"].notna()
    for column, mine in (("trace_id", traces), ("session_id", ~traces)):
        if names and mine.any():
            labelled = f"SELECT {column} FROM scores WHERE {human.sql} AND {column} IS NOT NULL"
            found = obs.sql(f"SELECT {column}, {select} FROM spans WHERE {column} IN ({labelled}) GROUP BY {column}")
            at = found.set_index(column).reindex(paired.pairs.loc[mine, column])
            out.loc[mine] = at.astype(object).where(at.notna(), None).to_numpy()
    if by and out.isna().all().any():
        _checked(obs, [name for name in names if out[name].isna().all()])
    return out.loc[:, out.notna().any()]


def _usual(obs) -> list[str]:
    table = obs.dimensions()
    columns = [n for n in DEFAULT if n in set(table.loc[table["kind"] == "column", "name"])]
    keys = table[(table["kind"] == "metadata") & (table["values"] <= MOST_VALUES)]["name"]
    return [*columns, *[k for k in keys if k not in SPANS][:MOST_KEYS]]


def _checked(obs, names: Sequence[str]) -> None:
    known = set(obs.dimensions()["name"])
    for name in names:
        if name not in SPANS and name not in known:
            raise UsageError(
                f"by: {name!r} is neither a column nor a metadata key; choose from: {', '.join(sorted(known)) or 'none'}"
            )


@dataclass(frozen=True, eq=False)
class _Sides:
    judge: np.ndarray
    human: np.ndarray
    weight: np.ndarray | None
    clusters: np.ndarray

    def of(self, how, at: np.ndarray) -> Estimate:
        weight = None if self.weight is None else self.weight[at]
        return how(self.judge[at], self.human[at], sample_weight=weight, clusters=self.clusters[at])


def _rows(name: str, column: pd.Series, sides: _Sides):
    counts = column.value_counts()
    for value in counts.index[: MOST_VALUES * 2]:
        inside = (column == value).to_numpy()
        if counts[value] < LEAST or len(column) - counts[value] < LEAST:
            continue
        here, there = ([sides.of(how, at) for how in (ag.kappa, ag.raw)] for at in (inside, ~inside))
        yield {
            "where": f"{name}={value}", "dimension": name, "value": str(value), "n": int(inside.sum()), "kappa": here[0],
            "raw": here[1], "difference": _difference(here, there), "elsewhere": there[0],
        }  # fmt: skip


def _difference(here: Sequence[Estimate], there: Sequence[Estimate]) -> Estimate:
    """Of the two kappas, tested on Fisher's scale; of raw agreement where one of them has no spread."""
    a, b = here[0], there[0]
    if not (a.ok and b.ok and a.se and b.se and max(abs(a.value), abs(b.value)) < 1):
        return mover(here[1], there[1])
    parts = [((e.se / (1 - e.value**2)) ** 2, e.df) for e in (a, b)]
    df = pooled_df(*parts)
    p = two_sided((math.atanh(a.value) - math.atanh(b.value)) / math.sqrt(parts[0][0] + parts[1][0]), df)
    d = mover(a, b)
    half = critical(a.level, df) / critical(a.level) if math.isfinite(df) else 1.0
    low, high = d.value - (d.value - d.ci_low) * half, d.value + (d.ci_high - d.value) * half
    return Estimate(d.value, low, high, d.n, d.level, p=p)


def _verdict(row) -> str:
    d = row.difference
    if not d.ok or not math.isfinite(row.q):
        return "cannot_tell"
    if row.q < ALPHA:
        chance = row.kappa.ok and row.kappa.ci_low <= 0 and row.elsewhere.ok and row.elsewhere.ci_low > 0
        return "better" if d.value > 0 else "at_chance" if chance else "worse"
    return "same" if d.ci_low >= -MARGIN and d.ci_high <= MARGIN else "cannot_tell"
