"""Did the judge change, or the product: week by week, version by version, and on answers that were judged again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from ...stats.association import pearson
from ...stats.compare import difference, mover, two_sided
from ...stats.estimate import Estimate
from ...stats.intervals import mean, proportion, proportion_from
from ...stats.moments import Moments, add
from ...stats.multiplicity import benjamini_hochberg
from ..reductions import rows
from .agree import design_weights
from .design import by_week, week_of
from .result import Paired

COLUMNS = ("by", "period", "n", "agreement", "judge", "human", "users", "difference", "q", "verdict", "reason")
ALPHA, MARGIN, LEAST = 0.05, 0.1, 10
R_RULE = 0.7
_NOTHING = Estimate.refused("not measured")


def drift(obs, paired: Paired, design) -> pd.DataFrame:
    """One row for the whole, per week, per version of the judge and per pair of versions that judged the same targets (``anchor``).

    Columns: by (all, week, version, anchor), period, n (pairs), agreement (share of pairs that agree; of the whole the correlation,
    weighted by design), judge, human and users (share that each passes; thumbs of users as a second witness), difference
    (judge - human here, less before; of anchors the later version - the earlier), q (Benjamini-Hochberg over the rows tested),
    verdict and reason. The verdict is judge_drift, product_drift, both, none (the interval lies within a tenth) or cannot_tell;
    of the whole ``recalibrate`` where the correlation lies below 0.7 with its whole interval.
    """
    rows = [*_weeks(obs, paired), *_versions(paired), *_anchors(paired)]
    q = {k: benjamini_hochberg([_p(getattr(r, k)) for r in rows]) for k in ("judge_p", "human_p", "users_p", "level_p")}
    out = [_told(row, {k: float(v[i]) for k, v in q.items()}) for i, row in enumerate(rows)]
    return pd.DataFrame([_whole(paired, design), *out], columns=list(COLUMNS))


@dataclass
class _Row:
    """A period: what each witness says in it, and how that differs from all that came before."""

    by: str
    period: str
    n: int
    agreement: Estimate = _NOTHING
    judge: Estimate = _NOTHING
    human: Estimate = _NOTHING
    users: Estimate = _NOTHING
    lenience: Estimate = _NOTHING
    agreed: Estimate = _NOTHING
    human_p: Estimate = _NOTHING
    users_p: Estimate = _NOTHING
    level_p: Estimate = _NOTHING

    @property
    def judge_p(self) -> float | None:
        """Of "judge and humans stand to each other as before": two looks, the smaller p counts twice."""
        found = [e.p for e in (self.lenience, self.agreed) if e.ok and e.p is not None]
        return min(1.0, len(found) * min(found)) if found else None


def _p(found) -> float | None:
    return found.p if isinstance(found, Estimate) else found


@dataclass(frozen=True, eq=False)
class _Sides:
    """Pass and fail of judge and human as numbers; agreement of whatever is compared."""

    judge: np.ndarray
    human: np.ndarray
    agree: np.ndarray
    clusters: np.ndarray


def _sides(paired: Paired) -> _Sides:
    judge, human = (paired.pairs[c].to_numpy(float) for c in ("judge_pass", "human_pass"))
    cut = np.isfinite(judge) & np.isfinite(human)
    same = np.asarray(paired.pairs["judge"].to_numpy() == paired.pairs["human"].to_numpy(), float)
    return _Sides(judge, human, np.where(cut, judge == human, same).astype(float), paired.clusters)


def _compared(by: str, period: str, at: np.ndarray, before: np.ndarray, s: _Sides) -> _Row:
    def of(values, where, how=proportion):
        return how(values[where], clusters=s.clusters[where])

    row = _Row(by, period, int(at.sum()), of(s.agree, at), of(s.judge, at), of(s.human, at))
    if before.sum() >= LEAST <= at.sum():
        lean = s.judge - s.human
        row.lenience = difference(of(lean, at, mean), of(lean, before, mean))
        row.agreed = mover(row.agreement, of(s.agree, before))
        row.human_p = mover(row.human, of(s.human, before))
    return row


def _weeks(obs, paired: Paired) -> Iterator[_Row]:
    """Weeks that have pairs or judgements, oldest first; compared with all that came before."""
    own, levels, users, s = week_of(paired.pairs), by_week(paired), _thumbs(obs), _sides(paired)
    names = np.unique(np.concatenate([own[~np.isnat(own)], np.array([*levels], own.dtype)]))
    for name in names if len(names) > 1 else ():
        row = _compared("week", str(name), own == name, own < name, s)
        for witness, found, target in (("judge", levels, "level_p"), ("users", users, "users_p")):
            if name in found and found[name].n > 0:
                here, before = found[name], add(m for k, m in found.items() if k < name)
                setattr(row, witness, proportion_from(here))
                setattr(row, target, mover(proportion_from(here), proportion_from(before)))
        yield row


def _thumbs(obs) -> dict[np.datetime64, Moments]:
    """Thumbs of users by week; every thumb counts for itself."""
    found = rows(
        obs,
        """SELECT CAST(CAST(date_trunc('week', created_at) AS DATE) AS VARCHAR) AS week, count(*) AS n, sum(value) AS x FROM scores
        WHERE rater = 'user' AND (value = 0 OR value = 1) AND created_at IS NOT NULL GROUP BY 1""",
    )
    return {
        np.datetime64(r["week"], "D"): Moments(*(float(v) for v in (r["n"], r["n"], r["x"], r["x"], r["n"], r["x"])))
        for r in found
    }


def _versions(paired: Paired) -> Iterator[_Row]:
    """Versions by when they first judged a labelled target, each compared with all before it."""
    version, s = paired.pairs["judge_version"].astype(object), _sides(paired)
    first = paired.pairs["at"].groupby(version).min().sort_values(kind="stable")
    before = np.zeros(len(version), bool)
    for name in first.index if len(first) > 1 else ():
        at = (version == name).to_numpy()
        yield _compared("version", str(name), at, before.copy(), s)
        before |= at


def _anchors(paired: Paired) -> Iterator[_Row]:
    """The same targets judged by one version and by the next: the product cannot have changed."""
    if not len(paired.repeats) or paired.kind in ("categorical", "preference"):
        return
    wide = paired.repeats.pivot_table(index="target", columns="judge_version", values="value", aggfunc="mean")
    names = sorted(wide.columns, key=str)
    for earlier, later in pairwise(names):
        both = wide[[earlier, later]].dropna()
        if len(both) >= LEAST:
            change = mean((both[later] - both[earlier]).to_numpy())
            change = replace(change, p=two_sided(change.value / change.se, change.df)) if change.ok else change
            yield _Row("anchor", f"{later} against {earlier}", len(both), lenience=change)


def _told(row: _Row, q: dict[str, float]) -> dict:
    moved = {name: value < ALPHA for name, value in q.items()}
    verdict, reason = _anchor_verdict(row, moved) if row.by == "anchor" else _verdict(row, moved)
    told = row.lenience if row.lenience.ok else row.agreed
    return {
        "by": row.by, "period": row.period, "n": row.n, "agreement": row.agreement, "judge": row.judge, "human": row.human,
        "users": row.users, "difference": told, "q": q["judge_p"], "verdict": verdict, "reason": reason,
    }  # fmt: skip


def _anchor_verdict(row: _Row, moved: dict[str, bool]) -> tuple[str, str]:
    if moved["judge_p"]:
        return "judge_drift", "the versions judge the same answers differently"
    inside = row.lenience.ok and row.lenience.ci_low >= -MARGIN and row.lenience.ci_high <= MARGIN
    if inside or (row.lenience.reason and "same value" in row.lenience.reason):
        return "none", "the versions judge the same answers alike"
    return "cannot_tell", "too few answers were judged by both versions"


def _verdict(row: _Row, moved: dict[str, bool]) -> tuple[str, str]:
    """Humans are the first witness, thumbs of users the second."""
    product = moved["human_p"] or (moved["users_p"] and moved["level_p"] and _same_way(row.users_p, row.level_p))
    witness = "humans" if moved["human_p"] else "users' thumbs"
    if moved["judge_p"]:
        text = "the judge stands to the humans otherwise than before"
        return ("both", f"{text}, and {witness} moved too") if product else ("judge_drift", f"{text}, while they did not move")
    if product:
        return "product_drift", f"{witness} moved, and the judge with them"
    if moved["level_p"]:
        return _unpaired(row)
    told = row.lenience if row.lenience.ok else row.agreed
    if told.ok and told.ci_low >= -MARGIN and told.ci_high <= MARGIN:
        return "none", "judge and humans stand to each other as before"
    return "cannot_tell", f"{row.n} pairs do not tell a change of a tenth from none"


def _unpaired(row: _Row) -> tuple[str, str]:
    """The judge's level moved and too few labels say why: only steady thumbs tell."""
    steady = row.users_p.ok and row.users_p.ci_low >= -MARGIN / 2 and row.users_p.ci_high <= MARGIN / 2
    if steady:
        return "judge_drift", "the judge passes another share than before, while users' thumbs stayed where they were"
    return "cannot_tell", "the judge passes another share than before; neither humans nor users' thumbs are enough to say why"


def _same_way(a: Estimate, b: Estimate) -> bool:
    return a.ok and b.ok and a.value * b.value > 0


def _whole(paired: Paired, design) -> dict:
    """The rule of thumb "recalibrate below r = 0.7", on numbers that stand for all that was judged."""
    r, s = correlation(paired, design), _sides(paired)
    if not r.ok:
        verdict, reason = "cannot_tell", f"no correlation: {r.reason}"
    elif r.ci_high < R_RULE:
        verdict, reason = (
            "recalibrate",
            f"judge and humans correlate by {r.value:.2f} ({r.ci_low:.2f} to {r.ci_high:.2f}), below {R_RULE}",
        )
    elif r.ci_low >= R_RULE:
        verdict, reason = "none", f"judge and humans correlate by {R_RULE} or more"
    else:
        verdict, reason = "cannot_tell", f"the interval of the correlation, {r.ci_low:.2f} to {r.ci_high:.2f}, has {R_RULE} in it"
    judge, human = (proportion(v, clusters=s.clusters) for v in (s.judge, s.human))
    return {
        "by": "all", "period": "all", "n": len(paired.pairs), "agreement": r, "judge": judge, "human": human, "users": _NOTHING,
        "difference": mean(s.judge - s.human, clusters=s.clusters), "q": None, "verdict": verdict, "reason": reason,
    }  # fmt: skip


def correlation(paired: Paired, design) -> Estimate:
    """Pearson's r of scores, or of passes where there are no scores, weighted by design."""
    names = ("judge", "human") if paired.kind in ("ordinal", "continuous") else ("judge_pass", "human_pass")
    judge, human = (paired.pairs[c].to_numpy(float) for c in names)
    return pearson(judge, human, sample_weight=design_weights(paired, design), clusters=paired.clusters)
