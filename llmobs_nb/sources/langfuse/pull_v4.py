"""What is asked of a Langfuse server of version 4: rows of observations (a trace is those that share its id) and v3 scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from urllib.parse import quote

from ..transport.job import DAY, Job, Rows, Slice, chunks
from .picking import pick
from .slices import STAMPS, STARTS, list_of, slice_of, uncovered, windows

FIELDS = "core,basic,time,metadata,model,usage,prompt,metrics,trace_context"
SCORE_FIELDS = "details,subject,annotation"
# Without scores: they come with the scores themselves, here there would be at most 50 to an item.
ITEM_FIELDS = "core,dataset,metadata,itemMetadata,experimentMetadata"
TRACES_AT_ONCE = 50
TEXTS_SHARE = 5
WEEK = 7 * DAY

Stage = Callable[[Rows], list[Slice]]


def stages(job: Job, *, keys: Sequence[str], alone: bool) -> Iterator[Stage]:
    """First all that stands by itself, then what only its rows tell. ``alone``: one worker fetches, so scores go by the week."""
    yield lambda rows: [*observations(job, keys), *scores(job, WEEK if alone else DAY), *lists(job), *experiments(job)]
    yield lambda rows: [*prompts(job, rows), *queue_items(job, rows), *again(job, rows, keys)]


def observations(job: Job, keys: Sequence[str]) -> Iterator[Slice]:
    """Every observation of the windows, by the day."""
    for window in windows(job, "observations"):
        yield _observations(job, keys, texts=job.io == "all", window=window, between=STARTS)


def _observations(job: Job, keys: Sequence[str], *, texts: bool, **more) -> Slice:
    """Texts are long: their pages hold fewer rows. With them metadata comes whole, without them only the named keys do."""
    query = {"fields": f"{FIELDS},io" if texts else FIELDS} | ({"expandMetadata": ",".join(keys)} if keys else {})
    share = TEXTS_SHARE if texts else 1
    return slice_of(job, "observations", "v2/observations", reader="cursor", query=query, share=share, add={}, **more)


def scores(job: Job, step: timedelta) -> Iterator[Slice]:
    """Every score of the windows; of the longer windows of human labels, which are edited late, what those leave out."""
    query = {"fields": SCORE_FIELDS}
    told = {"reader": "cursor", "between": STAMPS}
    for window in windows(job, "scores", step):
        yield slice_of(job, "scores", "v3/scores", query=query, window=window, **told)
    for window in late_labels(job):
        yield slice_of(job, "scores", "v3/scores", query=query | {"source": "ANNOTATION"}, window=window, **told)


def late_labels(job: Job) -> list[tuple]:
    """The windows in which only human labels are looked for."""
    return uncovered(job.windows.get("annotations", ()), job.windows.get("scores", ()))


def lists(job: Job) -> list[Slice]:
    """The lists that are short enough to be read whole each time, on any version of the server."""
    return [
        list_of(job, "score_configs", "score-configs"),
        list_of(job, "models", "models", add={"pulledAt": job.until.isoformat()}),
        list_of(job, "comments", "comments"),
        list_of(job, "dataset_items", "dataset-items", bucket="datasets"),
        list_of(job, "queues", "annotation-queues", bucket="queues"),
        list_of(job, "prompt_names", "v2/prompts", bucket="prompts"),
    ]


def experiments(job: Job) -> list[Slice]:
    """The items of the experiments that ran while the pull is to be complete for; the API wants a time."""
    fields = ITEM_FIELDS if job.io == "none" else f"{ITEM_FIELDS},io"
    window = (job.since, job.until)
    return [
        slice_of(
            job, "experiment_items", "experiment-items",
            reader="cursor", query={"fields": fields}, window=window, between=STARTS, optional=True,
        )
    ]  # fmt: skip


def prompts(job: Job, rows: Rows) -> Iterator[Slice]:
    """Every version of every prompt, which only comes one by one."""
    for name, prompt in by(rows, "prompt_names", "name"):
        if versions := [str(v) for v in prompt.get("versions") or ()]:
            yield slice_of(job, "prompts", f"v2/prompts/{name}", reader="each", bucket="prompts", ids=versions, each="version")


def queue_items(job: Job, rows: Rows) -> Iterator[Slice]:
    """The items of every annotation queue, with the queue's name, which they do not say."""
    for id, queue in by(rows, "queues", "id"):
        path = f"annotation-queues/{id}/items"
        yield list_of(job, "queue_items", path, bucket="queues", add={"queueName": queue.get("name")})


def by(rows: Rows, entity: str, key: str) -> Iterator[tuple[str, dict]]:
    """The rows of an entity, each once, with what names them as a part of a path; those without a name are left out."""
    found = {str(row[key]): row for row in rows.rows(entity) if row.get(key)}
    return ((quote(name, safe=""), row) for name, row in found.items())


def again(job: Job, rows: Rows, keys: Sequence[str]) -> Iterator[Slice]:
    """Traces asked for by their ids, complete with their texts unless nobody wants any."""
    picked = pick(job, rows)
    for ids, texts in ((picked.texts, True), (picked.missing, job.io != "none")):
        for some in chunks(ids, TRACES_AT_ONCE):
            yield _observations(job, keys, texts=texts, ids=some)
