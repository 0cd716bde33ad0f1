"""What should be live: the model and the prompt version that calls should carry, as declared or as labels of prompts say; which differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...columns import literal
from ...errors import UsageError, choose
from ...text import terminal
from ..reductions import rows
from ..result import Finding

if TYPE_CHECKING:
    from .traces import Plan

KEYS = ("model", "model_requested", "prompt_version")
LATEST = 7
TOLERATED = 0.001
SHOWN = 3
NAMED = 20
LIVE = "(?i)(^|[^a-z0-9_-])(production|prod|live)($|[^a-z0-9_-])"
_CALLS = "kind = 'llm' AND purpose IS NULL"


@dataclass(frozen=True)
class Expected:
    """``key`` should be one of ``values``: in calls whose ``column`` is ``name``, or in all where ``column`` is empty; from ``since`` on.

    ``labelled`` says that a label of the prompt says so, and nobody declared it.
    """

    key: str
    values: tuple[str, ...]
    column: str = ""
    name: str = ""
    since: datetime | None = None
    labelled: bool = False

    @property
    def what(self) -> str:
        """The key, and for whom."""
        return f"{self.key} of {terminal(self.name, 60)}" if self.column else self.key

    @property
    def told(self) -> str:
        """The values in words."""
        return " or ".join(terminal(v, 60) for v in self.values)

    @property
    def sql(self) -> str:
        """The condition on a call that it is meant for."""
        parts = [f"{self.column} = {literal(self.name)}"] if self.column else []
        parts += [f"start_time >= TIMESTAMPTZ {literal(self.since.isoformat())}"] if self.since else []
        return " AND ".join(parts) or "true"


def find_expected(obs, told: Mapping[str, Any] | str | None) -> tuple[Expected, ...]:
    """What was declared, and for the prompts of which nothing was declared what their labels say is live.

    ``told`` gives for ``model``, ``model_requested`` or ``prompt_version`` a value, a list of values, or a mapping of a prompt name or a
    feature to either; or it is text such as ``model=gpt-4o, prompt_version=support:v12``. For a call the first one counts that is
    meant for it: those of one prompt or feature before those of all, what was declared before labels. Raises UsageError for a
    key that is none, a value that is missing, and a name that is neither a prompt's nor a feature's.
    """
    given = list(_of_text(obs, told) if isinstance(told, str) else _of_mapping(told or {}))
    names = _names(obs) if any(name for _, name, _ in given) else {}
    scoped = [Expected(key, values, _column(key, name, names), name) for key, name, values in given if name]
    return (*scoped, *(Expected(key, values) for key, name, values in given if not name), *_labelled(obs))


def _of_mapping(told: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(key, name or "", values) of a mapping."""
    if not isinstance(told, Mapping):
        raise UsageError(
            f"expected={told!r} is no mapping; give one of {', '.join(KEYS)} with its value, such as {{'model': 'gpt-4o'}}"
        )
    for key, value in told.items():
        choose("expected", key, KEYS)
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        yield from ((key, str(name), _values(key, one)) for name, one in parts)


def _of_text(obs, told: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(key, name or "", values) of text; what is said twice of the same calls are two values.

    A colon parts the name from the value. Names of models hold colons too: of these only what is a name in the data is parted.
    """
    found: dict[tuple[str, str], list[str]] = {}
    names = _names(obs) if ":" in told else {}
    for part in filter(None, (p.strip() for p in told.split(","))):
        key, sign, value = (x.strip() for x in part.partition("="))
        if not sign:
            raise UsageError(
                f"expected={told!r}: {part!r} has no '='; write model=NAME or prompt_version=PROMPT:VERSION, more after a comma"
            )
        choose("expected", key, KEYS)
        name = max((n for n in names if value.startswith(f"{n}:")), key=len, default="")
        if not name and key == "prompt_version":
            name = value.rpartition(":")[0]
        found.setdefault((key, name), []).append(value.removeprefix(f"{name}:").strip() if name else value)
    yield from ((key, name, _values(key, values)) for (key, name), values in found.items())


def _values(key: str, value: Any) -> tuple[str, ...]:
    some = list(value) if isinstance(value, (list, tuple, set)) else [value]
    if not some or not all(isinstance(v, (str, int)) and str(v).strip() for v in some):
        raise UsageError(
            f"expected: {key}={value!r} holds no value; give a text, a list of texts, or a mapping of a prompt name or a feature to either"
        )
    return tuple(str(v) for v in some)


def _names(obs) -> dict[str, str]:
    """Prompt names and features of model calls, each with its column; a prompt's name goes before a feature's."""
    out = {}
    for column in ("feature", "prompt_name"):
        found = rows(obs, f"SELECT DISTINCT {column} AS name FROM spans WHERE {_CALLS} AND {column} IS NOT NULL ORDER BY 1")
        out |= {r["name"]: column for r in found}
    return out


def _column(key: str, name: str, names: Mapping[str, str]) -> str:
    if name not in names:
        known = ", ".join(terminal(n, 60) for n in sorted(names)[:NAMED]) or "none (leave the name out)"
        raise UsageError(f"expected: {key} of {name!r}: no call has a prompt or a feature of that name; choose one of: {known}")
    return names[name]


def _labelled(obs) -> list[Expected]:
    """The prompt versions that a label says are live, from the moment they were registered or first used, whichever is later.

    Nothing where the store's ``prompts`` have no column ``labels``. When a label was moved, no source tells.
    """
    if "labels" not in obs.query("SELECT * FROM prompts LIMIT 0").column_names:
        return []
    found = rows(
        obs,
        f"""SELECT p.name, p.version, greatest(any_value(p.first_seen), min(s.start_time)) AS since
        FROM (SELECT * FROM prompts WHERE regexp_matches(CAST(labels AS VARCHAR), {literal(LIVE)})) p
        LEFT JOIN (SELECT * FROM spans WHERE {_CALLS}) s ON s.prompt_name = p.name AND s.prompt_version = p.version
        GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    out = []
    for name in dict.fromkeys(r["name"] for r in found):
        its = [r for r in found if r["name"] == name]
        since = min((r["since"] for r in its if r["since"]), default=None)
        out.append(Expected("prompt_version", tuple(r["version"] for r in its), "prompt_name", name, since, True))
    return out


def _calls(obs, wanted: Sequence[Expected], condition: str, by: str = "") -> list[dict]:
    """Model calls that say a key, counted by which expectation is meant for them (its place), value and one column more."""
    key, more = wanted[0].key, f"{by}, " if by else ""
    which = " ".join(f"WHEN {e.sql} THEN {k}" for k, e in enumerate(wanted))
    return rows(
        obs,
        f"""SELECT {more}which, value, count(*) AS n FROM (SELECT {more}{key} AS value, CASE {which} END AS which FROM spans
        WHERE {_CALLS} AND {key} IS NOT NULL AND ({condition})) WHERE which IS NOT NULL GROUP BY {more}which, value ORDER BY n DESC, value""",
    )


def _by_key(expected: Iterable[Expected]) -> Iterator[list[Expected]]:
    expected = list(expected)
    yield from filter(None, ([e for e in expected if e.key == key] for key in KEYS))


def differing(obs, plan: Plan) -> tuple[Finding, ...]:
    """A warning per expectation that more than one in a thousand calls of the window's last seven days do not meet.

    Of what was declared, also a note where no call says it, or another expectation is meant for all: then nothing was compared.
    """
    since = max(plan.start, plan.end - timedelta(days=LATEST))
    low, high = (f"TIMESTAMPTZ {literal(t.isoformat())}" for t in (since, plan.end))
    condition = f"start_time >= {low} AND start_time < {high} AND day >= DATE {literal(str(since.date()))} - 1"
    if plan.environments:
        condition += f" AND (environment IS NULL OR environment NOT IN ({', '.join(map(literal, plan.environments))}))"
    days = (plan.end - since).days
    lately, out = "the last day" if days == 1 else f"the last {days} days", []
    for wanted in _by_key(plan.expected):
        found = _calls(obs, wanted, condition)
        for k, one in enumerate(wanted):
            out += _finding(one, [r for r in found if r["which"] == k], lately)
    return tuple(out)


def _finding(one: Expected, found: list[dict], lately: str) -> list[Finding]:
    wrong = [r for r in found if r["value"] not in one.values]
    n, bad = (sum(r["n"] for r in some) for some in (found, wrong))
    if not n and not one.labelled:
        return [Finding("info", f"{one.what}: there is no call in {lately} to compare with {one.told}")]
    if bad <= TOLERATED * n:
        return []
    carried = [terminal(r["value"], 60) + (f" ({r['n']:,})" if len(wrong) > 1 else "") for r in wrong[:SHOWN]]
    carried += [f"{len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
    meant = f"{one.told}, which is labelled live," if one.labelled else one.told
    text = f"{bad:,} of {n:,} calls in {lately} {'is' if bad == 1 else 'are'} not {meant} but {', '.join(carried)}"
    return [Finding("warning", f"{one.what}: {text}", bad)]


def compared(obs, expected: Iterable[Expected], traces: Sequence[str]) -> dict[tuple[str, str], tuple[bool, str, str]]:
    """By trace and key: whether all its calls meet what is expected, the values that do not (else those that do), what is expected.

    Traces without a call that an expectation is meant for, and that says the key, are not in it.
    """
    out = {}
    listed = f"trace_id IN ({', '.join(map(literal, traces))})"
    for wanted in _by_key(expected) if traces else ():
        for trace, found in _by_trace(_calls(obs, wanted, listed, "trace_id")).items():
            wrong = [r for r in found if r["value"] not in wanted[r["which"]].values]
            first = wanted[(wrong or found)[0]["which"]]
            values = ", ".join(dict.fromkeys(r["value"] for r in wrong or found))
            out[trace, first.key] = not wrong, values, f"{'labelled live' if first.labelled else 'declared'}: {first.told}"
    return out


def _by_trace(found: list[dict]) -> dict[str, list[dict]]:
    out: dict[str, list[dict]] = {}
    for r in found:
        out.setdefault(r["trace_id"], []).append(r)
    return out
