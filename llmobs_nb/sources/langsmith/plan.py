"""The slices of a pull from LangSmith: traffic first, then what the traffic and the lists name, then edited feedback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..transport.job import DAY, Job, Rows, Slice, chunks, days
from . import texts
from .push import SECTIONS

# What a pull of one project brings of the workspace.
LISTS = ("feedback_configs", "datasets", "experiments", "queues", "prices")
EXPERIMENTS = 50
RUNS_OF_FEEDBACK = 50
# Short of the 7 days over which runs may be asked for often.
STRETCH = timedelta(days=6)


@dataclass(frozen=True)
class Plan:
    """What is asked for in a job, stage by stage.

    ``workspace``: also what belongs to the workspace and to no project. ``edits``: the server can be asked for runs whose
    feedback changed.
    """

    job: Job
    workspace: bool
    edits: bool

    def traffic(self, rows: Rows) -> list[Slice]:
        """Runs and feedback by UTC days, spans that were open, and the lists of the workspace."""
        ours: dict[str, None] = {self.job.project.id: None}
        everything = {"projects": ours, "texts": self.job.io == "all"}
        lists = [Slice(name) for name in LISTS if self.workspace]
        lists += [Slice("feedback_keys", params={"projects": ours, **self._wide})] if self._late() else []
        feedback = [Slice("feedback", *day, params={"projects": ours}) for day in self._cut("feedback")]
        open_ids = sorted({span for _, span in self.job.open_spans})
        again = [Slice("runs", ids=ids, params={**everything, **self._wide}) for ids in chunks(open_ids, texts.IDS)]
        return lists + feedback + again + [Slice("runs", *day, params=everything) for day in self._cut("runs")]

    def details(self, rows: Rows) -> list[Slice]:
        """What the first rows name: members of the lists, runs that feedback is about, edits, texts."""
        return [*self._members(rows), *self._strangers(rows), *self._edited(rows), *self._texts(rows)]

    def rejudged(self, rows: Rows) -> list[Slice]:
        """The feedback of runs of which some was edited."""
        ids = sorted({r["id"] for r in rows.rows("edited") if isinstance(r.get("id"), str)})
        params = {"projects": {self.job.project.id: None}}
        return [Slice("feedback", ids=some, params=params) for some in chunks(ids, RUNS_OF_FEEDBACK)]

    @property
    def _wide(self) -> dict[str, str]:
        """Marks what is asked for in the widest window there is, whose end this is."""
        return {"around": self.job.until.isoformat()}

    def _cut(self, entity: str, step: timedelta = DAY) -> list[tuple[datetime, datetime]]:
        return [part for window in self.job.windows.get(entity, ()) for part in days(*window, step=step)]

    def _members(self, rows: Rows) -> Iterator[Slice]:
        """The examples of datasets, the items of queues, the runs and feedback of experiments."""
        for dataset in _known(rows, "datasets"):
            yield Slice("examples", params={"dataset": dataset["id"], "name": dataset.get("name")})
        for queue in _known(rows, "queues"):
            for section in SECTIONS:
                yield Slice("queue_items", params={"queue": queue["id"], "name": queue.get("name"), "section": section})
        experiments = {e["id"]: _experiment(e) for e in _known(rows, "experiments") if e.get("reference_dataset_id")}
        for some in chunks(sorted(experiments), EXPERIMENTS):
            params = {"projects": {i: experiments[i] for i in some}}
            for window in self._cut("runs", STRETCH):
                yield Slice("experiment_runs", *window, params={**params, "texts": self.job.io == "all"})
            for window in self._cut("feedback", STRETCH):
                yield Slice("feedback", *window, params=params)

    def _strangers(self, rows: Rows) -> Iterator[Slice]:
        """Runs of feedback, and the roots of their traces, that neither this pull nor the store has."""
        unknown = set(self.job.unknown(sorted({trace for trace, _ in self._judged(rows)})))
        ids = {i for trace, run in self._judged(rows) if trace in unknown for i in (trace, run)}
        for run in rows.rows("runs") if ids else ():
            ids.discard(run.get("id"))
        told = {"projects": {self.job.project.id: None}, "texts": self.job.io in ("all", "sampled")}
        for some in chunks(sorted(ids), texts.IDS):
            yield Slice("runs", ids=some, params={**told, **self._wide})

    def _judged(self, rows: Rows) -> Iterator[tuple[str, str]]:
        """(trace id, run id) of the project's feedback that is about a run."""
        for row in rows.rows("feedback"):
            run = row.get("run_id")
            if isinstance(run, str) and row.get("session_id") in (None, self.job.project.id):
                yield row.get("trace_id") or run, run

    def _late(self) -> list[tuple[datetime, datetime]]:
        """The windows in which older feedback may have been edited; none where all feedback is fetched anyway."""
        return [w for w in self.job.windows.get("feedback", ()) if w[0] > self.job.since] if self.edits else []

    def _edited(self, rows: Rows) -> Iterator[Slice]:
        """Runs whose feedback changed in a window. Nothing can be asked for by that alone, so it is each key by itself."""
        told = {"projects": {self.job.project.id: None}, **self._wide}
        for window in self._late():
            for key in self._keys(rows):
                yield Slice("edited", *window, params={**told, "key": key})

    def _keys(self, rows: Rows) -> list[str]:
        """Every key of feedback that the project counts, the workspace declares or the fetched feedback has."""
        found = {row.get("feedback_key") for name in ("feedback_keys", "feedback_configs") for row in rows.rows(name)}
        found.update(row.get("key") for row in rows.rows("feedback"))
        return sorted(key for key in found if isinstance(key, str))

    def _texts(self, rows: Rows) -> Iterator[Slice]:
        """The runs, with texts, of those traces for which they are asked."""
        if self.job.io not in ("errors", "sampled"):
            return
        params = {"projects": {self.job.project.id: None}, "texts": True}
        for ids, start, end in texts.chunks_of(rows, texts.chosen(rows, self.job.io)):
            yield Slice("runs", start, end, ids=ids, params=params)


def _known(rows: Rows, entity: str) -> Iterator[dict]:
    """The rows of a list that have an id."""
    return (row for row in rows.rows(entity) if isinstance(row.get("id"), str))


def _experiment(row: dict) -> dict:
    return {"session_name": row.get("name"), "reference_dataset_id": row["reference_dataset_id"]}
