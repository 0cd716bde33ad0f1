"""Who asks what and when: sessions and their turns, with a weekly and an hourly rhythm and mild growth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from . import world
from .world import Feature, Model, Tenant


@dataclass(frozen=True)
class User:
    """An end user; ``auth`` is how the user signs in: sso, password or magic_link."""

    id: str
    tenant: Tenant
    auth: str
    locale: str
    region: str
    client: str


@dataclass(frozen=True)
class Request:
    """One request of a user: the ``turn`` of a session; ``affected`` says whether the block is in its rendered prompt."""

    at: datetime
    session: str
    turn: int
    user: User
    feature: Feature
    model: Model
    version: str
    environment: str
    release: str
    index: str
    affected: bool


def pick(rng: Random, weighted):
    """One of ((value, weight), …)."""
    return rng.choices([v for v, _ in weighted], [w for _, w in weighted])[0]


def users(rng: Random) -> list[User]:
    """All users; the first of each tenant sign in through SSO, as many as its share says."""
    out = []
    for tenant in world.TENANTS:
        count = tenant.weight * world.USERS_PER_WEIGHT
        for n in range(count):
            auth = "sso" if n < round(count * tenant.sso) else pick(rng, (("password", 7), ("magic_link", 3)))
            places = (pick(rng, options) for options in (world.LOCALES, world.REGIONS, world.CLIENTS))
            out.append(User(f"u-{len(out) + 1:05d}", tenant, auth, *places))
    return out


def quotas(traces: int) -> list[tuple[datetime, int]]:
    """How many requests each day gets; they add up to ``traces``."""
    start = world.END - timedelta(weeks=world.WEEKS)
    days = [start + timedelta(days=n) for n in range(world.WEEKS * 7)]
    weights = [world.WEEKDAYS[d.weekday()] * (1 + world.GROWTH_PER_WEEK) ** (n // 7) for n, d in enumerate(days)]
    sums = [0.0]
    for weight in weights:
        sums.append(sums[-1] + weight)
    marks = [round(traces * s / sums[-1]) for s in sums]
    return [(day, b - a) for day, a, b in zip(days, marks, marks[1:], strict=False)]


def requests(rng: Random, traces: int, *, story: bool = True) -> list[Request]:
    """All requests in order of time, at the dates of ``world``; without the story nobody is affected."""
    people, out = users(rng), []
    for day, quota in quotas(traces):
        todays: list[Request] = []
        while len(todays) < quota:
            todays.extend(_session(rng, day, f"s-{day:%m%d}-{len(todays):03d}", rng.choice(people), story))
        out.extend(todays[:quota])
    return sorted(out, key=lambda r: (r.at, r.session))


def _session(rng: Random, day: datetime, session: str, user: User, story: bool) -> Iterator[Request]:
    hour = pick(rng, tuple(enumerate(world.HOURS)))
    at = day + timedelta(hours=hour, milliseconds=rng.randrange(3_300_000))
    environment = "staging" if rng.random() < world.STAGING else "production"
    feature = pick(rng, tuple((f, f.weight) for f in world.FEATURES))
    model, version, turn = pick(rng, feature.models), _version(rng, feature, at), 1
    while at < day + timedelta(hours=23, minutes=58):
        affected = story and environment == "production" and _reached(user, at)
        release, index = current(world.RELEASES, at), current(world.INDEXES, at)
        yield Request(at, session, turn, user, feature, model, version, environment, release, index, affected)
        if rng.random() >= feature.next_turn:
            return
        at, turn = at + timedelta(milliseconds=rng.randrange(25_000, 240_000)), turn + 1


def _reached(user: User, at: datetime) -> bool:
    wave = user.tenant.wave
    return user.auth == "sso" and wave is not None and at >= world.WAVES[wave]


def current(dated: tuple[tuple[str, datetime], ...], at: datetime) -> str:
    """The last of ((name, since), …) that has begun."""
    return [name for name, since in dated if since <= at][-1]


def _version(rng: Random, feature: Feature, at: datetime) -> str:
    name, version, share, since = world.CANARY
    drawn = rng.random() < share
    return version if drawn and feature.name == name and at >= since else feature.version
