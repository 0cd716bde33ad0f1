"""Is everything here that the source has? What the source counts per day, beside what the store holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import pyarrow as pa

from . import html
from .columns import literal
from .schema import TABLES
from .store.settle import restored
from .text import terminal

Query = Callable[[str], pa.Table]
TOLERANCE = 0.005
MEASURES = ("tokens_in", "tokens_out", "cost_usd")
RETENTION_DAYS = 14
MOST_DAYS = 20
_COUNTS = ("days", "there", "here", "missing")
# What the source said of each span, repeats of its children included. It may count tokens otherwise where ours need care.
_TOKENS = "CASE WHEN count(usage_flag) = 0 THEN coalesce(sum({own}), 0)::BIGINT END AS {name}"
_SPAN_SUMS = (
    *(_TOKENS.format(own=restored(name), name=name) for name in ("tokens_in", "tokens_out")),
    f"coalesce(sum({restored('cost_recorded_usd')}), 0) AS cost_usd",
)
_NO_SUMS = tuple(f"NULL::DOUBLE AS {name}" for name in MEASURES)


def compare(query: Query) -> list[dict]:
    """One dict per source, project, entity and UTC day that the source counted: rows, tokens and cost there and here.

    ``missing`` is how many rows the source has more. ``state``: ``incomplete`` (rows are missing, or tokens or cost fall
    short by more than 0.5 %), ``more`` (rows than the source has), ``complete``, or ``unchecked`` where the pull did not
    cover the whole day or the entity has no days here. A measure that either side does not know is null.
    """
    entities = query("SELECT DISTINCT entity FROM source_totals ORDER BY 1")["entity"].to_pylist()
    return [_compared(row) for entity in entities for row in query(_both_counts(entity)).to_pylist()]


def _both_counts(entity: str) -> str:
    """SQL for every day of an entity that the source counted, with what is here."""
    pairs = ", ".join(f"t.{m} AS {m}_there, h.{m} AS {m}_here" for m in MEASURES)
    known = entity in TABLES and _time_of(entity) in TABLES[entity]
    here = _here(entity) if known else "SELECT * FROM source_totals WHERE false"
    rows = "coalesce(h.rows, 0)" if known else "NULL::BIGINT"
    return f"""SELECT t.source, t.project, t.entity, t.day, t.complete, t.rows AS there, {rows} AS here, {pairs}
        FROM (SELECT * FROM source_totals WHERE entity = {literal(entity)}) t LEFT JOIN ({here}) h
        ON h.source = t.source AND h.project = t.project AND h.day = t.day ORDER BY t.source, t.project, t.day"""


def _time_of(entity: str) -> str:
    return "start_time" if entity == "spans" else "created_at"


def _here(entity: str) -> str:
    """SQL for the rows here by the day of their time: the ``day`` they are filed under is that of the time first seen."""
    sums = ", ".join(_SPAN_SUMS if entity == "spans" else _NO_SUMS)
    return f"""SELECT source, project, {_time_of(entity)}::DATE AS day, count(*) AS rows, {sums} FROM {entity}
        SEMI JOIN (SELECT source, project FROM source_totals WHERE entity = {literal(entity)}) USING (source, project) GROUP BY ALL"""


def _compared(row: dict) -> dict:
    there, here, whole = row["there"], row["here"], row.pop("complete")
    known = there is not None and here is not None
    row |= {"day": row["day"].isoformat(), "missing": max(there - here, 0) if known else None}
    if not (whole and known):
        return row | {"state": "unchecked"}
    state = "incomplete" if row["missing"] or _short(row) else "more" if here > there else "complete"
    return row | {"state": state}


def _short(row: dict) -> list[str]:
    """The measures of which less is here than the source counts."""
    pairs = ((m, row[f"{m}_there"], row[f"{m}_here"]) for m in MEASURES)
    return [m for m, there, here in pairs if there is not None and here is not None and here < there - TOLERANCE * abs(there)]


def findings(rows: Sequence[dict]) -> list[tuple[str, int, str]]:
    """(severity, count, the words after the count) of what differs, source by source."""
    out = []
    for source, found in groupby(sorted(rows, key=_place), key=lambda r: r["source"]):
        checked = [r for r in found if r["state"] != "unchecked"]
        lost = [r for r in checked if r["missing"]]
        stale = [r for r in checked if r["state"] == "incomplete" and not r["missing"]]
        beyond = [r for r in checked if r["here"] > r["there"]]
        if lost:
            cure = f"llmobs pull {source} --since {_first(lost)}"
            text = f"rows that {source} counts are not here: {_named(lost)}; get them with: {cure}"
            out.append(("warning", sum(r["missing"] for r in lost), text))
        if stale:
            cure = f"llmobs pull {source} --since {_first(stale)}"
            text = f"days hold every row that {source} counts, but less of its tokens or cost; newer versions come with: {cure}"
            out.append(("warning", len(stale), text))
        if beyond:
            text = f"rows are here that {source} does not count, first on {_first(beyond)}: deleted there, or here from files"
            out.append(("info", sum(r["here"] - r["there"] for r in beyond), text))
    return out


def _first(rows: Sequence[dict]) -> str:
    return min(r["day"] for r in rows)


def _named(rows: Sequence[dict]) -> str:
    """The first three days with what they miss, and how many more there are."""
    rows = sorted(rows, key=lambda r: (r["day"], *_place(r)))
    named = ", ".join(f"{r['day']} {r['project'][:40]} {r['entity']} ({r['missing']:,})" for r in rows[:3])
    return named + (f" and {len(rows) - 3:,} more" if len(rows) > 3 else "")


def _place(row: dict) -> tuple[str, str, str]:
    return row["source"], row["project"], row["entity"]


def summary(rows: Sequence[dict]) -> list[dict]:
    """One dict per source, project and entity: whole days checked, the rows there and here on them, rows missing."""
    out = []
    for place, found in groupby(sorted(rows, key=_place), key=_place):
        checked = [r for r in found if r["state"] != "unchecked"]
        sums = {name: sum(r[name] for r in checked) for name in ("there", "here", "missing")}
        out.append({**dict(zip(("source", "project", "entity"), place, strict=True)), "days": len(checked), **sums})
    return out


def differing(rows: Sequence[dict]) -> list[dict]:
    """Days that are not as the source has them, most rows missing first; 20 at most."""
    found = [r for r in rows if r["state"] in ("incomplete", "more")]
    return sorted(found, key=lambda r: (-r["missing"], r["day"], *_place(r)))[:MOST_DAYS]


def lines(rows: Sequence[dict]) -> list[tuple[str, str]]:
    """(heading, line) for a terminal: one per source, project and entity, then one per day that differs."""
    counted = "{there:,} there, {here:,} here, {missing:,} missing"
    found = [("compared", f"{' '.join(_place(r))} on {r['days']:,} days: {counted.format(**r)}") for r in summary(rows)]
    found += [("differs", f"{' '.join(_place(r))} on {r['day']}: {counted.format(**r)}{_less(r)}") for r in differing(rows)]
    return [(heading, terminal(line)) for heading, line in found]


def _less(row: dict) -> str:
    return "".join(f", {m} {row[f'{m}_here']:,.6g} of {row[f'{m}_there']:,.6g}" for m in _short(row))


def tables(rows: Sequence[dict]) -> list[html.Html]:
    """The same for a notebook; nothing where no source was asked."""
    out = []
    for what, found in (("days", summary(rows)), ("day", differing(rows))):
        heads = [html.Head(c, number=c in _COUNTS) for c in ("source", "project", "entity", what, *_COUNTS[1:])]
        cells = [[f"{v:,}" if isinstance(v, int) else html.tag("code", v) for v in (r[h.text] for h in heads)] for r in found]
        out += [html.table(cells, heads)] if found else []
    return out


def vanished(query: Query) -> list[tuple[str, int, str]]:
    """The finding of stored rows that their source no longer had; nothing where there are none."""
    found = query(
        "SELECT source, entity, count(*) AS n FROM vanished WHERE gone IS NOT FALSE GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    named = ", ".join(f"{r['source']} {r['entity']} ({r['n']:,})" for r in found)
    text = f"rows stay here that their source no longer had when all of it was compared: {named}"
    return [("info", sum(r["n"] for r in found), text)] if found else []


def survivors(query: Query) -> list[tuple[str, int, str]]:
    """The finding that old LangSmith traces are a selection, where the data show it; else nothing.

    LangSmith drops base traces after 14 days and keeps those that got feedback. It shows when traces that started more
    than 14 days before the newest pull (before the newest trace, where no pull is noted) carry feedback clearly more often
    than younger ones (Wilson intervals apart), or when spans were missed in a comparison with LangSmith.
    """
    why = "LangSmith drops base traces after 14 days and keeps those with feedback, so older weeks lean towards judged traces"
    shares = {r["old"]: (r["judged"], r["n"]) for r in query(_SHARES).to_pylist()}
    if {True, False} <= shares.keys():
        from .stats.intervals import wilson

        old, young = wilson(*shares[True]), wilson(*shares[False])
        if old.ci_low > young.ci_high:
            seen = f"carry feedback in {old.value:.0%} of cases, younger ones in {young.value:.0%}"
            return [("warning", shares[True][1], f"LangSmith traces older than {RETENTION_DAYS} days {seen}: {why}")]
    gone = query("SELECT count(*) AS n FROM vanished WHERE source = 'langsmith' AND entity = 'spans' AND gone IS NOT FALSE")
    missed = gone["n"][0].as_py()
    return [("warning", missed, f"spans are here that LangSmith no longer has: {why}")] if missed else []


_SHARES = f"""WITH t AS (SELECT trace_id, min(start_time) AS started FROM spans WHERE source = 'langsmith' GROUP BY project, trace_id),
    pulled AS (SELECT coalesce((SELECT max(checked_at) FROM source_totals WHERE source = 'langsmith'), max(started)) AS moment FROM t)
    SELECT started < moment - INTERVAL {RETENTION_DAYS} DAY AS old, count(*) AS n,
      count(*) FILTER (trace_id IN (SELECT trace_id FROM scores WHERE source = 'langsmith')) AS judged
    FROM t, pulled WHERE started IS NOT NULL GROUP BY 1"""
