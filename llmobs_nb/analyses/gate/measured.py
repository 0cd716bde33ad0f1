"""One row per trace with every dimension as a column, made in the engine: m0, m1 … in the order of the dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from ...columns import literal
from ..incident.watched import REFUSAL, REFUSES
from ..incident.wording import REFUSAL_CHARS
from .dimensions import Dimension

_SAME_TRACE = "{a}.trace_id = {b}.trace_id AND {a}.source = {b}.source AND {a}.project = {b}.project"


def same_trace(a: str, b: str) -> str:
    """The join condition of two relations with a row per trace."""
    return _SAME_TRACE.format(a=a, b=b)


def traces_sql(among: str, dimensions: Sequence[Dimension], *, inputs: bool = False) -> str:
    """One row per trace of ``among`` (SQL of source, project, trace_id): started, cluster (its session), stratum, m0, m1 ….

    ``stratum`` is feature and tenant tier. A dimension whose changes are compared as ratios of typical values holds logarithms, a
    value that is not positive is null. With ``inputs`` there is ``input_key``: the hash of the input without regard to case and
    white space (of the root, else of the answering call), as logged where there is no text.
    """
    of_spans = [(i, d) for i, d in enumerate(dimensions) if d.sql]
    of_scores = [(i, d) for i, d in enumerate(dimensions) if d.score]
    refusal = next((i for i, d in enumerate(dimensions) if d.name == REFUSAL.name), None)
    columns = "".join(f", {_value(d)} AS m{i}" for i, d in of_spans)
    parts = [f"among AS (SELECT DISTINCT source, project, trace_id FROM ({among}) a)", f"spanned AS ({_spanned(columns)})"]
    joins, names = "", [f"t.m{i}" for i, _ in of_spans]
    if of_scores:
        parts.append(f"scored AS ({_scored(of_scores)})")
        joins += f" LEFT JOIN scored s ON {same_trace('s', 't')}"
        names += [f"s.m{i}" for i, _ in of_scores]
    if refusal is not None or inputs:
        parts.append(f"texts AS ({_texts(inputs=inputs)})")
        joins += f" LEFT JOIN texts x ON {same_trace('x', 't')}"
        names += [f"{_refused()} AS m{refusal}"] if refusal is not None else []
        names += ["coalesce(x.root_key, x.call_key, t.logged_key) AS input_key"] if inputs else []
    shown = "".join(f", {n}" for n in names)
    return f"""WITH {", ".join(parts)}
    SELECT t.source, t.project, t.trace_id, t.started, t.cluster, t.stratum{shown} FROM spanned t{joins}"""


def _value(d: Dimension) -> str:
    return f"CAST(CASE WHEN ({d.sql}) > 0 THEN ln({d.sql}) END AS DOUBLE)" if d.how == "log" else f"CAST({d.sql} AS DOUBLE)"


def _spanned(columns: str) -> str:
    return f"""SELECT source, project, trace_id, min(start_time) AS started, coalesce(max(session_id), trace_id) AS cluster,
        concat(coalesce(max(feature), ''), ' / ', coalesce(max(user_tier), '')) AS stratum,
        max(CASE WHEN is_root THEN span_id END) AS root_id, arg_max(span_id, start_time) FILTER (WHERE kind = 'llm') AS call_id,
        coalesce(max(CASE WHEN is_root THEN input_hash END), max(CASE WHEN kind = 'llm' THEN input_hash END)) AS logged_key{columns}
      FROM (SELECT s.* FROM spans s JOIN among a ON {same_trace("s", "a")}) spans GROUP BY source, project, trace_id"""


def _scored(of_scores: Sequence[tuple[int, Dimension]]) -> str:
    """Repeated judgements of a trace by one kind of rater are averaged."""
    columns = ", ".join(
        f"avg(CASE WHEN name = {literal(d.score[0])} AND coalesce(rater, 'unknown') = {literal(d.score[1])} THEN value END) AS m{i}"
        for i, d in of_scores
    )
    return f"""SELECT s.source, s.project, s.trace_id, {columns} FROM scores s JOIN among a ON {same_trace("s", "a")}
      WHERE value IS NOT NULL GROUP BY s.source, s.project, s.trace_id"""


def _texts(*, inputs: bool) -> str:
    key = r"md5(regexp_replace(lower(trim(p.input)), '\s+', ' ', 'g'))"
    keys = f", max(CASE WHEN p.span_id = t.root_id THEN {key} END) AS root_key, max(CASE WHEN p.span_id = t.call_id THEN {key} END) AS call_key"
    said = f"left(p.output, {REFUSAL_CHARS})"
    return f"""SELECT t.source, t.project, t.trace_id, max(CASE WHEN p.span_id = t.call_id THEN {said} END) AS call_said,
        max(CASE WHEN p.span_id = t.root_id THEN {said} END) AS root_said{keys if inputs else ""}
      FROM spanned t JOIN payloads p ON {same_trace("p", "t")} AND (p.span_id = t.root_id OR p.span_id = t.call_id)
      GROUP BY t.source, t.project, t.trace_id"""


def _refused() -> str:
    said = "coalesce(x.call_said, x.root_said)"
    return f"CASE WHEN {said} IS NULL THEN NULL WHEN regexp_matches({said}, {literal(REFUSES)}) THEN 1e0 ELSE 0e0 END"
