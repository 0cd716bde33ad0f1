"""Who asks what and when: sessions and their turns, with rhythm, growth, days off and accounts that come, grow or are loud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .coded import Coded
from .product import Product
from .story import DAY, HOUR

LONGEST = 12
MINUTE = 60_000_000


@dataclass(frozen=True)
class Redirect:
    """A share of sessions goes to a feature or tenant instead of where it would have gone.

    ``chance`` is that of a session at each time (times are microseconds since the first day).
    """

    role: str
    value: int
    chance: object  # at -> chance per session


@dataclass
class Traffic:
    """One array per property, one element per trace, in order of time; ``dims`` are the dimensions by role."""

    at: np.ndarray
    session: np.ndarray
    turn: np.ndarray
    user: np.ndarray
    tenant: np.ndarray
    feature: np.ndarray
    topic: np.ndarray
    model: np.ndarray
    dims: dict[str, Coded]

    def __len__(self) -> int:
        return len(self.at)

    @property
    def day(self) -> np.ndarray:
        return self.at // DAY

    @property
    def hour(self) -> np.ndarray:
        return self.at % DAY // HOUR


def draw_traffic(rng: np.random.Generator, product: Product, traces: int, *, volume: np.ndarray, redirects=()) -> Traffic:
    """``traces`` requests; ``volume`` is a factor by day on top of the product's own rhythm."""
    start, user, feature = _sessions(rng, product, traces, volume, redirects)
    follows = np.array([f.next_turn for f in product.features])[feature]
    turns = np.minimum(rng.geometric(1 - follows), LONGEST)
    kept = int(np.searchsorted(turns.cumsum(), traces)) + 1
    session = np.repeat(np.arange(kept), turns[:kept])[:traces]
    turn = np.arange(len(session)) - np.searchsorted(session, session)
    pauses = np.where(turn == 0, 0, rng.integers(25_000_000, 4 * MINUTE, len(session)))
    waited = pauses.cumsum()
    at = np.minimum(start[session] + waited - waited[np.searchsorted(session, session)], product.days * DAY - MINUTE)
    order = np.argsort(at, kind="stable")
    session, turn = session[order], turn[order]
    user, feature = user[session], feature[session]
    topics = rng.dirichlet(np.full(6, 2.0), len(product.features)).cumsum(1)
    traffic = Traffic(
        at=at[order],
        session=session,
        turn=turn + 1,
        user=user,
        tenant=product.users.tenant[user],
        feature=feature,
        topic=(rng.random(kept)[session][:, None] > topics[feature]).sum(1).clip(max=5),
        model=_models(product, rng.random(kept)[session], feature, product.users.tenant[user]),
        dims={},
    )
    traffic.dims.update(_dims(rng, product, traffic, kept))
    return traffic


def day_weights(product: Product, volume: np.ndarray) -> np.ndarray:
    """The share of each day in the sessions."""
    days = np.arange(product.days)
    weekday = (product.start.weekday() + days) % 7
    weights = product.rhythm.weekdays[weekday] * (1 + product.rhythm.growth) ** (days // 7) * volume
    return weights / weights.sum()


def _sessions(rng: np.random.Generator, product: Product, traces: int, volume: np.ndarray, redirects):
    """More sessions than are needed: start, user and feature of each.

    A session that is redirected to an account keeps its feature, so that only the mix of accounts changes.
    """
    count = traces + 1
    day = rng.choice(product.days, count, p=day_weights(product, volume))
    hour = rng.choice(24, count, p=product.rhythm.hours)
    at = day * DAY + hour * HOUR + rng.integers(0, HOUR, count)
    weight = product.users.weight / product.users.weight.sum()
    user = rng.choice(len(weight), count, p=weight)
    feature = rng.choice(len(product.features), count, p=np.array([f.share for f in product.features]))
    favourite = (product.tenants.favourite * len(product.features)).astype(int)[product.users.tenant[user]]
    feature = np.where(rng.random(count) < product.taste, favourite, feature)
    for one in redirects:
        moved = rng.random(count) < one.chance(at)
        if one.role == "feature":
            feature[moved] = one.value
        else:
            members = np.flatnonzero(product.users.tenant == one.value)
            if len(members):
                user[moved] = rng.choice(members, int(moved.sum()))
    return at, user, feature


def _models(product: Product, drawn: np.ndarray, feature: np.ndarray, tenant: np.ndarray) -> np.ndarray:
    """The model of each request: by the shares of its feature, the premium one for the highest tier."""
    out = np.zeros(len(feature), np.int64)
    highest = product.tenants.tier[tenant] == len(product.values["tier"]) - 1
    for n, one in enumerate(product.features):
        mine = feature == n
        models, weights = one.models
        out[mine] = np.array(models)[np.searchsorted(np.cumsum(weights)[:-1], drawn[mine])]
        if one.premium is not None:
            out[mine & highest] = one.premium
    return out


def _dims(rng: np.random.Generator, product: Product, traffic: Traffic, sessions: int) -> dict[str, Coded]:
    users, values = product.users, product.values
    codes = {
        "tenant": traffic.tenant,
        "tier": product.tenants.tier[traffic.tenant],
        **{role: getattr(users, role)[traffic.user] for role in ("auth", "locale", "region", "client", "bucket")},
        "worker": rng.integers(0, len(values["worker"]), len(traffic)),
        "environment": (rng.random(sessions) < product.staging)[traffic.session],
    }
    dims = {role: Coded(c.astype(np.int32), list(values[role])) for role, c in codes.items()}
    features, models = product.features, product.models
    dims["feature"] = Coded(traffic.feature.astype(np.int32), [f.name for f in features])
    dims["prompt_name"] = Coded(traffic.feature.astype(np.int32), [f.prompt for f in features])
    dims["prompt_version"] = _worded(traffic.feature, [f.version for f in features])
    for name, told in (("provider", "provider"), ("model_requested", "requested"), ("model", "resolved")):
        dims[name] = _worded(traffic.model, [getattr(m, told) for m in models])
    dims["release"] = _releases(rng, product, traffic)
    dims["index"] = _index(rng, product, traffic)
    return dims


def _worded(index: np.ndarray, texts: list[str]) -> Coded:
    """Codes by the text, where several indices share one."""
    known = sorted(set(texts))
    return Coded(np.array([known.index(t) for t in texts], np.int32)[index], known)


def _releases(rng: np.random.Generator, product: Product, traffic: Traffic) -> Coded:
    """A new release every one to two weeks; none changes anything."""
    cuts = np.cumsum(rng.uniform(6, 15, 12)) * DAY + rng.uniform(7, 18) * HOUR
    first = int(rng.integers(2, 40))
    return Coded(np.searchsorted(cuts, traffic.at, side="right").astype(np.int32), [f"{first + n}.0" for n in range(13)])


def _index(rng: np.random.Generator, product: Product, traffic: Traffic) -> Coded:
    """The index that features with retrieval search; rebuilt once or never without consequence."""
    rebuilt = rng.uniform(0, product.days) * DAY if rng.random() < 0.5 else product.days * DAY
    codes = (traffic.at >= rebuilt).astype(np.int32)
    rag = np.array([f.form == "rag" for f in product.features])
    return Coded(np.where(rag[traffic.feature], codes, -1).astype(np.int32), ["kb-1", "kb-2"])
