"""May the judge take the place of a human rater: the alternative annotator test; and whether a panel of versions judges better than one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from ...stats import agreement as ag
from ..result import Estimate, plain
from .result import Paired

EPSILON = 0.15
LEAST_EACH, LEAST_RATERS = 30, 3
ALPHA = 0.05


def may_replace(paired: Paired) -> dict | None:
    """The alternative annotator test (Calderon, Reichart and Dror 2025) and a comparison with a panel of the judge's versions.

    Each human in turn is left out: on the targets that this one labelled, does the judge agree with the others at least as well,
    less ``epsilon`` (0.15, what a skilled rater's time is worth)? Agreement is the share of others who say the same; with ordinal and
    continuous scores, minus the root mean squared difference to them. ``winning_rate`` is the share of humans against whom the judge wins
    (one-sided t-test of sessions, Benjamini-Yekutieli), ``replace`` whether that is half or more, ``advantage`` the mean probability
    that it is as good as the human left out. Humans with fewer than 30 such targets are left out and counted. None with fewer than three humans.
    """
    if not len(paired.humans):
        return None
    table = _table(paired)
    named = table["rater_id"].value_counts()
    if len(named) < LEAST_RATERS:
        return None
    tests = [t for rater in sorted(named.index, key=str) if (t := _against(table, rater, paired.kind)) is not None]
    won = _by(np.array([t.p for t in tests])) if tests else np.zeros(0, bool)
    rows = [
        {"rater_id": t.rater, "n": t.n, "judge": t.judge, "human": t.human, "p": t.p, "won": bool(w)}
        for t, w in zip(tests, won, strict=True)
    ]
    rate = float(won.mean()) if len(tests) >= LEAST_RATERS else None
    few = len(named) - len(tests)
    reason = f"{few} of {len(named)} humans share fewer than {LEAST_EACH} targets with others" if few else None
    return {
        "test": "alternative annotator test", "epsilon": EPSILON, "winning_rate": rate, "replace": None if rate is None else rate >= 0.5,
        "advantage": float(np.mean([t.judge for t in tests])) if tests else None, "raters": rows, "reason": reason, "panel": _panel(paired),
    }  # fmt: skip


@dataclass(frozen=True)
class _Test:
    rater: str
    n: int
    judge: float
    human: float
    p: float


def _table(paired: Paired) -> pd.DataFrame:
    """One row per human label of targets with several: target, rater_id, value, and what the judge said; cut as the pairs are."""
    pairs = pd.DataFrame({"target": targets(paired), "judge": paired.pairs["judge"], "cluster": paired.clusters})
    table = paired.humans.merge(pairs, on="target").dropna(subset=["rater_id", "value", "judge"])
    if paired.kind == "binary" and paired.pass_at is not None and paired.human_pass_at is not None:
        table["judge"] = (table["judge"].astype(float) >= paired.pass_at).astype(float)
        table["value"] = (table["value"].astype(float) >= paired.human_pass_at).astype(float)
    return table


def targets(paired: Paired) -> list[str | None]:
    """The target of each pair, as ``humans`` and ``repeats`` name it; None where neither does."""
    known, out = {*paired.humans["target"], *paired.repeats["target"]}, []
    for row in paired.pairs[["source", "project", "trace_id", "span_id", "session_id"]].itertuples(index=False):
        about = f"session {row.session_id}" if _missing(row.trace_id) else f"trace {row.trace_id}"
        names = ([] if _missing(row.span_id) else [f"span {row.trace_id} {row.span_id}"]) + [about]
        out.append(next((t for name in names if (t := f"{row.source} {row.project} {name}") in known), None))
    return out


def _missing(value) -> bool:
    return value is None or value != value


def _against(table: pd.DataFrame, rater, kind: str) -> _Test | None:
    """Who agrees more with the other humans: the judge or this one."""
    mine = table[table["rater_id"] == rater].drop_duplicates("target").set_index("target")
    others = table[(table["rater_id"] != rater) & table["target"].isin(mine.index)]
    if others["target"].nunique() < LEAST_EACH:
        return None
    own = mine["value"].reindex(others["target"]).to_numpy()
    score = pd.DataFrame({"target": others["target"].to_numpy()})
    for name, said in (("judge", others["judge"].to_numpy()), ("human", own)):
        score[name] = _alike(said, others["value"].to_numpy(), kind)
    score = score.groupby("target")[["judge", "human"]].mean()
    judge, human = (score[c].to_numpy() for c in ("judge", "human"))
    if kind in ("ordinal", "continuous"):
        judge, human = -np.sqrt(-judge), -np.sqrt(-human)
    wins, losses = (judge >= human - 1e-12).astype(float), (human >= judge - 1e-12).astype(float)
    p = _less(losses - wins - EPSILON, mine["cluster"].reindex(score.index).to_numpy())
    return _Test(str(rater), len(score), float(wins.mean()), float(losses.mean()), p)


def _alike(said: np.ndarray, others: np.ndarray, kind: str) -> np.ndarray:
    if kind in ("ordinal", "continuous"):
        return -((said.astype(float) - others.astype(float)) ** 2)
    return (said == others).astype(float)


def _less(d: np.ndarray, clusters: np.ndarray) -> float:
    """One-sided p of "the mean is 0 or more"; without any spread the sign decides."""
    at = np.bincount(pd.factorize(clusters)[0], d - d.mean())
    g, se = len(at), math.sqrt(float(at @ at) * len(at) / max(len(at) - 1, 1)) / len(d)
    if se < 1e-12 or g < 2:
        return 0.0 if d.mean() < 0 and g > 1 else 1.0
    return float(special.stdtr(g - 1, d.mean() / se))


def _by(p: np.ndarray) -> np.ndarray:
    """Rejected by Benjamini and Yekutieli (2001), which holds under any dependence."""
    order, m = np.argsort(p), len(p)
    below = p[order] <= ALPHA * np.arange(1, m + 1) / (m * (1 / np.arange(1, m + 1)).sum())
    out = np.zeros(m, bool)
    out[order[: np.flatnonzero(below).max() + 1 if below.any() else 0]] = True
    return out


def _panel(paired: Paired) -> dict | None:
    """Agreement with humans of the majority of the judge's versions beside that of each, on the targets that all of them judged.

    None with fewer than three versions, or 30 such targets. A tie counts as fail.
    """
    if paired.pass_at is None or paired.repeats["judge_version"].nunique() < LEAST_RATERS:
        return None
    wide = paired.repeats.pivot_table(index="target", columns="judge_version", values="value", aggfunc="mean").dropna()
    pairs = pd.DataFrame({"human": paired.pairs["human_pass"].to_numpy(), "cluster": paired.clusters}, index=targets(paired))
    pairs = pairs[pairs.index.notna() & pairs["human"].notna()]
    wide = wide.join(pairs, how="inner")
    if len(wide) < LEAST_EACH:
        return None
    human, cluster = (wide.pop(c).to_numpy() for c in ("human", "cluster"))
    passed = (wide >= paired.pass_at).astype(float)
    said: dict[str, np.ndarray] = {str(v): passed[v].to_numpy() for v in passed.columns}
    said["majority"] = (passed.mean(axis=1) > 0.5).to_numpy(float)
    found: dict[str, Estimate] = {name: ag.raw(v, human, clusters=cluster) for name, v in said.items()}
    return {"n": len(wide), "raw": plain(found)}
