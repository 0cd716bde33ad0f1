"""Write-back, small and safe: human labels, golden items and queue entries go to Langfuse or LangSmith when told to, not before.

Nothing is sent, and no connection made, unless ``dry_run=False``. What is sent bears an id made of what it is about, so that
the same push may be run again at any time: a label that changed replaces the old one, and what stands there stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from .errors import SourceError, UsageError, choose
from .sources import outgoing
from .sources.outgoing import Skipped
from .sources.pushing import Entry, Golden, Home, Label, Refused
from .text import terminal
from .units import count

if TYPE_CHECKING:
    from .observations import Observations

VENDORS = {"langfuse": "Langfuse", "langsmith": "LangSmith"}
WORDS = {
    "failed": "failed",
    "would": "would go",
    "left": "left out",
    "stood": "stood there already",
    "went": "went",
}


@dataclass(frozen=True)
class Line:
    """How one record fares: ``would`` go, ``went``, ``stood`` there already, ``left`` out on purpose, or ``failed``; and why."""

    what: str
    word: Literal["would", "went", "stood", "left", "failed"]
    reason: str = ""


@dataclass(frozen=True, repr=False)
class Pushed:
    """What a push did, or with ``dry_run`` would do: one line per record."""

    to: str
    dry_run: bool
    lines: tuple[Line, ...]

    def of(self, word: str) -> list[Line]:
        """The lines of one word: would, went, stood, left or failed."""
        choose("word", word, WORDS)
        return [line for line in self.lines if line.word == word]

    @property
    def summary(self) -> str:
        """One line: how many records fared how."""
        counts = [f"{count(n)} {said}" for word, said in WORDS.items() if (n := len(self.of(word)))]
        head = f"dry run, nothing was sent to {VENDORS[self.to]}" if self.dry_run else f"push to {VENDORS[self.to]}"
        return f"{head}: {', '.join(counts) or 'there is nothing to send'}"

    def text(self, *, limit: int = 50) -> str:
        """The summary, at most ``limit`` records (failures first) and how to go on; safe for a terminal."""
        rows = sorted(self.lines, key=lambda line: list(WORDS).index(line.word))
        shown = [
            f"  {line.word:<6} {terminal(line.what)}{f': {terminal(line.reason, 400)}' if line.reason else ''}" for line in rows
        ]
        more = [f"  … and {count(len(shown) - limit)} more"] if len(shown) > limit else []
        return "\n".join([self.summary, *shown[:limit], *more, *self._next()])

    def _next(self) -> list[str]:
        if self.of("would"):
            return ["to send it: --push, or dry_run=False in Python"]
        return ["run the same again after the cure: what stands there stays"] if self.of("failed") else []

    def __repr__(self) -> str:
        return f"<Pushed {self.summary}>"


@dataclass(frozen=True)
class _Load:
    """What is ready to go."""

    labels: list[Label]
    dataset: str
    goldens: list[Golden]
    queue: str
    entries: list[Entry]

    @property
    def records(self) -> list[Label | Golden | Entry]:
        return [*self.labels, *self.goldens, *self.entries]


def push(
    obs: Observations | None,
    *,
    to: Literal["langfuse", "langsmith"],
    scores: Any = None,
    dataset: tuple[str, Any] | None = None,
    queue: tuple[str, Iterable[str]] | None = None,
    dry_run: bool = True,
    client: Any = None,
    progress: Callable[[str], None] | None = None,
) -> Pushed:
    """Send human labels, golden items and queue entries to a vendor; with ``dry_run`` only say what would go.

    ``scores``: a table (DataFrame, Arrow) with ``name``, ``trace_id`` or ``session_id``, and ``value`` or ``label``; also read
    are span_id, data_type, rater, rater_id, comment, created_at, project, start_time, source. Labels of other raters than humans
    are left out; those whose source is the vendor itself stand there already. ``dataset``: a name (made where there is none) and
    a table with ``input``; also read are expected, metadata, trace_id, span_id. ``queue``: name or id of an annotation queue
    that is there, and trace ids.

    ``obs`` is the store that holds the traces: a trace that did not come from the vendor is refused, and LangSmith is told
    project and start of each run, without which it takes none. None trusts the tables alone. ``client`` takes the place of one
    made from the environment's keys: a ``langfuse.api.LangfuseAPI`` or a ``langsmith.Langsmith``. ``progress`` is called with a
    line of text per record.

    A record that is refused is a line of the answer, and the rest goes on. Raises UsageError for tables that cannot be read and
    keys that are not set, SourceError where no record can go: a key refused, a server out of reach, no such queue.
    """
    choose("to", to, VENDORS)
    if scores is None and dataset is None and queue is None:
        raise UsageError("push: nothing to send; give scores, dataset or queue")
    vendor = import_module(f".sources.{to}.push", __package__)
    load, skipped = _prepared(obs, to, scores, dataset, queue, vendor.check)
    lines = [Line(*one) for one in skipped]
    if dry_run:
        lines += [Line(str(record), "would") for record in load.records]
    elif load.records:
        with closing(vendor.Target(client)) as target:
            lines += _sent(target, load, VENDORS[to], progress)
    return Pushed(to, dry_run, tuple(lines))


def _prepared(obs, to: str, scores, dataset, queue, check: Callable) -> tuple[_Load, list[Skipped]]:
    labels, skipped = outgoing.labels(scores, to)
    name, goldens, more = outgoing.goldens(dataset, to)
    where, ids = outgoing.traces(queue)
    entries = [Entry(one, None) for one in ids]
    skipped += more
    if obs is not None:
        told = [r.trace_id for r in (*labels, *goldens, *entries) if r.trace_id]
        homes = _homes(obs, to, told)
        labels, more = _at_home(labels, homes, to)
        entries, rest = _at_home(entries, homes, to)
        goldens = [_linked(golden, homes) for golden in goldens]
        skipped += more + rest
    (labels, bad), (goldens, worse), (entries, worst) = (_taken(some, check) for some in (labels, goldens, entries))
    return _Load(labels, name, goldens, where, entries), skipped + bad + worse + worst


def _taken(records: list, check: Callable) -> tuple[list, list[Skipped]]:
    """The records that the vendor can take."""
    ready, skipped = [], []
    for record in records:
        try:
            check(record)
            ready.append(record)
        except Refused as error:
            skipped.append(Skipped(str(record), "failed", str(error)))
    return ready, skipped


def _homes(obs: Observations, to: str, traces: list[str]) -> dict[tuple[str, str | None], Home]:
    """Where the vendor's runs live: by trace and span, and by trace and None for the root."""
    found = obs.query(
        """SELECT trace_id, span_id, is_root, project, start_time FROM spans
           WHERE source = $vendor AND trace_id IN (SELECT unnest($traces)) ORDER BY start_time DESC NULLS FIRST, span_id DESC""",
        {"vendor": to, "traces": traces},
    ).to_pylist()
    homes: dict[tuple[str, str | None], Home] = {}
    for row in found:
        home = Home(row["span_id"], row["project"], row["start_time"])
        homes[row["trace_id"], row["span_id"]] = home
        if row["is_root"]:
            homes[row["trace_id"], None] = home
    for row in found:  # a root that was not pulled: its id is the trace's, its start is not known
        homes.setdefault((row["trace_id"], None), Home(row["trace_id"], row["project"], None))
    return homes


def _at_home(records: list, homes: dict, to: str) -> tuple[list, list[Skipped]]:
    """Labels and entries with where they live; those whose trace or span the store does not hold are skipped."""
    ready, skipped = [], []
    for record in records:
        span = getattr(record, "span_id", None)
        home = homes.get((record.trace_id, span))
        if home or not record.trace_id:
            ready.append(replace(record, home=home))
            continue
        lost = f"span {span} of trace {record.trace_id}" if span else f"trace {record.trace_id}"
        skipped.append(Skipped(str(record), "failed", f"the store holds no {lost} that came from {VENDORS[to]}"))
    return ready, skipped


def _linked(golden: Golden, homes: dict) -> Golden:
    """A golden item whose trace is not the vendor's names it in its metadata, not as a link."""
    if not golden.trace_id or (golden.trace_id, golden.span_id) in homes:
        return golden
    origin = {"trace_id": golden.trace_id} | ({"span_id": golden.span_id} if golden.span_id else {})
    return replace(golden, metadata=origin | golden.metadata, trace_id=None, span_id=None)


def _sent(target, load: _Load, vendor: str, progress: Callable[[str], None] | None) -> list[Line]:
    """Send it all; an error that stops everything says how far it came."""
    total, lines = len(load.records), []
    try:
        for record, word, reason in chain(
            target.scores(load.labels) if load.labels else (),
            target.items(load.dataset, load.goldens) if load.goldens else (),
            target.entries(load.queue, load.entries) if load.entries else (),
        ):
            lines.append(Line(str(record), word, reason))
            if progress:
                progress(f"{vendor}: {count(len(lines))} of {count(total)}")
    except SourceError as error:
        if not lines:
            raise
        done = f"{count(len(lines))} of {count(total)} were dealt with before"
        raise SourceError(f"{error}; {done}, run the same again: what stands there stays") from None
    return lines


__all__ = ["Line", "Pushed", "push"]
