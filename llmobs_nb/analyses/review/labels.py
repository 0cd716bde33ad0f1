"""What reviewers say of traces, and how it gets into the scores of a store: whole or not at all, and nobody's word over another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ...columns import literal
from ...errors import UsageError, choose
from ...observations import Observations
from ...schema import TABLES
from ...sources.pushing import identity
from ...store.store import Store
from ...text import terminal
from ..reductions import rows
from .categories import CATEGORY, PREFIX, SOURCE, current_name, renamed, tidy

VERDICT = PREFIX + "verdict"
VERDICTS: dict[str, float | None] = {"pass": 1.0, "fail": 0.0, "unsure": None}
RATINGS = (1, 2, 3, 4, 5)
LONGEST_NOTE = 10_000
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Subject:
    """A trace to be reviewed: where it lives, and how it was drawn (``stratum``, ``inclusion_prob``; None for one picked by hand)."""

    trace_id: str
    source: str
    project: str
    session_id: str | None = None
    stratum: str | None = None
    inclusion_prob: float | None = None


@dataclass(frozen=True)
class Label:
    """One reviewer's word on one trace: a verdict, a note, failure categories, ratings of rubric dimensions from 1 to 5.

    ``saved_at`` is when it was last saved and serves as its version; None for one that was never saved.
    """

    verdict: str
    note: str = ""
    categories: tuple[str, ...] = ()
    ratings: Mapping[str, int] = field(default_factory=dict)
    saved_at: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """How one label fared: ``saved`` as it stands now, or ``other``, what the same reviewer said elsewhere in the meantime."""

    saved: Label | None = None
    other: Label | None = None


def checked(label: Label, rubric: Iterable[str]) -> Label:
    """The label with tidy categories. Raises UsageError for a verdict, a dimension or a rating that is not on the menu."""
    choose("verdict", label.verdict, VERDICTS)
    for name, value in label.ratings.items():
        choose("rubric", name, rubric)
        choose(f"rating of {name}", value, RATINGS)
    if len(label.note) > LONGEST_NOTE:
        raise UsageError(f"note has {len(label.note):,} characters; shorten it to {LONGEST_NOTE:,}")
    names = tuple(dict.fromkeys(n for n in map(tidy, label.categories) if n))
    return replace(label, categories=names)


def labels(obs, *, traces: Iterable[str] | None = None, reviewer: str | None = None) -> dict[str, dict[str, Label]]:
    """What was said so far, by trace and reviewer; categories bear the names they have now. Empty where nothing was."""
    names = renamed(obs.store)
    found = _read(obs, traces, reviewer)
    return {trace: {who: _under_current_names(label, names) for who, label in by.items()} for trace, by in found.items()}


def save(store: str, reviewer: str, entries: Sequence[tuple[Subject, Label]], *, wait_seconds: float = 5.0) -> list[Outcome]:
    """Write labels into the scores of a store in one commit; one outcome per entry, in order.

    A label is written only where the stored one of the same reviewer still has the ``saved_at`` that the new one bears: what
    was said elsewhere in the meantime is not lost, its outcome is ``other``. Those of other reviewers have rows of their own.
    Raises LockedError when another writer holds the store for longer than ``wait_seconds``, StoreError when it cannot be written.
    """
    held = Store(store)
    with held.writing(wait_seconds=wait_seconds):
        known = _read(Observations(held.snapshot(), threads=1), [s.trace_id for s, _ in entries], reviewer)
        before = [known.get(s.trace_id, {}).get(reviewer) for s, _ in entries]
        free = [(old.saved_at if old else None) == label.saved_at for old, (_, label) in zip(before, entries, strict=True)]
        now = max([datetime.now(UTC), *(old.saved_at + _TICK for old in before if old)])
        written = [
            row
            for ok, old, (s, label) in zip(free, before, entries, strict=True)
            if ok
            for row in _rows(s, reviewer, label, old, now)
        ]
        if written:
            _commit(held, written)
    return [
        Outcome(saved=replace(label, saved_at=now)) if ok else Outcome(other=old)
        for ok, old, (_, label) in zip(free, before, entries, strict=True)
    ]


def _commit(held: Store, written: list[dict]) -> None:
    stager = held.stager()
    try:
        stager.write("scores", pa.Table.from_pylist(written, TABLES["scores"].arrow()))
        staged = stager.close()
    except BaseException:
        stager.discard()
        raise
    held.commit(staged, stager, threads=1)


def _rows(subject: Subject, reviewer: str, label: Label, old: Label | None, now: datetime) -> list[dict]:
    """The rows of ``scores`` that make ``label`` what the store says. What was taken back stays as a row without value and label."""

    def row(name: str, value: float | None, word: str | None, kind: str, *more: str, comment: str | None = None) -> dict:
        parts = (subject.source, subject.project, subject.trace_id, name, reviewer, *more)
        return {
            "score_id": identity(SOURCE, "score", *parts), "trace_id": subject.trace_id, "session_id": subject.session_id,
            "name": name, "value": value, "label": word, "data_type": kind, "rater": "human", "rater_id": reviewer,
            "comment": comment, "created_at": now, "updated_at": now, "source": SOURCE, "project": subject.project,
            "stratum": subject.stratum, "inclusion_prob": subject.inclusion_prob, "day": now.date(),
            "metadata": [("trace_source", subject.source), *(("category", c) for c in more)],
        }  # fmt: skip

    out = [row(VERDICT, VERDICTS[label.verdict], label.verdict, "categorical", comment=label.note or None)]
    gone = set(old.categories) - set(label.categories) if old else set()
    out += [row(CATEGORY, None, name, "categorical", name) for name in label.categories]
    out += [row(CATEGORY, None, None, "categorical", name) for name in sorted(gone)]
    dropped = set(old.ratings) - set(label.ratings) if old else set()
    out += [row(PREFIX + name, float(value), None, "numeric") for name, value in label.ratings.items()]
    return out + [row(PREFIX + name, None, None, "numeric") for name in sorted(dropped)]


def _read(obs, traces: Iterable[str] | None, reviewer: str | None) -> dict[str, dict[str, Label]]:
    conditions = [
        f"source = {literal(SOURCE)}",
        f"name LIKE {literal(PREFIX + '%')}",
        "rater_id IS NOT NULL",
        "trace_id IS NOT NULL",
    ]
    if traces is not None:
        conditions.append(f"trace_id IN ({', '.join(map(literal, traces)) or 'NULL'})")
    if reviewer is not None:
        conditions.append(f"rater_id = {literal(reviewer)}")
    told = rows(
        obs,
        f"""SELECT trace_id, rater_id, name, value, label, comment, updated_at FROM scores
        WHERE {" AND ".join(conditions)} ORDER BY trace_id, rater_id, updated_at, label""",
    )
    by: dict[tuple[str, str], list[dict]] = {}
    for row in told:
        by.setdefault((row["trace_id"], row["rater_id"]), []).append(row)
    out: dict[str, dict[str, Label]] = {}
    for (trace, who), of_one in by.items():
        out.setdefault(trace, {})[who] = _label(of_one)
    return {trace: {who: label for who, label in one.items() if label} for trace, one in out.items()}


def _label(of_one: list[dict]) -> Label | None:
    """The rows of one reviewer on one trace as a label; None where there is no verdict among them."""
    verdict = next((r for r in of_one if r["name"] == VERDICT), None)
    if verdict is None or verdict["label"] not in VERDICTS:
        return None
    own = (VERDICT, CATEGORY)
    return Label(
        verdict["label"],
        verdict["comment"] or "",
        tuple(r["label"] for r in of_one if r["name"] == CATEGORY and r["label"]),
        {r["name"].removeprefix(PREFIX): int(r["value"]) for r in of_one if r["name"] not in own and r["value"] is not None},
        max(r["updated_at"] for r in of_one),
    )


def _under_current_names(label: Label, names: Mapping[str, str]) -> Label:
    return replace(label, categories=tuple(dict.fromkeys(current_name(c, names) for c in label.categories)))


def reviewer_name(given: str | None, environment: Mapping[str, str]) -> str:
    """Who reviews: as given, else ``$LLMOBS_REVIEWER``, else the user of a Jupyter hub. Raises UsageError where nobody is named.

    The login is no name: in containers everybody is the same one, and two reviewers would share one word on a trace.
    """
    name = given or environment.get("LLMOBS_REVIEWER") or environment.get("JUPYTERHUB_USER") or ""
    name = name.strip()
    if not name or terminal(name, None) != name or len(name) > 80:
        raise UsageError(f"reviewer={terminal(name, 40)!r} names nobody; give reviewer='ana', or set LLMOBS_REVIEWER")
    return name
