"""What judges said of some traces, so that a cheaper way to answer is never shown without how well it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...stats.estimate import Estimate
from ...stats.intervals import ratio_from
from ..reductions import rows
from ..weekly.sql import moments_of, squares

# A judgement that was drawn with a known probability counts for those that were not drawn.
_WEIGHT = "(CASE WHEN s.inclusion_prob > 0 THEN 1e0 / s.inclusion_prob ELSE 1e0 END)"


def judged(obs, traces: str, keys: Sequence[str]) -> list[tuple[dict, str, Estimate]]:
    """Mean of every judge's score by the keys of a table of traces: (keys, name of the score, estimate), the most judged score first.

    ``traces`` is SQL that gives source, project, trace_id, the keys and ``cluster``, what the interval takes as one draw. n counts
    judgements. A mean of fewer than two clusters, or of values all alike, is refused with its reason.
    """
    by = ", ".join(f"t.{k}" for k in keys)
    found = rows(
        obs,
        f"""WITH t AS ({traces}),
        clusters AS (SELECT {by}, s.name AS score, t.cluster, sum({_WEIGHT} * s.value) AS x0, sum({_WEIGHT}) AS n0, count(*) AS k
          FROM scores s JOIN t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id
          WHERE s.rater = 'judge' AND s.value IS NOT NULL GROUP BY {by}, s.name, t.cluster)
        SELECT {by}, score, sum(k) AS k, {squares(1)} FROM clusters t GROUP BY {by}, score ORDER BY k DESC, score, {by}""",
    )
    means = [(r, ratio_from(moments_of(r, 0))) for r in found]
    return [({k: r[k] for k in keys}, r["score"], replace(mean, n=int(r["k"]))) for r, mean in means]
