"""Tables of labels and golden items, and lists of traces, as the records that are sent to a vendor; what is not sent, and why."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple

from .. import windows
from ..errors import UsageError
from ..text import terminal
from . import chat
from .pushing import Golden, Home, Label, identity
from .reading import embedded
from .tables.frames import arrow_of

KINDS = ("numeric", "boolean", "categorical", "text")
_EVER = datetime.min.replace(tzinfo=UTC)


class Skipped(NamedTuple):
    """A row that is not sent: ``stood`` there already, ``left`` out on purpose, or ``failed`` to be a record."""

    what: str
    word: Literal["stood", "left", "failed"]
    reason: str


def labels(table: Any, vendor: str) -> tuple[list[Label], list[Skipped]]:
    """The human labels of a table, one per rater, name and target (the newest), and the rows that are not sent."""
    if table is None:
        return [], []
    read = [_label(row, vendor) for row in _rows(table, "scores", ("name",), ("trace_id", "session_id"), ("value", "label"))]
    ready, skipped = [r for r in read if isinstance(r, Label)], [r for r in read if isinstance(r, Skipped)]
    newest: dict[str, Label] = {}
    for label in sorted(ready, key=lambda one: one.created_at or _EVER):
        if older := newest.pop(label.id, None):
            why = "another label of the same rater on the same target goes, the newer one; rater_id tells raters apart"
            skipped.append(Skipped(str(older), "left", why))
        newest[label.id] = label
    return [label for label in ready if newest[label.id] is label], skipped


def goldens(dataset: tuple[str, Any] | None, vendor: str) -> tuple[str, list[Golden], list[Skipped]]:
    """Name, items and skipped rows of ``(name, table)``; of several rows about the same span or input, the last is the item."""
    if dataset is None:
        return "", [], []
    name, table = _pair(dataset, "dataset", "a table with a column input")
    items: dict[str, Golden] = {}
    skipped = []
    for row in _rows(table, "dataset", ("input",)):
        golden = _golden(row)
        if golden is None:
            skipped.append(Skipped(f"item of trace {row.get('trace_id')}", "failed", "it has no input"))
            continue
        key = identity(vendor, "item", *golden.key)
        if older := items.pop(key, None):
            skipped.append(Skipped(str(older), "left", "a later row is about the same; span_id tells spans of a trace apart"))
        items[key] = golden
    return name, list(items.values()), skipped


def traces(queue: tuple[str, Iterable[str]] | None) -> tuple[str, list[str]]:
    """Queue and trace ids of ``(queue, ids)``, each id once."""
    if queue is None:
        return "", []
    name, ids = _pair(queue, "queue", "a list of trace ids")
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise UsageError(f"queue: {terminal(ids, 60)!r} is no list of trace ids; give (queue, [id, id])")
    found = [one.as_py() if hasattr(one, "as_py") else one for one in ids]
    for one in found:
        if not isinstance(one, (str, uuid.UUID)) or not str(one).strip():
            raise UsageError(f"queue: {terminal(one, 60)!r} is no trace id; give them as texts, without missing ones")
    return name, list(dict.fromkeys(str(one).strip() for one in found))


def _pair(value: Any, argument: str, second: str) -> tuple[str, Any]:
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not isinstance(value[0], str) or not value[0].strip():
        raise UsageError(f"{argument}={terminal(value, 60)!r} is not understood; give a pair of a name and {second}")
    return value[0].strip(), value[1]


def _rows(table: Any, argument: str, *needed: tuple[str, ...]) -> list[dict]:
    """Rows of a table that has, of each group of columns, at least one; times to the microsecond."""
    import pyarrow as pa

    found = arrow_of(table, argument)
    for names in needed:
        if not set(names) & set(found.column_names):
            has = ", ".join(terminal(n, 40) for n in found.column_names) or "none"
            raise UsageError(f"{argument}: there is no column {' or '.join(names)} among: {has}; rename one")
    fields = [f.with_type(pa.timestamp("us", f.type.tz or "UTC")) if pa.types.is_timestamp(f.type) else f for f in found.schema]
    return found.cast(pa.schema(fields), safe=False).to_pylist(maps_as_pydicts="lossy")


def _label(row: dict, vendor: str) -> Label | Skipped:
    name, trace, session = (chat.word(row.get(c)) for c in ("name", "trace_id", "session_id"))
    span, rater_id, rater = (chat.word(row.get(c)) for c in ("span_id", "rater_id", "rater"))
    what = f"label {name or 'without a name'} on {f'trace {trace}' if trace else f'session {session}'}"
    if rater not in (None, "human"):
        return Skipped(what, "left", f"its rater is {rater}; only labels of humans are written back")
    if chat.word(row.get("source")) == vendor:
        return Skipped(what, "stood", f"it came from {vendor}")
    if not name or not (trace or session):
        return Skipped(what, "failed", "it needs a name, and a trace_id or a session_id")
    value, label, kind = _said(row)
    if value is None and label is None:
        return Skipped(what, "failed", "it has neither a value nor a label")
    try:
        created, start = _moment(row.get("created_at")), _moment(row.get("start_time"))
    except ValueError:
        return Skipped(what, "failed", "its created_at or start_time is no time; give ISO 8601")
    span = None if span == trace else span
    session = None if trace else session
    project = chat.word(row.get("project"))
    return Label(
        id=identity(vendor, "score", trace, span, session, name, rater_id),
        name=name,
        trace_id=trace,
        span_id=span,
        session_id=session,
        value=value,
        label=label,
        kind=kind,
        rater_id=rater_id,
        comment=chat.word(row.get("comment")),
        created_at=created,
        home=Home(span or trace, project, start) if trace and project else None,
    )


def _said(row: dict) -> tuple[float | None, str | None, str]:
    """Number, word and kind of a judgement: the kind that is told, where the values allow it."""
    told, label = row.get("value"), chat.word(row.get("label"))
    truth = {"true": True, "false": False}.get((chat.word(told) or "").lower())
    value = float(truth) if truth is not None else chat.number(told)
    if value is None and label is None:
        label = chat.word(told) if isinstance(told, str) else None
    kind = (chat.word(row.get("data_type")) or ("boolean" if truth is not None else "")).lower()
    fits = {
        "numeric": value is not None,
        "boolean": value in (0, 1),
        "categorical": label is not None,
        "text": label is not None,
    }
    kind = kind if fits.get(kind) else "numeric" if label is None else "categorical"
    return None if value is None else float(value), label, kind


def _moment(value: Any) -> datetime | None:
    """A time as aware UTC; naive is UTC. Raises ValueError for what is none."""
    if value in (None, ""):
        return None
    return windows.aware(value if isinstance(value, date) else datetime.fromisoformat(str(value)))


def _golden(row: dict) -> Golden | None:
    given = _opened(row.get("input"))
    if given in (None, ""):
        return None
    notes = _opened(row.get("metadata"))
    trace, span = chat.word(row.get("trace_id")), chat.word(row.get("span_id"))
    return Golden(
        input=given,
        expected=_opened(row.get("expected")),
        metadata=notes if isinstance(notes, dict) else {} if notes is None else {"metadata": notes},
        trace_id=trace,
        span_id=span,
        key=(trace, span) if trace else (chat.raw(given, sort_keys=True),),
    )


def _opened(value: Any) -> Any:
    """A value as it is; JSON text of an object or a list opened."""
    parsed = embedded(value, value)
    return parsed if isinstance(parsed, (dict, list)) else value
