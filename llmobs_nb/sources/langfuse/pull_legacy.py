"""What is asked of an older Langfuse server: v1 observations, traces, v2 scores and dataset runs, all by page number.

There an observation says nothing of user, session and tags: its trace does. The texts come with every observation and the
metadata of a trace with its texts, so what is not wanted is dropped on arrival.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..transport.job import Job, Rows, Slice, chunks
from .picking import pick
from .pull_v4 import Stage, by, late_labels, lists, prompts, queue_items
from .slices import STAMPS, STARTS, TEXTS, list_of, slice_of, windows

OBSERVATIONS_SHARE = 10
TRACES_AT_ONCE = 50
# Not asked for, totals come as -1.
TRACE_FIELDS = "core,io"


def stages(job: Job) -> Iterator[Stage]:
    """First all that stands by itself, then what only its rows tell, and the items of the runs found by then."""
    yield lambda rows: [*observations(job), *traces(job), *scores(job), *lists(job), _datasets(job)]
    yield lambda rows: [*prompts(job, rows), *queue_items(job, rows), *runs(job, rows), *documents(job, rows)]
    yield lambda rows: [*run_items(job, rows)]


def observations(job: Job) -> Iterator[Slice]:
    """Every observation of the windows, by the day."""
    for window in windows(job, "observations"):
        yield slice_of(
            job, "observations", "observations",
            bucket="legacy", window=window, between=STARTS, time="startTime", drop=_unwanted(job), share=OBSERVATIONS_SHARE,
        )  # fmt: skip


def traces(job: Job) -> Iterator[Slice]:
    """What every trace of the windows says of its observations."""
    for window in windows(job, "observations"):
        yield slice_of(
            job, "traces", "traces",
            bucket="legacy", query={"fields": TRACE_FIELDS}, window=window, between=STAMPS, time="timestamp", drop=_unwanted(job),
        )  # fmt: skip


def _unwanted(job: Job) -> list[str]:
    return [] if job.io == "all" else list(TEXTS)


def scores(job: Job) -> Iterator[Slice]:
    """Every score of the windows, and the human labels of the longer windows."""
    told = {"between": STAMPS, "time": "timestamp"}
    for window in windows(job, "scores"):
        yield slice_of(job, "scores", "v2/scores", window=window, **told)
    for window in late_labels(job):
        yield slice_of(job, "scores", "v2/scores", query={"source": "ANNOTATION"}, window=window, **told)


def documents(job: Job, rows: Rows) -> Iterator[Slice]:
    """Traces asked for one by one, each with its observations and scores: those that are missing or whose texts are wanted."""
    picked = pick(job, rows)
    drop = list(TEXTS) if job.io == "none" else []
    for some in chunks([*picked.texts, *picked.missing], TRACES_AT_ONCE):
        yield slice_of(job, "documents", "traces", reader="each", bucket="legacy", ids=some, drop=drop)


def _datasets(job: Job) -> Slice:
    return list_of(job, "datasets", "v2/datasets", bucket="datasets")


def runs(job: Job, rows: Rows) -> Iterator[Slice]:
    """The runs of every dataset."""
    for name, dataset in by(rows, "datasets", "name"):
        yield list_of(job, "dataset_runs", f"datasets/{name}/runs", bucket="datasets", add={"datasetId": dataset.get("id")})


def run_items(job: Job, rows: Rows) -> Iterator[Slice]:
    """The items of every run, with their dataset, which they do not say."""
    for _, run in by(rows, "dataset_runs", "id"):
        of = {"datasetId": run.get("datasetId")}
        query = of | {"runName": run.get("name")}
        yield list_of(job, "experiment_items", "dataset-run-items", bucket="datasets", query=query, add=of)
