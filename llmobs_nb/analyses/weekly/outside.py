"""Series from outside (NPS, CSAT, tickets) by week, with their own n."""

from __future__ import annotations

from ..reductions import rows
from .kpis import series_kpi
from .levels import Review, review_ratio
from .plan import Plan
from .sql import days, moments

MOST = 20


def reviews(obs, plan: Plan) -> list[Review]:
    """One review per series with a value on the days compared; every value is a unit, weighted by its n (1 where it has none)."""
    names = [
        r["name"] for r in rows(obs, f"SELECT name, count(*) AS c FROM series GROUP BY name ORDER BY c DESC, name LIMIT {MOST}")
    ]
    if not names:
        return []
    source = f"""(WITH {days(plan)}, listed AS (SELECT name, dense_rank() OVER (ORDER BY c DESC, name) - 1 AS key
          FROM (SELECT name, count(*) AS c FROM series GROUP BY name) counted),
        placed AS (SELECT l.key, d.day_no, s.value, coalesce(s.n, 1) AS n FROM series s JOIN listed l ON s.name = l.name
          JOIN days d ON s."time" >= d.lo AND s."time" < d.hi WHERE s.value IS NOT NULL AND coalesce(s.n, 1) > 0)
        SELECT key, day_no, value, n, row_number() OVER (ORDER BY key, day_no, value) AS cluster FROM placed) placed"""
    found = moments(obs, plan, source, [("value * n", "n", False)], key="key")
    made = [review_ratio(series_kpi(name), plan, found.get((i, 0), {})) for i, name in enumerate(names)]
    return [r for r in made if r.n]
