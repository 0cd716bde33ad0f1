"""Gold: failures (and good answers) kept as examples with what should have come out; a file that only grows, one line an example."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...columns import literal
from ...errors import UsageError
from ...schema import TABLES
from ...sources.chat import raw
from ...sources.pushing import identity
from ...sources.reading import embedded
from ...store.store import Store
from ...text import mask_secrets, terminal
from ...windows import aware
from ..reductions import moment, rows
from . import content, goldfile
from .categories import CATEGORY, SOURCE, current_name, renamed
from .subjects import subjects, trace_ids

if TYPE_CHECKING:
    import pandas as pd

    from ...writeback import Pushed

_META = ("actual", "retrieval_ids", "prompt_name", "prompt_version", "source_url", "labels", "category", "promoted_at")


@dataclass(frozen=True, repr=False)
class Promoted:
    """What a promotion did: examples ``new`` in the file, ``there`` already, and traces ``left`` out, each with the reason.

    ``damaged`` counts lines of the file that are no record. ``note`` says what a reader must know; empty where all went well.
    """

    path: str
    new: int
    there: int
    left: tuple[tuple[str, str], ...] = ()
    damaged: int = 0
    note: str = ""

    def __repr__(self) -> str:
        parts = [f"{self.new:,} new", f"{self.there:,} already there"]
        parts += [f"{len(self.left):,} left out ({terminal(self.left[0][1], 120)})"] if self.left else []
        parts += [f"lines of the file that are no record: {self.damaged:,}"] if self.damaged else []
        return f"<Promoted {terminal(self.path)}: {', '.join([*parts, *([self.note] if self.note else [])])}>"


def promote(obs, traces: Any, *, to: str | os.PathLike = "gold.jsonl", expected: Any = None) -> Promoted:
    """Append traces as examples to a JSONL file, each once: same input and same expected answer, whatever case and spacing.

    One line: id, input, expected, actual, retrieval_ids, prompt_name, prompt_version, source_url, labels, category, trace_id,
    promoted_at. ``traces`` are ids, or a result with a reading list. ``expected`` is ``{trace_id: answer}``, or one answer for
    one trace; without it the newest correction of the store counts, else it is null. What looks like a credential is masked.

    The file is never rewritten; an interrupted run is finished by the next one. Each example is also a row of ``dataset_items``
    in the store, so that a review can count them by week and an erasure of the trace takes it along (the file it does not
    reach). Raises UsageError for traces that the store does not hold and a file that cannot be written.
    """
    path = _local(to)
    ids = trace_ids(traces)
    answers = _answers(obs, ids, expected)
    subjects(obs, ids)
    made, left = _examples(obs, ids, answers)
    done = goldfile.append(path, made, key=_key)
    note = _recorded(obs.store, path, [*done.there, *done.new])
    return Promoted(str(path), len(done.new), len(made) - len(done.new), tuple(left), done.damaged, note)


def gold(path: str | os.PathLike = "gold.jsonl") -> pd.DataFrame:
    """The examples of a file, one row each, as a dataset takes them: input, expected, metadata, trace_id.

    Lines that are no record are left out. Raises UsageError where the file holds no example.
    """
    import pandas as pd

    found, damaged = goldfile.read(_local(path))
    found = [row for row in found if row.get("input") not in (None, "")]
    if not found:
        told = f"; lines of it that are no record: {damaged:,}" if damaged else ""
        raise UsageError(f"file {terminal(path)!r} holds no example{told}; make some with lm.promote(obs, traces, to=…)")
    meta = [{k: row[k] for k in _META if row.get(k) not in (None, "", [], {})} for row in found]
    told = [(row["input"], row.get("expected"), m, row.get("trace_id")) for row, m in zip(found, meta, strict=True)]
    return pd.DataFrame(told, columns=["input", "expected", "metadata", "trace_id"])


def push_gold(
    obs, path: str | os.PathLike = "gold.jsonl", *, to: str, name: str | None = None, dry_run: bool = True, client: Any = None
) -> Pushed:
    """Send the examples of a file to a dataset of Langfuse or LangSmith; a dry run by default. ``name`` defaults to the file's.

    Of several examples of one trace the last goes. See :func:`llmobs_nb.push`, whose errors are those of this.
    """
    from ...writeback import push

    return push(obs, to=to, dataset=(name or _dataset(path), gold(path)), dry_run=dry_run, client=client)


def promoted(obs, since: datetime, until: datetime) -> int:
    """How many examples became gold in [since, until), by what the store knows, whichever file they went to."""
    found = rows(
        obs,
        f"""SELECT count(*) AS n FROM dataset_items WHERE source = {literal(SOURCE)}
        AND created_at >= {moment(since)} AND created_at < {moment(until)}""",
    )
    return int(found[0]["n"])


def _local(path: str | os.PathLike) -> Path:
    if "://" in os.fspath(path) or not os.fspath(path):
        raise UsageError(f"to={terminal(path)!r} is no local file; give a path such as gold.jsonl, and copy the file from there")
    return Path(path)


def _dataset(path: str | os.PathLike) -> str:
    return Path(path).stem


def _answers(obs, ids: Sequence[str], expected: Any) -> dict[str, str]:
    """What should have come out, by trace."""
    if expected is None:
        return _corrections(obs, ids)
    if not isinstance(expected, Mapping) or (len(ids) == 1 and ids[0] not in expected):
        if len(ids) != 1:
            raise UsageError(f"expected is one answer for {len(ids):,} traces; give {{trace_id: answer}}")
        expected = {ids[0]: expected}
    if strange := [t for t in expected if t not in ids]:
        raise UsageError(f"expected: trace {terminal(strange[0], 60)!r} is not among the traces; name it there as well")
    return {t: v if isinstance(v, str) else raw(v) for t, v in expected.items() if v is not None}


def _corrections(obs, ids: Sequence[str]) -> dict[str, str]:
    """The newest corrected answer of each trace that has one."""
    found = rows(
        obs,
        f"""SELECT trace_id, expected FROM corrections WHERE expected IS NOT NULL AND trace_id IN ({", ".join(map(literal, ids))})
        ORDER BY coalesce(updated_at, created_at) NULLS FIRST, correction_id""",
    )
    return {row["trace_id"]: row["expected"] for row in found}


def _examples(obs, ids: Sequence[str], answers: Mapping[str, str]) -> tuple[list[dict], list[tuple[str, str]]]:
    """The lines of these traces, and the traces without an input."""
    told, judged, names = content.traces(obs, ids), content.scores(obs, ids, reviews=True), renamed(obs.store)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made, left = [], []
    for one in (told[i] for i in ids):
        if not (one.input or "").strip():
            left.append((one.trace_id, "it has no input"))
            continue
        made.append(_example(one, answers.get(one.trace_id), judged.get(one.trace_id, ()), names, now))
    return made, left


def _example(one: content.Trace, expected: str | None, judged: Sequence[dict], names: Mapping[str, str], now: str) -> dict:
    said = [r for r in judged if r["name"] == CATEGORY]
    shown = [_shown(r) for r in judged if r["name"] != CATEGORY]
    row = {
        "input": one.input, "expected": expected, "actual": one.output, "retrieval_ids": list(one.retrieval_ids),
        "prompt_name": one.prompt_name, "prompt_version": one.prompt_version, "source_url": one.source_url, "labels": shown,
        "category": list(dict.fromkeys(current_name(r["label"], names) for r in said)), "trace_id": one.trace_id, "promoted_at": now,
    }  # fmt: skip
    row = {k: mask_secrets(v) if isinstance(v, str) else v for k, v in row.items()}
    return {"id": _id(row), **row}


def _id(row: Mapping) -> str:
    return hashlib.sha256(_key(row).encode()).hexdigest()[:16]


def _shown(judgement: Mapping) -> dict:
    told = {k: v for k, v in judgement.items() if k != "trace_id" and v is not None}
    return {k: mask_secrets(v) if isinstance(v, str) else v for k, v in told.items()}


def _key(row: Mapping) -> str:
    """What makes an example this one: its input and expected answer without case, spacing and the order of JSON keys."""
    return json.dumps([_normal(row.get("input")), _normal(row.get("expected"))], ensure_ascii=True)


def _normal(value: Any) -> str | None:
    if value is None:
        return None
    parsed = embedded(value, value) if isinstance(value, str) else value
    text = raw(parsed, sort_keys=True) if isinstance(parsed, (dict, list)) else str(value)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _recorded(store: str, path: Path, examples: Sequence[Mapping]) -> str:
    """Write the examples into ``dataset_items``; why it could not be done, else an empty text. The file is the truth."""
    items = [item for row in examples if (item := _item(row, _dataset(path)))]
    held = Store(store)
    try:
        with held.writing():
            stager = held.stager()
            stager.write("dataset_items", pa.Table.from_pylist(items, TABLES["dataset_items"].arrow()))
            held.commit(stager.close(), stager, threads=1)
    except (UsageError, OSError) as error:
        return f"the file has them, the store does not count them yet, run the same again: {terminal(error, 200)}"
    return ""


def _item(row: Mapping, dataset: str) -> dict | None:
    """A line as a row of ``dataset_items``; None for one that somebody else wrote or changed."""
    try:
        at = aware(datetime.fromisoformat(row["promoted_at"]))
    except (KeyError, TypeError, ValueError):
        return None
    if row.get("id") != _id(row) or not isinstance(row["input"], str):
        return None
    told = {k: row.get(k) for k in ("input", "expected", "trace_id")}
    return told | {
        "item_id": identity(SOURCE, "gold", dataset, row["id"]), "dataset_id": dataset, "dataset": dataset, "status": "active",
        "source": SOURCE, "project": "", "created_at": at, "updated_at": at,
    }  # fmt: skip
