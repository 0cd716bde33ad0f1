"""The deployment gate: two prompt versions, experiments or releases, dimension by dimension."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...columns import literal
from ...errors import UsageError
from ...stats.noninferiority import judge
from ...text import terminal
from ..incident.watched import Metric
from ..reductions import rows
from ..result import Finding, provenance
from . import compare, selection, sums
from .dimensions import WATCHED_DIMENSIONS, Dimension, chosen, score_dimensions, with_margins
from .measured import same_trace, traces_sql
from .result import Arms, GateResult, Row, headline, overall
from .runs import eval_runs

PICKED, ROWS = "gate_picked", "gate_rows"
# Below these shares of both arms, what they have in common stands for other traffic than the arms.
LEAST_ITEMS, LEAST_INPUTS = 0.5, 0.8
# Fewer distinct inputs than this share of the smaller arm: the same few questions again and again, which pairs would shrink to a few.
LEAST_DISTINCT = 0.5
DESIGNS = {
    "paired_by_item": "the same items of a dataset, each against itself",
    "paired_by_input": "the same inputs, each against itself",
    "independent": "different requests, weighted to the same mix of feature and tenant tier, sessions as clusters",
}


@dataclass(frozen=True)
class _Task:
    """What was asked: the arms (baseline first), and how a verdict is reached."""

    arms: tuple[selection.Selection, selection.Selection]
    dataset: str | None
    level: float


def gate(
    obs,
    *,
    baseline: str,
    candidate: str,
    dataset: str | None = None,
    margin: float | Mapping[str, float] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    level: float = 0.95,
) -> GateResult:
    """May the candidate replace the baseline? A non-inferiority test on every quality dimension; one Result with the verdict.

    ``baseline`` and ``candidate`` select traces: ``prompt_version=v12`` (several conditions with commas), ``release=…`` or
    ``experiment=NAME``; ``dataset`` keeps runs on one dataset. The same item of a dataset (or the same input) is compared with
    itself; else the arms are independent and weighted to the same mix. A dimension passes where its interval at ``level`` ends
    on the good side of its margin, fails where it lies beyond it (Holm over dimensions), and is inconclusive else, with the n that
    a power of 0.8 takes. The verdict is ``pass`` only where all pass, ``blocked`` where one fails.

    ``margin`` is a number for rates and scores (of scores a share of their scale) or a mapping by dimension; ``metrics`` names
    the dimensions to look at (default: all) or adds metrics of one's own (``lm.metric``). UsageError for a selection that is not
    understood or selects nothing, and for arms that are the same.
    """
    began = time.perf_counter()
    if not 0.5 < level < 1:
        raise UsageError(f"level={level!r} is not between 0.5 and 1; give 0.95 for 95 %")
    task = _Task((selection.parse(baseline, "baseline"), selection.parse(candidate, "candidate")), dataset, level)
    for one, what in zip(task.arms, ("baseline", "candidate"), strict=True):
        selection.check(obs, one, what)
    if dataset is not None:
        selection.check_dataset(obs, dataset)
    asked = {"baseline": baseline, "candidate": candidate, "dataset": dataset, "margin": margin, "level": level}
    asked["metrics"] = [m if isinstance(m, str) else m.name for m in metrics] if metrics else None
    with obs.kept(PICKED, _picked_sql(task)):
        both = _check_arms(obs, task)
        found = with_margins(chosen((*WATCHED_DIMENSIONS, *score_dimensions(obs, f"SELECT * FROM {PICKED}")), metrics), margin)
        with _measured(obs, found) as design:
            return _result(obs, task, found, design, both, asked, began)


def _picked_sql(task: _Task) -> str:
    arms = " UNION ALL ".join(
        f"SELECT {k} AS arm, a.* FROM ({selection.arm_sql(one, task.dataset)}) a" for k, one in enumerate(task.arms)
    )
    return f"""WITH arms AS ({arms}), once AS (SELECT source, project, trace_id, count(DISTINCT arm) AS arms, max(item) AS some
      FROM arms GROUP BY source, project, trace_id)
    SELECT arms.*, once.arms AS in_arms FROM arms JOIN once ON {same_trace("arms", "once")}"""


def _check_arms(obs, task: _Task) -> int:
    """How many traces both arms hold; UsageError for an arm without a trace of its own."""
    sql = f"SELECT arm, count(*) AS n, sum(CASE WHEN in_arms > 1 THEN 1 ELSE 0 END) AS both FROM {PICKED} GROUP BY arm"
    seen = {r["arm"]: r for r in rows(obs, sql)}
    for arm, what in enumerate(("baseline", "candidate")):
        if arm not in seen:
            raise selection.nothing_selected(obs, task.arms[arm], what, task.dataset)
        if seen[arm]["n"] == seen[arm]["both"]:
            told = f"baseline={task.arms[0].text!r} and candidate={task.arms[1].text!r}"
            raise UsageError(f"{told}: every trace of the {what} is in the other arm too; add a condition such as prompt_name=…")
    return int(seen[0]["both"])


@contextmanager
def _measured(obs, dimensions: Sequence[Dimension]) -> Iterator[str]:
    """The relation ROWS (arm, key, cluster, stratum, m0 …) while the block runs; gives the design that fits it."""
    traces = traces_sql(f"SELECT source, project, trace_id FROM {PICKED}", dimensions, inputs=True)
    sql = f"SELECT p.arm, p.item, t.* FROM {PICKED} p JOIN ({traces}) t ON {same_trace('p', 't')} WHERE p.in_arms = 1"
    with obs.kept("gate_traces", sql):
        design, key = _design(obs)
        keyed = f"SELECT *, {key} AS key FROM gate_traces"
        with obs.kept(ROWS, keyed):
            yield design


def _design(obs) -> tuple[str, str]:
    """The name of the design and the column that pairs rows."""
    for design, column, least, distinct in (
        ("paired_by_item", "item", LEAST_ITEMS, 0.0),
        ("paired_by_input", "input_key", LEAST_INPUTS, LEAST_DISTINCT),
    ):
        sql = f"""WITH common AS (SELECT {column} AS k FROM gate_traces WHERE {column} IS NOT NULL
            GROUP BY {column} HAVING count(DISTINCT arm) = 2)
          SELECT arm, avg(CASE WHEN k IS NULL THEN 0e0 ELSE 1e0 END) AS share, count(DISTINCT k) AS items, count(*) AS traces
          FROM gate_traces g LEFT JOIN common c ON c.k = g.{column} GROUP BY arm"""
        found = rows(obs, sql)
        enough = max(2, distinct * min((r["traces"] for r in found), default=0))
        if len(found) == 2 and all(r["items"] >= enough and r["share"] >= least for r in found):
            return design, column
    return "independent", "CAST(NULL AS VARCHAR)"


def _result(obs, task: _Task, found: Sequence[Dimension], design: str, both: int, asked: dict, began: float) -> GateResult:
    arms = _arms(obs, design)
    compared, findings = _compare(obs, found, design, task.level)
    judged = judge([(c.contrast, c.dimension.edge, c.dimension.better) for c in compared], level=task.level)
    given = tuple(Row(c, j, _why(c, j, len(compared))) for c, j in zip(compared, judged, strict=True))
    verdict = overall(given)
    findings = (*_findings(obs, task, arms, design, both), *findings)
    runs = eval_runs(obs, level=task.level, scores=[d.score for d in found if d.score])
    window = {"start": min(a.first for a in arms), "end": max(a.last for a in arms)}
    result = GateResult(
        name="gate", headline=headline(verdict, task.arms, given), parameters=asked, findings=findings, verdict=verdict,
        design=design, arms=arms, rows=given, eval_runs=runs, traces=_traces(obs, found, given, design),
        provenance=provenance(obs, window, began),
    )  # fmt: skip
    return result


def _arms(obs, design: str) -> tuple[Arms, Arms]:
    sql = f"""SELECT arm, count(*) AS traces, count(DISTINCT cluster) AS sessions, count(DISTINCT key) AS keys,
        min(started) AS first, max(started) AS last FROM {ROWS} GROUP BY arm ORDER BY arm"""
    found = rows(obs, sql)
    (row,) = rows(
        obs,
        f"""SELECT count(*) AS pairs FROM (SELECT key FROM {ROWS} WHERE key IS NOT NULL
        GROUP BY key HAVING count(DISTINCT arm) = 2) k""",
    )
    pairs = int(row["pairs"]) if design != "independent" else None
    return tuple(Arms(int(r["traces"]), int(r["sessions"]), pairs, r["first"], r["last"]) for r in found)


def _compare(obs, found: Sequence[Dimension], design: str, level: float) -> tuple[list[compare.Compared], list[Finding]]:
    """Every dimension that at least one arm has; what stands out about the mix."""
    findings = []
    if design != "independent":
        every = [compare.paired(d, p, level=level) for d, p in zip(found, sums.paired(obs, ROWS, len(found)), strict=True)]
    else:
        arms = sums.weighted(obs, ROWS, len(found))
        every = [compare.independent(d, b, c, level=level) for d, b, c in zip(found, arms[0], arms[1], strict=True)]
        left = max((1 - w.compared for arm in arms.values() for w, d in zip(arm, found, strict=True) if w.n), default=0.0)
        if left > 0.05:
            text = f"up to {100 * left:.0f} % of an arm's requests are of a feature and tenant tier that the other arm lacks: left out"
            findings.append(Finding("warning", text, 0))
    counts = ", ".join(f"count(m{i}) AS n{i}" for i in range(len(found)))
    (seen,) = rows(obs, f"SELECT {counts} FROM {ROWS}")
    return [c for i, c in enumerate(every) if seen[f"n{i}"]], findings


def _why(c: compare.Compared, j, asked: int) -> str | None:
    """Why a dimension is inconclusive, or failed; None where it passed."""
    if c.contrast is None:
        return c.reason
    if j.verdict != "inconclusive":
        return None
    low, high = c.contrast.limits(j.change.level)
    beyond = {"up": high < -c.dimension.edge, "down": low > c.dimension.edge}
    if beyond.get(c.dimension.better, high < -c.dimension.edge or low > c.dimension.edge):
        return f"beyond the margin, but not after Holm's correction for {asked} dimensions"
    unit = "items" if "same items" in c.how else "requests in both arms"
    if j.n_needed is None:
        return "no number of requests of this kind would settle it"
    if j.n_needed <= j.change.n:
        return "the interval reaches beyond the margin: what was seen is worse than no difference would make likely"
    return f"too few: a power of 0.8 takes {j.n_needed:,} {unit}, there are {j.change.n:,}"


def _findings(obs, task: _Task, arms: Sequence[Arms], design: str, both: int) -> list[Finding]:
    out = [Finding("info", f"compared: {DESIGNS[design]}", arms[0].pairs or arms[0].traces + arms[1].traces)]
    if both:
        out.append(Finding("warning", f"traces that are in both arms, left out: {both:,}", both))
    if design == "independent" and (arms[0].last < arms[1].first or arms[1].last < arms[0].first):
        text = "the arms ran at different times: whatever else changed in between counts as the candidate's"
        out.append(Finding("warning", text, 0))
    if design != "independent":
        sql = f"""SELECT count(*) AS n FROM {ROWS} r LEFT JOIN (SELECT key FROM {ROWS} WHERE key IS NOT NULL GROUP BY key
          HAVING count(DISTINCT arm) = 2) k ON k.key = r.key WHERE k.key IS NULL"""
        (row,) = rows(obs, sql)
        if row["n"]:
            out.append(Finding("info", f"traces whose item only one arm has, left out: {row['n']:,}", int(row["n"])))
    return [*out, *_prompts(obs, task), *_judges(obs)]


def _prompts(obs, task: _Task) -> list[Finding]:
    """A version number that belongs to several prompts."""
    keys = {key for one in task.arms for key, _ in one.conditions}
    if "prompt_version" not in keys or "prompt_name" in keys:
        return []
    versions = ", ".join(literal(v) for one in task.arms for k, v in one.conditions if k == "prompt_version")
    (row,) = rows(obs, f"SELECT count(DISTINCT prompt_name) AS n FROM spans WHERE prompt_version IN ({versions})")
    text = f"these versions are of {row['n']:,} prompts; prompt_name=… in both selections compares one"
    return [Finding("warning", text, int(row["n"]))] if row["n"] > 1 else []


def _judges(obs) -> list[Finding]:
    """Judges that changed between the arms: their scores are not on one scale."""
    sql = f"""SELECT s.name AS name, p.arm AS arm, concat(coalesce(s.judge_model, ''), ' ', coalesce(s.judge_version, '')) AS judge
        FROM scores s JOIN {PICKED} p ON {same_trace("s", "p")} WHERE s.rater = 'judge' AND s.value IS NOT NULL GROUP BY 1, 2, 3"""
    by: dict[str, tuple[set, set]] = {}
    for row in rows(obs, sql):
        by.setdefault(row["name"], (set(), set()))[row["arm"]].add(row["judge"])
    changed = sorted(terminal(name, 60) for name, (a, b) in by.items() if a and b and a != b)
    text = f"the arms were judged by different judges (model or version): {', '.join(changed)}"
    return [Finding("critical", text, len(changed))] if changed else []


def _traces(obs, found: Sequence[Dimension], given: Sequence[Row], design: str) -> dict[str, tuple[str, ...]]:
    """By dimension that did not pass: up to five of the candidate's traces to read, the worst against their item first."""
    out = {}
    for row in given:
        d = row.compared.dimension
        if row.judgement.verdict == "pass" or row.compared.contrast is None:
            continue
        m, sign = f"m{found.index(d)}", "-" if d.better == "up" else ""
        gap = f"r.{m} - b.{m}" if design != "independent" else f"r.{m}"
        join = (
            f"JOIN (SELECT key, avg({m}) AS {m} FROM {ROWS} WHERE arm = 0 GROUP BY key) b ON b.key = r.key"
            if design != "independent"
            else ""
        )
        sql = f"""SELECT r.trace_id FROM {ROWS} r {join} WHERE r.arm = 1 AND r.{m} IS NOT NULL
          ORDER BY {sign}({gap}) DESC, r.trace_id LIMIT 5"""
        out[d.name] = tuple(r["trace_id"] for r in rows(obs, sql))
    return out
