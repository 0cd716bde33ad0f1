"""What a store remembers of its alerts, so that an incident is told once, is over once, and is told again where a route failed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ...errors import StoreError
from ...store.store import Store
from ..result import plain

KEY = "alerts"
MOST = 2000
# After so long a check that was going to send an alert is taken for dead, and the next one sends it.
CLAIM = timedelta(minutes=10)
FORGET = timedelta(days=90)


@dataclass(frozen=True)
class Known:
    """One rule and by-value: ``state`` firing or resolved, since when, when it was last told; ``alert`` is the key it went out under.

    ``sent`` and ``ended`` name the routes that took the alert and its end; ``claimed`` is when a check last set out to send it.
    """

    rule: str
    by: tuple[str, ...]
    state: str
    since: datetime
    at: datetime
    alert: str
    value: float | None = None
    sent: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    claimed: datetime | None = None
    routes: tuple[str, ...] = ()

    @property
    def id(self) -> tuple:
        """What it is about."""
        return (self.rule, self.by)

    @property
    def owed(self) -> tuple[str, ...]:
        """Routes that have not taken its present state; the end of what never went out is not told."""
        done = self.sent if self.state == "firing" else self.ended
        told = self.routes if self.state == "firing" else self.sent
        return tuple(r for r in told if r not in done)


@dataclass(frozen=True)
class Outcome:
    """What one check found of one by-value: ``holds`` None where nothing could be said."""

    rule: str
    by: tuple[str, ...]
    holds: bool | None
    value: float | None
    cooldown: timedelta
    routes: tuple[str, ...] = ()
    state: str = field(default="")
    since: datetime | None = None


def alert_key(rule: str, by: Sequence[str], since: datetime) -> str:
    """The dedup key of an incident: rule, by-value and when it began."""
    text = "\x1f".join([rule, *by, since.isoformat()])
    return f"llmobs-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:20]}"


def recall(store: str) -> dict[tuple, Known]:
    """What is remembered, by rule and by-value. Raises StoreError where it cannot be read."""
    told = Store(store).head().get(KEY, [])
    try:
        found = [_read(one) for one in told]
    except (TypeError, ValueError, AttributeError, KeyError):
        raise StoreError(
            f"store {store!r}: what it remembers of alerts cannot be read; remove {KEY!r} from its head file"
        ) from None
    return {k.id: k for k in found}


def step(before: Mapping[tuple, Known], outcomes: Sequence[Outcome], at: datetime) -> tuple[dict[tuple, Known], list[Outcome]]:
    """The next memory, and the outcomes with the state that a reader is shown: firing, cooldown, resolved, ok or no_data.

    By-values of one rule that begin to fire in the same check share the alert of the first of them. Where nothing can be said a
    firing alert goes on firing.
    """
    after, shown, leader = dict(before), [], {}
    for one in outcomes:
        old = before.get((one.rule, one.by))
        new, state = _next(one, old, at)
        if new is not None:
            fresh = new.state == "firing" and (old is None or old.alert != new.alert)
            new = replace(new, alert=leader.setdefault(one.rule, new.alert)) if fresh else new
            after[new.id] = new
        shown.append(replace(one, state=state, since=new.since if new is not None else None))
    kept = sorted(after.values(), key=lambda k: k.at)[-MOST:]
    return {k.id: k for k in kept if k.state == "firing" or at - k.at < FORGET}, shown


def _next(one: Outcome, old: Known | None, at: datetime) -> tuple[Known | None, str]:
    if one.holds is None:
        return (old, "firing") if old is not None and old.state == "firing" else (None, "no_data")
    if one.holds:
        if old is not None and old.state == "firing":
            return replace(old, at=at, value=one.value, routes=one.routes), "firing"
        if old is not None and at < old.since + one.cooldown:
            return None, "cooldown"
        since = one.since or at
        return Known(
            one.rule, one.by, "firing", since, at, alert_key(one.rule, one.by, since), one.value, routes=one.routes
        ), "firing"
    if old is not None and old.state == "firing":
        return replace(old, state="resolved", at=at, value=one.value, claimed=None), "resolved"
    return None, "ok"


def remember(held: Store, outcomes: Sequence[Outcome], at: datetime, now: datetime) -> tuple[list[Outcome], list[Known]]:
    """One step in the store, under its lock; gives the outcomes as shown and what this check must send, which is claimed for it."""
    with held.writing():
        after, shown = step(recall(held.root), outcomes, at)
        mine = {(o.rule, o.by) for o in outcomes}
        due = [k for k in after.values() if k.id in mine and k.owed and not (k.claimed and now - k.claimed < CLAIM)]
        after |= {k.id: replace(k, claimed=now) for k in due}
        _write(held, after)
    return shown, due


def settle(held: Store, sent: Mapping[tuple, tuple[str, Sequence[str]]]) -> None:
    """Note which routes took which alerts: id → (state, routes); the rest is open for the next check."""
    with held.writing():
        now = recall(held.root)
        for id, (state, routes) in sent.items():
            if id in now:
                side = "sent" if state == "firing" else "ended"
                done = tuple(dict.fromkeys((*getattr(now[id], side), *routes)))
                now[id] = replace(now[id], claimed=None, **{side: done})
        _write(held, now)


def _write(held: Store, known: Mapping[tuple, Known]) -> None:
    held.write_head({**held.head(), KEY: [plain(asdict(k)) for k in known.values()]})


def _read(told: Mapping[str, Any]) -> Known:
    times, lists = ("since", "at", "claimed"), ("by", "sent", "ended", "routes")
    read = {k: datetime.fromisoformat(v) if k in times and v else tuple(v) if k in lists else v for k, v in told.items()}
    return Known(**read)
