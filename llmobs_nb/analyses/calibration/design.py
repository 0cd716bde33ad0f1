"""How the labelled targets were drawn: recorded, declared, or found from what the labels look like beside production."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from ...stats.moments import Moments, add
from ...stats.passrate import design_effect
from ...stats.strata import exact_association
from .result import Paired

LEVEL = 0.01
SURPRISE = 0.03
LEAST_EVEN = 10
MOST_UNSEEN = 0.2
LEAST_SHIFT = 0.02
_REPAIR = (
    "label a random sample of the judged traces (lm.sampling_plan draws one and records its inclusion probabilities), "
    "or give design= as the labels were drawn"
)


@dataclass(frozen=True)
class Design:
    """How labels were drawn: what was declared, what the estimates go by (``none``: no estimate is valid), and why.

    ``test`` says what was compared, with ``p_value``; ``repair`` what to label where nothing is valid; ``misdeclared`` that the data
    contradict what was declared.
    """

    declared: str
    used: str
    test: str
    p_value: float | None
    reason: str
    repair: str = ""
    misdeclared: bool = False

    def json(self) -> dict:
        """The shape of CONTRACTS.md, with reason and repair."""
        names = ("declared", "used", "test", "p_value", "reason", "repair", "misdeclared")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Evidence:
    """What the labels look like beside production: see :func:`evidence`."""

    n: int
    rate: float
    expected: float
    p_mix: float
    moved: float
    p_time: float
    p_judge: float
    by_verdict: bool
    by_label: bool
    even_labels: bool
    unseen: float

    @property
    def text(self) -> str:
        """The first test in words."""
        return f"the judge passes {self.rate:.1%} of the {self.n:,} labelled and {self.expected:.1%} of all it judged in the same weeks"


def find_design(paired: Paired, declared: str) -> Design:
    """The design that the estimates go by.

    Recorded inclusion probabilities that differ go before everything else. Otherwise the labels are compared with production: the
    judge's verdicts in the same weeks, the weeks themselves, whether the judge errs alike over time, and whether verdicts or labels
    come in equal numbers although production's do not (then they were drawn so). A declared design is held against the same and
    left where the data contradict it. ``none`` where no estimate is valid: the reason says why, ``repair`` what to label.
    """
    if not paired.pairs["judge_pass"].notna().any() or not paired.production["n"].sum():
        return Design(
            declared, "none", "", None, "The scores have no verdict of pass or fail, so there is no pass rate.", "give pass_at="
        )
    seen = evidence(paired)
    if seen.unseen > MOST_UNSEEN:
        why = f"{seen.unseen:.0%} of production was judged by versions of the judge of which there is no label."
        return Design(declared, "none", "versions with labels", None, why, "label traces that the present version judged")
    if paired.weights is not None:
        return _weighted(seen, declared)
    if declared == "weights":
        why = "Inclusion probabilities were declared, but not every label has one, or all are alike."
        return Design(
            declared, "none", seen.text, seen.p_mix, why, "record inclusion_prob with every label (lm.review_queue does)"
        )
    return {"by_verdict": _by_verdict, "by_label": _by_label, "period": _period}.get(declared, _random)(seen, declared)


def evidence(paired: Paired) -> Evidence:
    """The tests: verdict mix against production of the same weeks (binomial at the effective number of labels), weeks against all weeks
    (normal), errors of the judge early and late (exact, one row per session), and equal numbers of verdicts or of labels."""
    pairs = paired.pairs[paired.pairs["judge_pass"].notna() & paired.pairs["human_pass"].notna()]
    weeks = by_week(paired)
    own = week_of(pairs)
    judge, human = pairs["judge_pass"].to_numpy(float), pairs["human_pass"].to_numpy(float)
    total = add(weeks.values())
    rates = np.array([weeks[w].ratio if w in weeks and weeks[w].n else total.ratio for w in own])
    expected, n = float(rates.mean()) if len(rates) else total.ratio, len(pairs)
    at = _effective(judge - rates, expected, pairs["cluster"].to_numpy())
    moved, p_time = _time(own, weeks, total, at)
    late = own > np.median(own.astype("int64")).astype("datetime64[D]") if n else np.zeros(0, bool)
    first = ~pairs["cluster"].duplicated().to_numpy()
    strata = pairs["stratum"].to_numpy()
    told = [bool(_told_by(strata, side)) for side in (judge, human)]
    p_mix = _binomial(judge.mean() if n else 0.0, at, expected)
    odd = [_odd(side, rate, p_mix) for side, rate in ((judge, expected), (human, _mixed(judge, human, total.ratio)))]
    return Evidence(
        n=n, rate=float(judge.mean()) if n else 0.0, expected=expected, p_mix=p_mix,
        moved=moved, p_time=p_time, p_judge=exact_association(judge[first], late[first], human[first]),
        by_verdict=told[0] or (odd[0] and not odd[1]), by_label=(told[1] and not told[0]) or (odd[1] and not odd[0]),
        even_labels=_even(human) and not _even(judge), unseen=_unseen(paired),
    )  # fmt: skip


def by_week(paired: Paired) -> dict:
    """Moments of the judge's passes over clusters, by week (numpy day of its Monday)."""
    out = {}
    for week, part in paired.production.groupby("week", sort=True):
        rows = {r.judge_pass: r for r in part.itertuples()}
        passed, failed = rows.get(1.0), rows.get(0.0)
        x, xx, cross = (passed.weight, passed.square, passed.cross) if passed else (0.0, 0.0, 0.0)
        other, nn = (failed.weight, failed.square) if failed else (0.0, 0.0)
        either = sum(r.clusters for r in rows.values())  # a session with both verdicts counts twice: only m / (m - 1) sees it
        moments = Moments(float(either), float(x + other), float(x), float(xx), float(xx + nn + 2 * cross), float(xx + cross))
        out[np.datetime64(pd.Timestamp(week).date(), "D")] = moments
    return out


def week_of(pairs: pd.DataFrame) -> np.ndarray:
    """The Monday of each pair, as numpy days."""
    day = pairs["at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    return day - (day.astype("int64") + 3) % 7


def _random(seen: Evidence, declared: str) -> Design:
    """For ``random`` and ``auto``."""
    told = declared == "random"
    elsewhen = seen.p_time < LEVEL and abs(seen.moved) >= LEAST_SHIFT and seen.p_mix >= 5 * LEVEL
    found = None if elsewhen else _signed(seen, declared)
    if found is not None:
        return found
    base = Design(declared, "random", seen.text, seen.p_mix, "The labelled look like a random sample of what the judge judged.")
    if seen.p_mix < LEVEL:
        why = f"The labelled are no random sample: {seen.text}. How they were drawn is not recorded."
        return replace(base, used="none", reason=why, repair=_REPAIR, misdeclared=told)
    moved = _shifted(seen, base)
    return replace(moved, misdeclared=told and moved.used != "random")


def _signed(seen: Evidence, declared: str) -> Design | None:
    """A design that equal numbers or recorded strata give away."""
    used = "by_verdict" if seen.by_verdict else "by_label" if seen.by_label else ""
    return _told(used, seen, declared) if used else None


def _told(used: str, seen: Evidence, declared: str) -> Design:
    what = "the judge's verdict" if used == "by_verdict" else "the human label"
    why = f"The labelled were drawn by {what}: its values come in fixed numbers, and {seen.text}."
    return Design(declared, used, seen.text, seen.p_mix, why, misdeclared=declared not in (used, "auto"))


def _shifted(seen: Evidence, base: Design) -> Design:
    """The same design where the labelled weeks are like all of them; otherwise another period's, or none where the judge changed too."""
    if seen.p_time >= LEVEL or abs(seen.moved) < LEAST_SHIFT:
        return base
    test = f"the judge's pass rate of the labelled weeks is {100 * seen.moved:+.1f} points from that of all weeks"
    if seen.p_judge < LEVEL:
        why = f"{test.capitalize()}, and the judge erred differently early and late."
        return replace(base, used="none", test=test, p_value=seen.p_time, reason=why, repair="label a random sample of each week")
    why = (
        f"{test.capitalize()}: labels of another time, so the judge's errors are carried over, not what its verdicts were worth."
    )
    return replace(base, used="period", test=test, p_value=seen.p_time, reason=why)


def _by_verdict(seen: Evidence, declared: str) -> Design:
    if seen.even_labels or (seen.by_label and not seen.by_verdict):
        return _told("by_label", seen, declared)
    base = Design(declared, "by_verdict", seen.text, seen.p_mix, "As declared; nothing in the data speaks against it.")
    moved = _shifted(seen, base)
    if moved.used == "by_verdict":
        return base
    why = f"{moved.test.capitalize()}: what a verdict was worth then is not what it is worth now."
    return replace(moved, used="none", reason=why, repair="label by verdict in the weeks that the pass rate is wanted for")


def _by_label(seen: Evidence, declared: str) -> Design:
    if seen.by_verdict and not seen.by_label:
        return _told("by_verdict", seen, declared)
    return Design(declared, "by_label", seen.text, seen.p_mix, "As declared; nothing in the data speaks against it.")


def _period(seen: Evidence, declared: str) -> Design:
    base = Design(
        declared, "period", "the judge's errors early and late", seen.p_judge, "As declared; the judge errs alike over time."
    )
    if seen.by_verdict or seen.p_judge < LEVEL:
        what = "the labelled were drawn by verdict" if seen.by_verdict else "the judge's errors are not the same early and late"
        return replace(base, used="none", reason=f"Labels of another time need errors that carry over; {what}.", repair=_REPAIR)
    return base


def _weighted(seen: Evidence, declared: str) -> Design:
    wrong = declared not in ("weights", "auto")
    why = "Inclusion probabilities are recorded and differ between the labelled" + (
        f", though {declared} was declared." if wrong else "."
    )
    return Design(declared, "weights", seen.text, seen.p_mix, why, misdeclared=wrong)


def _effective(residual: np.ndarray, rate: float, clusters: np.ndarray) -> float:
    """The effective number of labels for the verdict rate."""
    n = len(residual)
    if not n:
        return 0.0
    _, code = np.unique(clusters, return_inverse=True)
    size = np.bincount(code)
    if len(size) == n:
        return float(n)
    pull = np.bincount(code, residual - residual.mean()) / n
    return n / max(design_effect(pull, rate * (1 - rate) / n, size.astype(float), float(n)), 1.0)


def _binomial(rate: float, n: float, expected: float) -> float:
    """Two-sided binomial test at an effective number of trials."""
    at = round(n)
    return float(stats.binomtest(round(rate * at), at, min(max(expected, 0.0), 1.0)).pvalue) if at else 1.0


def _time(own: np.ndarray, weeks: dict, total: Moments, n: float) -> tuple[float, float]:
    """How far production's verdict rate of the labelled weeks, as often as they are labelled, is from all weeks', and p of no difference."""
    known = np.array([w for w in weeks if weeks[w].n], "datetime64[D]")
    if len(known) < 2 or not len(own) or n < 1:
        return 0.0, 1.0
    share = np.array([(own == w).mean() for w in known])
    size, rate = (np.array([f(weeks[w]) for w in known]) for f in (lambda m: m.n, lambda m: m.ratio))
    spread = np.array([m.scatter / m.n**2 for m in (weeks[w] for w in known)])
    part = size / size.sum()
    if share.sum() <= 0:
        return 0.0, 1.0
    moved = float((share / share.sum() - part) @ rate)
    chance = float(part @ (rate - total.ratio) ** 2) / n + float(((share - part) ** 2) @ spread)
    return moved, float(2 * stats.norm.sf(abs(moved) / np.sqrt(chance))) if chance > 0 else 1.0


def _told_by(strata: np.ndarray, side: np.ndarray) -> bool:
    """Whether recorded strata, two or more, are the two values of a side."""
    named = pd.Series(strata).notna().to_numpy()
    if not len(strata) or not named.all() or len(set(side)) < 2:
        return False
    values = {s: set(side[strata == s]) for s in set(strata)}
    return len(values) > 1 and all(len(v) == 1 for v in values.values())


def _even(side: np.ndarray) -> bool:
    """Whether both values come in equal numbers."""
    return len(side) >= LEAST_EVEN and abs(len(side) - 2 * int(side.sum())) <= 1


def _odd(side: np.ndarray, rate: float, p_mix: float) -> bool:
    """Whether values come in equal numbers as chance at that rate, and at so odd a mix of verdicts, would hardly give."""
    n = len(side)
    chance = stats.binom.pmf([n // 2, n - n // 2], n, rate).sum() / (2 - n % 2)
    return _even(side) and bool(chance * p_mix < SURPRISE)


def _mixed(judge: np.ndarray, human: np.ndarray, rate: float) -> float:
    """What humans would pass if the labels were drawn at random or by verdict."""
    inside = [human[judge == v].mean() if (judge == v).any() else 0.5 for v in (1.0, 0.0)]
    return float(rate * inside[0] + (1 - rate) * inside[1])


def _unseen(paired: Paired) -> float:
    """The share of production judged by versions that no labelled target was judged by."""
    found = paired.versions
    return float(found.loc[found["labelled"] == 0, "n"].sum() / found["n"].sum()) if len(found) and found["n"].sum() else 0.0
