"""One pass over the spans for all rules, then one small sum per rule: SQL that leaves some thousand rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from ...columns import literal, quote
from ...schema import SPANS
from ..incident import traces as tr
from ..incident import wording
from ..incident.watched import REFUSAL, SCORE, SESSION_SCORE, WATCHED, Metric
from ..reductions import rows
from .metrics import JUDGE_COST, Measure, matching, waiting
from .rules import Rule
from .sums import BUCKET, ORIGIN, Buckets, Moments, Sums

TRACES = "alert_traces"
MOST_VALUES, MOST_EVENTS, MOST_SCORES, EXAMPLES = 50, 2000, 20, 5
# Rendered prompts that differ from call to call are no versions.
STEADY = 0.02
_LAST = 6400


class Reducer:
    """The traces that the rules ask about, kept in the engine while a check runs; bins are counted back from ``end``."""

    def __init__(self, obs, rules: Sequence[Rule], end: datetime, reach: timedelta) -> None:
        self.obs, self.end = obs, end
        midnight = (end - reach).replace(hour=0, minute=0, second=0, microsecond=0)
        self.days = -(-(end - midnight) // timedelta(days=1))
        self.start = midnight
        self.measures = {r.name: r.measure for r in rules}
        self.names = list(dict.fromkeys(n for r in rules for n in (*r.by, *(k for k, _ in r.where))))
        columns = [m.column for m in self.measures.values() if m.column]
        self.dimensions = tuple(dimension(obs, n) for n in dict.fromkeys([*self.names, *columns, "environment"]))
        self.metrics = _metrics(self.measures.values())
        self.first: datetime | None = None

    @contextmanager
    def open(self) -> Iterator[Reducer]:
        """Fill the table of traces; it is gone when the block ends."""
        plan = tr.Plan(self.start, self.days, self.metrics, self.dimensions, ())
        texts = any(m.metric is not None and m.metric.name == REFUSAL.name for m in self.measures.values())
        with ExitStack() as stack:
            stack.enter_context(self.obs.kept(tr.RAW, tr.raw_sql(plan)))
            more = f" LEFT JOIN ({wording.texts_sql((), len(self.metrics))}) t USING (source, project, trace_id)" if texts else ""
            stack.enter_context(self.obs.kept(TRACES, f"SELECT * FROM {tr.RAW}{more}"))
            ((self.first),) = (r["a"] for r in rows(self.obs, f"SELECT min(started) AS a FROM {TRACES}"))
            yield self

    def sums(self, rule: Rule) -> Sums:
        """What a rule needs, up to the end."""
        measure, bins = rule.measure, self.bins(rule.width)
        if measure.kind == "declared":
            return Sums(measure, self._begin(rule.width), ((),), bins, missing=waiting(measure))
        if measure.kind == "event":
            return self._events(rule, measure, bins)
        table, value = self._source(rule, measure)
        where = self._where(rule)
        keys, left = self._keys(rule, table, value, where) if rule.by else (((),), 0)
        shared = {
            "measure": measure,
            "begin": self._begin(rule.width),
            "keys": tuple(keys),
            "bins": bins,
            "first": self._first(rule.width),
            "left": left,
        }
        if not keys:
            return Sums(**shared, missing=f"no traffic has a value of {' and '.join(rule.by)}")
        picked = f"{table} JOIN {self._top(rule, keys)}" if rule.by else f"(SELECT *, 0 AS k FROM {table})"
        bin = self._bin(rule.width)
        if measure.kind in ("quantile", "distinct") or rule.compare.method == "ks":
            code = (
                f"d{self._place(measure.column)}" if measure.kind == "distinct" else _bucket(value, signed=measure.kind == "mean")
            )
            return self._buckets(shared, f"SELECT k, {bin} AS bin, {code} AS code, count(*) AS n FROM {picked} WHERE {where} "
                                         f"AND {code} IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 2")  # fmt: skip
        return self._moments(
            shared,
            f"""SELECT k, {bin} AS bin, count(v) AS n, sum(v) AS s, sum(v * v) AS q,
            sum(CASE WHEN v > 0 THEN 1 ELSE 0 END) AS ln, sum(CASE WHEN v > 0 THEN ln(v) END) AS ls, sum(CASE WHEN v > 0 THEN ln(v) * ln(v) END) AS lq
            FROM (SELECT *, {value} AS v FROM {picked}) p WHERE {where} GROUP BY 1, 2""",
        )

    def bins(self, width: timedelta) -> int:
        """How many bins of a width lie between start and end; the first may begin before the start."""
        return -(-(self.end - self.start) // width)

    def examples(self, rule: Rule, key: tuple[str, ...], low: datetime) -> list[str]:
        """Up to five traces of the window to look at: the worst where the metric has a worse side, else the latest."""
        measure = rule.measure
        if measure.kind in ("event", "declared") or measure.metric is JUDGE_COST:
            return []
        table, value = self._source(rule, measure)
        here = " AND ".join(
            [self._where(rule), *(f"d{self._place(n)} = {literal(v)}" for n, v in zip(rule.by, key, strict=True))]
        )
        order = {"down": f"{value} DESC", "up": value}.get(measure.better, "started DESC") if measure.metric else "started DESC"
        there = f"{value} IS NOT NULL" if measure.metric else "true"
        found = rows(
            self.obs,
            f"""SELECT trace_id FROM {table} WHERE {here} AND {there} AND started >= {_at(low)}
            AND started < {_at(self.end)} ORDER BY {order}, trace_id LIMIT {EXAMPLES}""",
        )
        return [r["trace_id"] for r in found]

    def event_examples(self, rule: Rule, name: str, low: datetime) -> list[str]:
        """Up to five traces with a new value of an event."""
        found = rows(
            self.obs,
            f"""SELECT DISTINCT trace_id FROM ({self._spans(rule)}) e WHERE name = {literal(name)}
            AND started >= {_at(low)} ORDER BY trace_id LIMIT {EXAMPLES}""",
        )
        return [r["trace_id"] for r in found]

    def _source(self, rule: Rule, measure: Measure) -> tuple[str, str]:
        """The table and the expression of the value; of judging it is spans, not traces."""
        if measure.metric is JUDGE_COST:
            dims = "".join(f", {_of_span(d.name)} AS d{i}" for i, d in enumerate(self.dimensions))
            return (
                f"""(SELECT start_time AS started, trace_id, cost_usd{dims} FROM spans WHERE (purpose = 'judging' OR kind = 'evaluator')
                AND start_time >= {_at(self.start)})""",
                "cost_usd",
            )
        if measure.metric is None:
            return TRACES, "1e0"
        value = f"m{self._column(measure.metric)}"
        if rule.compare.bad:
            side, limit = rule.compare.bad
            value = f"CASE WHEN {value} IS NOT NULL THEN CASE WHEN {value} {'>' if side == 'above' else '<'} {limit!r} THEN 1e0 ELSE 0e0 END END"
        return TRACES, value

    def _column(self, metric: Metric) -> int:
        return self.metrics.index(metric) if metric.name != REFUSAL.name else len(self.metrics)

    def _place(self, name: str) -> int:
        return next(i for i, d in enumerate(self.dimensions) if d.name == name)

    def _bin(self, width: timedelta) -> str:
        return f"CAST(floor((epoch_us(started) - {_us(self._begin(width))}) / {width // timedelta(microseconds=1)}) AS INTEGER)"

    def _begin(self, width: timedelta) -> datetime:
        return self.end - self.bins(width) * width

    def _first(self, width: timedelta) -> int:
        return self.bins(width) if self.first is None else max(0, self.bins(width) + (self.first - self.end) // width)

    def _where(self, rule: Rule) -> str:
        parts = [f"started < {_at(self.end)}"]
        for name, values in rule.where:
            d = f"d{self._place(name)}"
            known = ", ".join(literal(v) for v in values if v is not None)
            either = [f"{d} IN ({known})"] * bool(known) + [f"{d} IS NULL"] * (None in values)
            parts.append(f"({' OR '.join(either)})")
        return " AND ".join(parts)

    def _keys(self, rule: Rule, table: str, value: str, where: str) -> tuple[list[tuple[str, ...]], int]:
        """The values of a split by how much of the metric they hold (of totals) or how many rows, and how many there are beyond fifty."""
        dims = [f"d{self._place(n)}" for n in rule.by]
        weight = f"sum({value})" if rule.measure.kind == "total" else f"count({value})" if rule.measure.metric else "count(*)"
        known = " AND ".join(f"{d} IS NOT NULL" for d in dims)
        found = rows(
            self.obs,
            f"""SELECT {", ".join(dims)}, {weight} AS weight, count(*) OVER () AS groups FROM {table}
            WHERE {where} AND {known} GROUP BY {", ".join(dims)} ORDER BY weight DESC NULLS LAST, {", ".join(dims)} LIMIT {MOST_VALUES}""",
        )
        return [tuple(r[d] for d in dims) for r in found], max(0, (found[0]["groups"] if found else 0) - MOST_VALUES)

    def _top(self, rule: Rule, keys: Sequence[tuple[str, ...]]) -> str:
        dims = [f"d{self._place(n)}" for n in rule.by]
        values = ", ".join(f"({', '.join(map(literal, key))}, {k})" for k, key in enumerate(keys))
        return f"(SELECT * FROM (VALUES {values}) AS top({', '.join(dims)}, k)) top USING ({', '.join(dims)})"

    def _moments(self, shared: dict, sql: str) -> Moments:
        answer = self.obs.query(sql)
        got = {c: np.nan_to_num(answer[c].to_numpy().astype(float)) for c in answer.column_names}
        bin, keep = got["bin"].astype(int), (got["bin"] >= 0) & (got["bin"] < shared["bins"])
        running = np.zeros((6, len(shared["keys"]), shared["bins"] + 1))
        for i, name in enumerate(("n", "s", "q", "ln", "ls", "lq")):
            running[i, got["k"].astype(int)[keep], bin[keep] + 1] = got[name][keep]
        return Moments(**shared, running=running.cumsum(axis=2))

    def _buckets(self, shared: dict, sql: str, **more) -> Buckets:
        answer = self.obs.query(sql)
        got = {c: answer[c].to_numpy(zero_copy_only=False) for c in answer.column_names}
        keep = (got["bin"] >= 0) & (got["bin"] < shared["bins"])
        code = got["code"][keep]
        if code.dtype == object:
            _, code = np.unique(code.astype(str), return_inverse=True)
        return Buckets(**shared, **more, bin=got["bin"][keep].astype(int), key=got["k"][keep].astype(int), code=code.astype(int),
                       count=got["n"][keep].astype(float))  # fmt: skip

    def _events(self, rule: Rule, measure: Measure, bins: int) -> Buckets | Sums:
        shared = {
            "measure": measure,
            "begin": self._begin(rule.width),
            "keys": ((),),
            "bins": bins,
            "first": self._first(rule.width),
        }
        found = rows(
            self.obs,
            f"""SELECT name, count(*) AS n FROM ({self._spans(rule)}) e GROUP BY name
            ORDER BY min(started), name LIMIT {MOST_EVENTS}""",
        )
        names = tuple(r["name"] for r in found)
        if not names:
            return Sums(**shared, missing=f"nothing in reach says anything of {measure.name}")
        values = ", ".join(f"({literal(n)}, {k})" for k, n in enumerate(names))
        sql = f"""SELECT 0 AS k, {self._bin(rule.width)} AS bin, code, count(*) AS n FROM ({self._spans(rule)}) e
            JOIN (VALUES {values}) AS known(name, code) USING (name) GROUP BY 1, 2, 3 ORDER BY 2"""
        return self._buckets(shared, sql, names=names)

    def _spans(self, rule: Rule) -> str:
        """One row per span that says something of the event: name, started, trace_id."""
        conditions = [f"start_time >= {_at(self.start)} AND start_time < {_at(self.end)} AND purpose IS NULL"]
        if rule.where:
            conditions.append(
                f"(source, project, trace_id) IN (SELECT (source, project, trace_id) FROM {TRACES} WHERE {self._where(rule)})"
            )
        if rule.metric == "unexpected_model":
            name, told = "model", "kind = 'llm' AND model IS NOT NULL"
        elif rule.metric == "new_error_class":
            name, told = "coalesce(error_class, 'other')", "status = 'error'"
        else:
            name, told = self._prompt()
        return f"SELECT {name} AS name, start_time AS started, trace_id FROM spans WHERE {' AND '.join([told, *conditions])}"

    def _prompt(self) -> tuple[str, str]:
        """What names a version of a prompt: its version; the hash of the rendered text where that is steady from call to call."""
        (r,) = rows(
            self.obs,
            f"""SELECT count(prompt_version) AS versions, count(system_prompt_hash) AS hashed,
            count(DISTINCT system_prompt_hash) AS texts FROM spans WHERE kind = 'llm' AND start_time >= {_at(self.start)}""",
        )
        of = "coalesce(prompt_name, feature, 'prompt')"
        if not r["versions"] and r["hashed"] and r["texts"] <= max(5, STEADY * r["hashed"]):
            return f"concat({of}, ' ', left(system_prompt_hash, 12))", "kind = 'llm' AND system_prompt_hash IS NOT NULL"
        return f"concat({of}, '@', prompt_version)", "kind = 'llm' AND prompt_version IS NOT NULL"


def expand(obs, rules: Sequence[Rule], start: datetime) -> tuple[list[Rule], list[str]]:
    """The rules with each pattern of scores replaced by the scores that are there; and what a pattern did not find."""
    if not any(r.measure.pattern for r in rules):
        return list(rules), []
    out, unmet = [], []
    for rule in rules:
        if not rule.measure.pattern:
            out.append(rule)
            continue
        session = rule.metric.startswith(SESSION_SCORE)
        found = [(s.split(":", 1)[1].rsplit(":", 1)[0], s.rsplit(":", 1)[1]) for s in _scores(obs, start, session=session)]
        names = matching(rule.metric, found)
        unmet += [] if names else [f"{rule.name}: the store holds no {rule.metric} of this time"]
        out += [replace(rule, name=f"{rule.name}[{n.split(':', 1)[1].rsplit(':', 1)[0]}]", metric=n) for n in names]
    return out, unmet


def dimension(obs, name: str) -> tr.Dimension:
    """What a rule splits or filters by, as a value per trace. Raises UsageError for what is neither a column nor a metadata key."""
    if name in tr.OF_CALLS:
        return tr.Dimension(name, f"arg_max({quote(name)}, start_time) FILTER (WHERE kind = 'llm')")
    obs.where(**{name: None})
    return tr.Dimension(name, f"max({_of_span(name)})")


def _of_span(name: str) -> str:
    return f"CAST({quote(name)} AS VARCHAR)" if name in SPANS else f"metadata[{literal(name)}]"


def _scores(obs, start: datetime, *, session: bool) -> list[str]:
    about = "trace_id IS NULL AND session_id IS NOT NULL" if session else "trace_id IS NOT NULL"
    found = rows(
        obs,
        f"""SELECT name, coalesce(rater, 'unknown') AS rater, count(*) AS n FROM scores
        WHERE value IS NOT NULL AND {about} AND created_at >= {_at(start)} GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT {MOST_SCORES}""",
    )
    return [f"{SESSION_SCORE if session else SCORE}{r['name']}:{r['rater']}" for r in found]


def _metrics(measures) -> tuple[Metric, ...]:
    """The metrics of traces, each once and never none; refusals come with the texts, judging apart."""
    wanted = [m.metric for m in measures if m.metric is not None and m.metric is not JUDGE_COST and m.metric.name != REFUSAL.name]
    return tuple(dict.fromkeys([*wanted, WATCHED[0]]))


def _bucket(value: str, *, signed: bool) -> str:
    if signed:
        return f"CAST(least(greatest(floor({value} * 1000) + 20000, 0), 220000) AS INTEGER)"
    inside = f"least(greatest(floor(ln({value}) / {BUCKET}) + {ORIGIN}, 1), {_LAST})"
    return f"CASE WHEN {value} > 0 THEN CAST({inside} AS INTEGER) WHEN {value} <= 0 THEN 0 END"


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _at(at: datetime) -> str:
    return f"TIMESTAMPTZ {literal(at.isoformat())}"
