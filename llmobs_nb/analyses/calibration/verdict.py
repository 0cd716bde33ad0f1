"""May this judge be trusted: explicit rules over n, interval, prevalence, ceiling, floor and design; never kappa alone."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ...stats.estimate import Estimate
from ...text import terminal
from .design import Design
from .result import Paired

LEAST_PAIRS = 30
LEAST_CLUSTERS = 10
LEAST_OF_A_KIND = 5
TRUSTED, USABLE = 0.6, 0.2
OF_CEILING = 0.8
LEAST_FLOOR = 0.5
MOST_BIAS, MOST_WIDTH = 0.03, 0.2


@dataclass(frozen=True)
class Verdict:
    """trust, trust_with_correction, do_not_trust or cannot_tell; a sentence for a manager, and the rule that decided."""

    verdict: str
    headline: str
    reason: str


def verdict(
    paired: Paired, design: Design, agreed: dict, rate: dict, ceiling: Estimate, floor: Estimate, slices: pd.DataFrame,
    bias: pd.DataFrame, drift: pd.DataFrame,
) -> Verdict:  # fmt: skip
    """The first rule that holds, in this order; agreement is kappa, AC1 where one verdict or label is nearly all (quadratic kappa
    of grades, Spearman's rho of continuous scores that nothing cuts):

    1. do_not_trust: the whole interval of agreement lies below chance.
    2. cannot_tell: fewer than 30 pairs or 10 sessions, or no interval of agreement, or no five humans' passes and five fails.
    3. do_not_trust: agreement is below .2 with its whole interval below .6 (less, where humans agree no better: .8 of the ceiling), or
       the judge agrees with itself less than .5 at its best, or drift of the judge was found.
    4. cannot_tell: no valid estimate of the pass rate, or one whose interval is wider than 20 points.
    5. trust_with_correction: agreement of which .6 (or .8 of the ceiling) is not within reach; a pass rate that the judge misses by
       more than 3 points; a slice or a bias that was flagged.
    6. trust: everything else.
    """
    name = f"The judge {terminal(paired.judge_name, 60)}"
    found, called = agreement_of(paired, agreed)
    if found.ok and found.ci_high < 0:
        text = f"it agrees with humans less than chance would: {_said(called, found)}"
        return Verdict(
            "do_not_trust",
            f"{name} must not be trusted: {text}.",
            f"{text}; turned round it might do better, or the scales are reversed.",
        )
    for rule in (_too_little, _untrustworthy, _no_rate):
        said = rule(paired, found, called, rate, ceiling, floor, drift)
        if said:
            kind = "do_not_trust" if rule is _untrustworthy else "cannot_tell"
            what = "must not be trusted" if rule is _untrustworthy else "cannot be judged yet"
            return Verdict(kind, f"{name} {what}: {said}.", f"{said}.")
    corrected = _rate_said(rate["corrected"])
    why = _needs_correction(found, called, rate, ceiling, slices, bias)
    if why:
        text = "; ".join(why)
        return Verdict(
            "trust_with_correction",
            f"{name} may be used with correction: {why[0]}. The true pass rate is {corrected}.",
            f"{text}.",
        )
    text = f"{_said(called, found)} on {found.n:,} pairs, and the pass rate needs no correction of note"
    return Verdict("trust", f"{name} may be trusted: {text}. The true pass rate is {corrected}.", f"{text}.")


def agreement_of(paired: Paired, agreed: dict) -> tuple[Estimate, str]:
    """The agreement that the rules go by, and what it is called."""
    order = {
        "continuous": ("kappa", "spearman"),
        "ordinal": ("weighted_kappa_quadratic", "kappa"),
        "preference": ("kappa", "spearman"),
    }
    names = order.get(paired.kind, ("kappa",))
    usable = [n for n in names if (e := agreed.get(n)) is not None and e.ok and e.ci_low is not None]
    if not usable:
        return Estimate.refused("no agreement could be computed", n=len(paired.pairs)), "agreement"
    name, even = usable[0], agreed.get("ac1")
    if _lopsided(paired) and agreed[name].ci_high > 0 and even is not None and even.ok:
        name = "ac1"
    return agreed[name], "AC1" if name == "ac1" else name.replace("_", " ")


def _lopsided(paired: Paired) -> bool:
    """Whether labels are nearly all alike: kappa is then about a handful of exceptions."""
    human = paired.pairs["human_pass"].dropna()
    return len(human) > 0 and not 0.05 <= human.mean() <= 0.95


def _too_little(paired, found, called, rate, ceiling, floor, drift) -> str:
    n, clusters = len(paired.pairs), paired.pairs["cluster"].nunique()
    if n < LEAST_PAIRS or clusters < LEAST_CLUSTERS:
        return f"{n:,} labelled targets of {clusters:,} sessions are too few; {LEAST_PAIRS} of {LEAST_CLUSTERS} are the least"
    human = paired.pairs["human_pass"].dropna()
    fails = int(min((human == 1).sum(), (human == 0).sum()))
    if len(human) and fails < LEAST_OF_A_KIND:
        return f"{fails} of {len(human):,} labels say {'fail' if human.mean() > 0.5 else 'pass'}: whether the judge sees those cannot be told"
    return "" if found.ok else f"agreement has no interval ({found.reason})"


def _untrustworthy(paired, found, called, rate, ceiling, floor, drift) -> str:
    need = _needed(ceiling)
    if found.value < USABLE and found.ci_high < need:
        return f"{_said(called, found)}, hardly better than chance"
    if floor.ok and floor.ci_high < LEAST_FLOOR:
        return f"it does not agree with itself: {_said('its repeats agree', floor)}"
    if "verdict" in drift and drift["verdict"].isin(["judge_drift", "both"]).any():
        row = drift[drift["verdict"].isin(["judge_drift", "both"])].iloc[0]
        return f"it has drifted: {terminal(str(row.get('reason', '')), 160).rstrip('.')}"
    return ""


def _no_rate(paired, found, called, rate, ceiling, floor, drift) -> str:
    corrected = rate["corrected"]
    if not corrected.ok:
        return (
            ""
            if paired.kind == "categorical" or not paired.pairs["judge_pass"].notna().any()
            else f"the true pass rate is not known ({corrected.reason.rstrip('.')})"
        )
    if corrected.ci_high - corrected.ci_low > MOST_WIDTH:
        return f"the true pass rate is {_rate_said(corrected)}, too wide to act on: label more"
    return ""


def _needs_correction(found, called, rate, ceiling, slices, bias) -> list[str]:
    need, out = _needed(ceiling), []
    if found.ci_high < need or found.value < need:
        out.append(f"{_said(called, found)}, below {need:.2f}")
    naive, corrected = rate["naive"], rate["corrected"]
    if naive.ok and corrected.ok and abs(naive.value - corrected.value) > MOST_BIAS:
        out.append(f"it passes {naive.value:.1%} where humans would pass {corrected.value:.1%}")
    if "verdict" in slices and (n := int(slices["verdict"].isin(["worse", "at_chance"]).sum())):
        out.append(f"agreement is worse in {n} slice{'s' if n > 1 else ''}")
    if "flagged" in bias and (names := [str(c) for c in bias.loc[bias["flagged"].astype(bool), "covariate"]]):
        out.append(f"it leans by {', '.join(names[:4])}")
    return out


def _needed(ceiling: Estimate) -> float:
    """The agreement that is enough: .6, or .8 of what humans reach among themselves where that is less."""
    return min(TRUSTED, OF_CEILING * max(ceiling.value, 0.0)) if ceiling.ok else TRUSTED


def _said(called: str, e: Estimate) -> str:
    return f"{called} {e.value:.2f} ({e.ci_low:.2f} to {e.ci_high:.2f})" if e.ci_low is not None else f"{called} {e.value:.2f}"


def _rate_said(e: Estimate) -> str:
    return f"{e.value:.1%} ({e.ci_low:.1%} to {e.ci_high:.1%})" if e.ok else "not known"
