"""What a rule compares its metric with: a fixed level, a baseline, an error budget, or what the metric does by itself."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from ...errors import UsageError, choose
from ...text import terminal
from ...windows import parse_since

KINDS = ("above", "below", "drop", "rise", "burn_rate", "anomaly")
SIDES = ("worse", "up", "down", "both")
METHODS = ("robust", "sigma", "ks")
LOOKS = (1, 3, 7, 14)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": DAY, "w": WEEK}
_DURATION = re.compile(r"(\d{1,4})\s*([mhdw])")
_SHARE, _TIMES = re.compile(r"(\d+(?:\.\d+)?)\s*%"), re.compile(r"(\d+(?:\.\d+)?)\s*x")


@dataclass(frozen=True)
class Baseline:
    """What a metric is compared with.

    ``weeks`` > 0: the same weekday and hours in so many weeks before; else ``length`` directly before the window, or the
    ``pinned`` stretch from start to end.
    """

    weeks: int = 0
    length: timedelta = timedelta()
    pinned: tuple[datetime, datetime] | None = None

    @property
    def reach(self) -> timedelta:
        """How far it reaches back before the window; a pinned one is asked for by its own dates."""
        return max(self.weeks * WEEK, self.length)


@dataclass(frozen=True)
class Compare:
    """One comparison.

    ``kind`` is one of ``KINDS``; ``amount`` its threshold (a factor of the error ``budget`` for burn_rate, a z for anomaly, a p for
    the method ks), ``relative`` whether drop and rise are shares of the baseline. ``long`` and ``short`` are the windows of a burn
    rate, ``bad`` turns a metric that is no rate into bad events: ("above" or "below", value). ``looks`` (days), ``side`` and ``method``
    belong to anomaly; ``allowed`` to the event unexpected_model.
    """

    kind: str
    amount: float
    relative: bool = False
    baseline: Baseline | None = None
    budget: float = 0.01
    long: timedelta = timedelta(hours=1)
    short: timedelta = timedelta(minutes=5)
    bad: tuple[Literal["above", "below"], float] | None = None
    looks: tuple[int, ...] = LOOKS
    side: str = "worse"
    method: str = "robust"
    allowed: tuple[str, ...] = ()


def duration(what: str, value: Any) -> timedelta:
    """``5m``, ``24h``, ``7d`` or ``4w`` as a length of time."""
    found = _DURATION.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if not found or not int(found[1]):
        raise UsageError(f"{what}={terminal(value, 60)!r} is no length of time; write it as 30m, 24h, 7d or 4w")
    return int(found[1]) * _UNITS[found[2]]


def number(what: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number between two limits; ``1 %`` is 0.01."""
    share = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    got = float(share[1]) / 100 if share else value
    if isinstance(got, bool) or not isinstance(got, (int, float)) or not math.isfinite(got) or not low <= got <= high:
        limits = f" from {low:g} to {high:g}" if math.isfinite(high) else f" from {low:g} on" if math.isfinite(low) else ""
        raise UsageError(f"{what}={terminal(value, 60)!r} is no number; give one{limits}")
    return float(got)


def mapping(what: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """A mapping with no other keys than these."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{what}={terminal(value, 60)!r} is no mapping; give one with keys among: {', '.join(keys)}")
    for key in value:
        choose(f"{what}: key", key if isinstance(key, str) else terminal(key, 60), keys)
    return value


def read_compare(where: str, told: Any) -> Compare:
    """The ``compare`` of a rule, ``where`` naming the rule in errors."""
    what = f"{where}: compare"
    told = mapping(what, told, (*KINDS, "baseline", "allowed"))
    kinds = [k for k in KINDS if k in told]
    if len(kinds) != 1:
        raise UsageError(f"{what} names {len(kinds)} comparisons; give exactly one of: {', '.join(KINDS)}")
    kind = kinds[0]
    given = told[kind]
    base = read_baseline(f"{what}: baseline", told["baseline"]) if "baseline" in told else None
    if base is not None and kind in ("above", "below", "burn_rate"):
        raise UsageError(f"{what}: {kind} has no baseline; remove it, or compare by drop, rise or anomaly")
    allowed = _texts(f"{what}: allowed", told.get("allowed", ()))
    if kind in ("above", "below"):
        return Compare(kind, number(f"{what}: {kind}", given), allowed=allowed)
    if kind in ("drop", "rise"):
        return _change(f"{what}: {kind}", kind, given, base or Baseline(weeks=4))
    return _burn(f"{what}: burn_rate", given) if kind == "burn_rate" else _anomaly(f"{what}: anomaly", given, base)


def read_baseline(what: str, told: Any) -> Baseline:
    """``7d`` (directly before), ``4w`` (same weekday and hours) or ``{pinned: [start, end]}``."""
    if isinstance(told, Mapping):
        ends = mapping(what, told, ("pinned",)).get("pinned")
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise UsageError(f"{what}: pinned={terminal(ends, 60)!r} is no window; give [start, end] as ISO dates")
        start, end = (parse_since(e if not isinstance(e, str) else e.strip()) for e in ends)
        if start >= end:
            raise UsageError(f"{what}: pinned starts at {start:%Y-%m-%d} and ends at {end:%Y-%m-%d}; swap them")
        return Baseline(pinned=(start, end))
    if told == "pinned":
        raise UsageError(f"{what}=pinned names no window; write {{pinned: [2026-10-01, 2026-10-29]}}")
    length = duration(what, told)
    if str(told).strip().lower().endswith("w"):
        return Baseline(weeks=length // WEEK)
    return Baseline(length=length)


def _change(what: str, kind: str, given: Any, base: Baseline) -> Compare:
    times = _TIMES.fullmatch(given.strip()) if isinstance(given, str) else None
    if times and kind == "rise":
        factor = number(what, float(times[1]))
        if factor <= 1:
            raise UsageError(f"{what}={given!r} is no rise; give more than 1x")
        return Compare(kind, factor - 1, relative=True, baseline=base)
    relative = isinstance(given, str) and bool(_SHARE.fullmatch(given.strip()))
    amount = number(what, given, low=0.0)
    if amount == 0:
        raise UsageError(
            f"{what}={given!r} would always hold; give an amount (0.05), a share (10%)" + (" or 3x" * (kind == "rise"))
        )
    return Compare(kind, amount, relative=relative, baseline=base)


def _burn(what: str, given: Any) -> Compare:
    told = {"factor": given} if not isinstance(given, Mapping) else given
    told = mapping(what, told, ("factor", "budget", "long", "short", "bad_above", "bad_below"))
    if "bad_above" in told and "bad_below" in told:
        raise UsageError(f"{what} has bad_above and bad_below; give one of them")
    side = next((s for s in ("above", "below") if f"bad_{s}" in told), None)
    long, short = (duration(f"{what}: {k}", told.get(k, d)) for k, d in (("long", "1h"), ("short", "5m")))
    if short >= long:
        raise UsageError(f"{what}: short={told.get('short', '5m')} is not shorter than long={told.get('long', '1h')}; swap them")
    return Compare(
        "burn_rate", number(f"{what}: factor", told.get("factor", 14.4), low=0.0),
        budget=number(f"{what}: budget", told.get("budget", 0.01), low=1e-6, high=1.0), long=long, short=short,
        bad=(side, number(f"{what}: bad_{side}", told[f"bad_{side}"])) if side else None,
    )  # fmt: skip


def _anomaly(what: str, given: Any, base: Baseline | None) -> Compare:
    told = {"z": given} if not isinstance(given, Mapping) else given
    told = mapping(what, told, ("z", "p", "looks", "side", "method"))
    method = choose(f"{what}: method", told.get("method", "robust"), METHODS)
    if base is not None and base.pinned:
        raise UsageError(f"{what} learns from the days before, not from a pinned window; give baseline: 6w")
    looks = told.get("looks", LOOKS if method == "robust" else (1,))
    if not isinstance(looks, (list, tuple)) or not looks or not all(type(k) is int and 1 <= k <= 28 for k in looks):
        raise UsageError(f"{what}: looks={terminal(looks, 60)!r} are no days; give a list such as [1, 3, 7, 14], 28 at most")
    key, default = ("p", 0.05) if method == "ks" else ("z", 4.0)
    if ("p" if key == "z" else "z") in told:
        raise UsageError(f"{what}: method {method} takes {key}; write {key}: {default:g}")
    amount = number(f"{what}: {key}", told.get(key, default), low=0.0)
    side = choose(f"{what}: side", told.get("side", "worse"), SIDES)
    return Compare("anomaly", amount, baseline=base or Baseline(weeks=6), looks=tuple(sorted(looks)), side=side, method=method)


def _texts(what: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v for v in value):
        raise UsageError(f"{what}={terminal(value, 60)!r} is no list of names; give such as [gpt-4o-2024-08-06]")
    return tuple(value)
