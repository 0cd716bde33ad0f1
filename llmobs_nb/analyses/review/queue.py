"""The review queue: traces in an order, what one reviewer says of them, and that it is in the store before anything else happens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from ...errors import UsageError
from ...observations import open_store
from ...text import terminal
from . import content
from .categories import tags
from .labels import Label, Subject, checked, labels, reviewer_name, save
from .subjects import drawn_by, lowest, subjects, trace_ids
from .suggest import Said, Suggester

LEARNED_FROM = 400


@dataclass(frozen=True)
class Saved:
    """What became of a label: ``saved`` into the store at ``at``, or ``kept`` here for another try, and why."""

    state: Literal["saved", "kept"]
    reason: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How far the reviewer is: traces done (in the store), of how many, labels kept but not yet saved, done by others only."""

    done: int
    total: int
    unsaved: int
    others: int


class ReviewQueue:
    """Traces to review by one reviewer.

    ``label`` saves into the store at once; what could not be saved is kept and goes with the next ``retry``. What others did is
    seen after ``refresh``: that they did it, not what they said. ``lm.views.review(queue)`` shows it.
    """

    def __init__(self, obs, items: Sequence[Subject], *, reviewer: str, rubric: Sequence[str]):
        self.store, self.reviewer, self.rubric = obs.store, reviewer, tuple(rubric)
        self.items = {one.trace_id: one for one in items}
        self.unsaved: dict[str, tuple[Label, str]] = {}
        self._obs = obs
        self._answers: dict[str, str] = {}
        self._contents: dict[str, dict] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read from the store what everybody said by now."""
        self._said = labels(open_store(self.store, threads=1))
        self.categories = list(dict.fromkeys(c for by in self._said.values() for one in by.values() for c in one.categories))
        self.__dict__.pop("_suggester", None)

    def mine(self, trace_id: str) -> Label | None:
        """What the reviewer said of a trace last, saved or not; None for nothing yet."""
        return self.unsaved[trace_id][0] if trace_id in self.unsaved else self._stored(trace_id)

    def _stored(self, trace_id: str) -> Label | None:
        return self._said.get(trace_id, {}).get(self.reviewer)

    def done_by(self, trace_id: str) -> tuple[str, ...]:
        """The other reviewers who have labelled a trace."""
        return tuple(who for who in self._said.get(trace_id, ()) if who != self.reviewer)

    def content(self, trace_id: str) -> dict:
        """What there is to read of a trace, see :func:`content.shown`."""
        self.read([self._known(trace_id)])
        return self._contents[trace_id]

    def read(self, trace_ids: Iterable[str]) -> None:
        """Fetch what there is to read of several traces at once; later ``content`` has it at hand."""
        lacking = [t for t in trace_ids if t not in self._contents]
        if lacking:
            # Not what other reviewers said: two who read the same trace should not sway each other.
            found, judged = content.traces(self._obs, lacking), content.scores(self._obs, lacking, reviews=False)
            self._contents |= {t: content.shown(found[t], judged.get(t, ())) for t in lacking}

    def _known(self, trace_id: str) -> str:
        if trace_id not in self.items:
            raise UsageError(
                f"trace {terminal(trace_id, 60)!r} is not in this queue; make one with lm.review_queue(obs, traces=[…])"
            )
        return trace_id

    def label(
        self,
        trace_id: str,
        verdict: str,
        *,
        note: str = "",
        categories: Iterable[str] = (),
        ratings: Mapping[str, int] | None = None,
    ) -> Saved:
        """Say pass, fail or unsure of a trace; #tags of the note are categories too. It is the whole word: what is left out is taken back.

        Saved at once, in the place of what the reviewer said before. Where that fails the label is kept, and the reason is the
        answer. Raises UsageError for words that are not on the menu.
        """
        before = self.mine(self._known(trace_id))
        given = checked(Label(verdict, note.strip(), (*categories, *tags(note)), dict(ratings or {})), self.rubric)
        elsewhere = {k: v for k, v in before.ratings.items() if k not in self.rubric} if before else {}
        mine = replace(given, ratings=elsewhere | given.ratings, saved_at=before.saved_at if before else None)
        self.categories += [c for c in mine.categories if c not in self.categories]
        self.unsaved[trace_id] = (mine, "being saved")
        return self._save([trace_id])[trace_id]

    def retry(self) -> dict[str, Saved]:
        """Try again to save what is kept; what became of each, by trace. A label that stands against one given elsewhere replaces it."""
        return self._save(list(self.unsaved)) if self.unsaved else {}

    def discard(self, trace_id: str) -> None:
        """Forget a label that is kept but not saved, and take what the store has."""
        self.unsaved.pop(trace_id, None)
        self.refresh()

    def _save(self, traces: list[str]) -> dict[str, Saved]:
        entries = [(self.items[t], self.unsaved[t][0]) for t in traces]
        try:
            outcomes = save(self.store, self.reviewer, entries)
        except Exception as error:  # whatever it is, hours of reading must not be lost to it: it is shown and the labels stay
            why = terminal(error, 300) or type(error).__name__
            self.unsaved |= {t: (label, why) for t, (_, label) in zip(traces, entries, strict=True)}
            return dict.fromkeys(traces, Saved("kept", why))
        return {t: self._settled(t, outcome) for t, outcome in zip(traces, outcomes, strict=True)}

    def _settled(self, trace_id: str, outcome) -> Saved:
        if outcome.saved:
            self._said.setdefault(trace_id, {})[self.reviewer] = outcome.saved
            self.__dict__.pop("_suggester", None)
            del self.unsaved[trace_id]
            return Saved("saved", at=outcome.saved.saved_at)
        other, (label, _) = outcome.other, self.unsaved[trace_id]
        said = f"{other.verdict} at {other.saved_at:%Y-%m-%d %H:%M:%S} UTC" if other else "nothing any more"
        why = f"{self.reviewer} has said {said} elsewhere in the meantime; retry to replace it, or discard this one"
        self.unsaved[trace_id] = (replace(label, saved_at=other.saved_at if other else None), why)
        return Saved("kept", why)

    @cached_property
    def _suggester(self) -> Suggester:
        """Learned from the newest 400 labelled traces at most."""
        newest = sorted(self._said, key=lambda t: max(one.saved_at for one in self._said[t].values()))[-LEARNED_FROM:]
        said = {}
        for trace in newest:
            of = self._said[trace].values()
            names = tuple(dict.fromkeys(c for one in of for c in one.categories))
            said[trace] = Said("\n".join(one.note for one in of), names)
        lacking = [t for t in dict.fromkeys((*said, *list(self.items)[:LEARNED_FROM])) if t not in self._answers]
        if said and lacking:
            self._answers |= dict.fromkeys(lacking, "") | content.answers(self._obs, lacking)
        return Suggester(self._answers, said)

    def suggest(self, trace_id: str) -> list[str]:
        """Up to three categories that a trace may belong to, by what was said of traces with like answers; those it has left out."""
        said = self.mine(self._known(trace_id))
        return [name for name in self._suggester(trace_id) if not said or name not in said.categories]

    @property
    def progress(self) -> Progress:
        """How far the reviewer is."""
        mine = [t for t in self.items if self._stored(t) and t not in self.unsaved]
        others = [t for t in self.items if self.mine(t) is None and self.done_by(t)]
        return Progress(len(mine), len(self.items), len(self.unsaved), len(others))

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        now = self.progress
        told = f", {now.unsaved} not saved" if now.unsaved else ""
        return f"<ReviewQueue {now.done:,} of {now.total:,} done by {self.reviewer}{told}>"


def review_queue(
    obs,
    *,
    traces: Any = None,
    plan: Any = None,
    low: str | None = None,
    most: int = 50,
    rubric: Sequence[str] = (),
    reviewer: str | None = None,
) -> ReviewQueue:
    """A queue of traces to review: exactly one of ``traces``, ``plan`` and ``low`` says which.

    ``traces``: ids, or a result with a reading list. ``plan``: a sampling plan, or a table of trace_id, stratum and
    inclusion_prob, which go into the scores with each label so that prevalences can be estimated; its order is a random one
    that is the same for everybody. ``low``: the ``most`` traces with the lowest mean of a score of that name.

    ``rubric`` names dimensions that are rated from 1 to 5. ``reviewer`` defaults to ``$LLMOBS_REVIEWER``, then to the user of a
    Jupyter hub. Raises UsageError when a trace is not in the store, and when nobody is named.
    """
    given = [name for name, value in (("traces", traces), ("plan", plan), ("low", low)) if value is not None]
    if len(given) != 1:
        told = " and ".join(given) or "nothing"
        raise UsageError(f"review_queue: {told} given; give one of traces=[ids], plan=a sampling plan and low='name of a score'")
    who = reviewer_name(reviewer, os.environ)
    drawn = drawn_by(plan) if plan is not None else {}
    ids = list(drawn) or (lowest(obs, low, most) if low is not None else trace_ids(traces))
    return ReviewQueue(obs, subjects(obs, ids, drawn), reviewer=who, rubric=_dimensions(rubric))


def _dimensions(rubric: Sequence[str]) -> tuple[str, ...]:
    names = [rubric] if isinstance(rubric, str) else list(rubric)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or name in ("verdict", "category"):
            raise UsageError(f"rubric: {terminal(name, 40)!r} cannot be a dimension; give words such as 'groundedness', 'tone'")
    return tuple(dict.fromkeys(names))
