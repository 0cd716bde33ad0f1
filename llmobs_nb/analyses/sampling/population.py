"""The traces of a window as a sampling plan sees them: one row per trace of the product, in plain SQL; draws by hash.

A trace is drawn where the first twelve hexadecimal digits of the md5 of rule, seed and its identity are below the probability
written the same way. The same seed draws the same traces, on any engine, and a trace that arrives later changes no other's draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ... import windows as w
from ...columns import literal, quote
from ...errors import UsageError
from ...schema import SPANS
from ...windows import Window

DIGITS = 12
CERTAIN_RULES = {
    "error": "max(CASE WHEN status = 'error' THEN 1 ELSE 0 END)",
    "guardrail_block": "max(CASE WHEN guardrails LIKE '%\"block%' THEN 1 ELSE 0 END)",
}
LOW_RATING = "low_rating"
_LOW = 0.4  # a rating in the lowest two fifths of its scale: thumbs down, 1 and 2 of 5


def window_of(obs, since=None, until=None, *, days: int = 7, tz: str = "UTC") -> Window | None:
    """The window asked for; by default the last ``days`` days that hold data. None where there are no spans of the product."""
    found = obs.query("SELECT max(start_time) AS b, min(start_time) AS a FROM spans WHERE purpose IS NULL").to_pylist()[0]
    if found["b"] is None:
        return None
    end = w.parse_since(until, tz=tz) if until is not None else found["b"] + timedelta(microseconds=1)
    start = w.parse_since(since, tz=tz) if since is not None else end - timedelta(days=days)
    if start >= end:
        raise UsageError(f"since={since!r} is not before until={until!r}; swap them, or widen the window")
    return Window(start, end, w.ending(start, end, tz))


def check_columns(obs, names: Sequence[str]) -> None:
    """Raise UsageError for a name that is neither a column of spans nor a metadata key."""
    for name in names:
        obs.where(**{name: None})


def traces_sql(window: Window, columns: Sequence[str] = (), bands: Mapping[str, Sequence[float]] | None = None) -> str:
    """One row per trace: identity, session, started, ``error``, ``guardrail_block``, ``low_rating`` (0 or 1), sizes, and what it is cut by.

    ``columns`` are those of spans or metadata keys, as ``c0``, ``c1`` …; ``bands`` are score names with their cut points, as
    ``b0``, ``b1`` …: the mean of what judges gave a trace, as text such as ``0.5 to 0.7``, null where none did.
    """
    bands = bands or {}
    own = "".join(f", max({_value(name)}) AS c{i}" for i, name in enumerate(columns))
    scored = "".join(f", {_band(cuts, f'j{i}.value')} AS b{i}" for i, cuts in enumerate(bands.values()))
    joins = "".join(f" LEFT JOIN ({_judged(name)}) j{i} ON j{i}.trace_id = t.trace_id" for i, name in enumerate(bands))
    flags = ", ".join(f"{sql} AS {name}" for name, sql in CERTAIN_RULES.items())
    return f"""SELECT t.*, CASE WHEN r.trace_id IS NULL THEN 0 ELSE 1 END AS {LOW_RATING}{scored}
      FROM (SELECT source, project, trace_id, max(session_id) AS session_id, min(start_time) AS started, {flags}, {_SIZES}{own}
        FROM spans WHERE purpose IS NULL AND {_days(window)} GROUP BY source, project, trace_id
        HAVING min(start_time) >= {_time(window.start)} AND min(start_time) < {_time(window.end)}) t
      LEFT JOIN ({_LOW_RATED}) r ON r.trace_id = t.trace_id{joins}"""


def below(probability: str, *rule: object) -> str:
    """SQL for "this trace is drawn": its hash under a rule and seed lies below the hexadecimal ``probability`` (SQL of a text)."""
    told = "/".join(str(part) for part in rule)
    return f"substr(md5(concat({literal(told)}, '/', source, '/', project, '/', trace_id)), 1, {DIGITS}) < {probability}"


def threshold(probability: float) -> str:
    """A probability as the text that hashes are compared with; ``g`` lies above every hash."""
    return "g" if probability >= 1 else format(int(max(probability, 0.0) * 16**DIGITS), f"0{DIGITS}x")


# Characters that a judge would read: question and answer of the root (else of the calls), and the texts of retrievers.
_SIZES = """coalesce(max(CASE WHEN is_root THEN input_chars END), max(CASE WHEN kind = 'llm' THEN input_chars END)) AS question_chars,
          coalesce(max(CASE WHEN is_root THEN output_chars END), max(CASE WHEN kind = 'llm' THEN output_chars END)) AS answer_chars,
          sum(CASE WHEN kind = 'retriever' THEN output_chars END) AS retrieved_chars,
          max(CASE WHEN kind = 'llm' THEN input_chars END) AS prompt_chars"""
_LOW_RATED = f"""SELECT DISTINCT s.trace_id FROM scores s
        JOIN (SELECT name, min(value) AS low, max(value) AS high FROM scores WHERE rater = 'user' AND value IS NOT NULL GROUP BY name) scale
          ON s.name = scale.name
        WHERE s.rater = 'user' AND s.trace_id IS NOT NULL AND s.value < CASE WHEN scale.low = scale.high AND scale.low > 0 THEN 0
          ELSE least(scale.low, 1) + {_LOW} * (greatest(scale.high, 1) - least(scale.low, 1)) END"""


def _judged(name: str) -> str:
    return f"""SELECT trace_id, avg(value) AS value FROM scores WHERE name = {literal(name)} AND rater = 'judge'
        AND value IS NOT NULL AND trace_id IS NOT NULL GROUP BY trace_id"""


def _band(cuts: Sequence[float], value: str) -> str:
    cuts = sorted(float(c) for c in cuts)
    names = [f"below {cuts[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(cuts))]
    parts = " ".join(f"WHEN {value} < {cut!r} THEN {literal(name)}" for cut, name in zip(cuts, names, strict=True))
    return f"CASE WHEN {value} IS NULL THEN NULL {parts} ELSE {literal(f'{cuts[-1]:g} and above')} END"


def _value(name: str) -> str:
    return f"CAST({quote(name)} AS VARCHAR)" if name in SPANS else f"metadata[{literal(name)}]"


def _days(window: Window) -> str:
    first, last = (at + timedelta(days=d) for at, d in ((window.start, -1), (window.end, 1)))
    return f"day BETWEEN DATE '{first:%Y-%m-%d}' AND DATE '{last:%Y-%m-%d}'"


def _time(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"
