"""One case: a product, its traffic, perhaps an incident, decoys, and the truth about all of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llmobs_nb.ingest.fill import FROM_METADATA

from .behaviour import State, behave, retry
from .coded import Coded
from .decoys import Decoys, burst_of_staging, draw_decoys, plant
from .judging import judge
from .kinds import SCORE, Work, strike
from .measure import METRICS, Written, measured, welch
from .mix import moved, with_worse_part
from .product import draw_product
from .slices import OF_CALLS, draw_slice, mask_of
from .spans import LLM, lay_out
from .story import KINDS, Story, any_kind, draw_story
from .texts import write_texts
from .traffic import draw_traffic
from .truth import Truth
from .write import Kept, change_log, scores_table, spans_table, survive, trace_ids

# Each stage draws from its own stream of the seed, so that a change to one leaves the others as they were.
STAGES = ("kind", "product", "story", "decoys", "traffic", "behaviour", "slice", "kinds", "judging", "texts", "writing")
OTHER_TIMES = 20


@dataclass(eq=False)
class Case:
    """The written tables of a case and its truth. ``trace_ids`` and ``at`` (microseconds UTC) have one element per trace."""

    truth: Truth
    written: Written
    changes: str | None
    prompts: dict[str, str] | None
    trace_ids: np.ndarray
    at: np.ndarray
    dims: dict[str, Coded]

    @property
    def spans(self) -> pa.Table:
        return self.written.spans

    @property
    def scores(self) -> pa.Table:
        return self.written.scores

    def write(self, folder: str | Path) -> Path:
        """Write the interchange folder; the truth stays here."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("spans", "scores"):
            pq.write_table(getattr(self, name), folder / f"{name}.parquet", compression="zstd", compression_level=1)
        if self.changes is not None:
            (folder / "changes.csv").write_text(self.changes, encoding="utf-8", newline="")
        if self.prompts is not None:
            (folder / "prompts.json").write_text(json.dumps(self.prompts, indent=1), encoding="utf-8")
        return folder

    def select(self, where: dict[str, str]) -> np.ndarray:
        """Which traces a conjunction selects, by canonical columns or metadata keys.

        What only model calls say (provider, model, prompt) is asked of those; a column of the spans that is no dimension of
        the trace holds where any span has the value; a name that is not there selects nothing.
        """
        out = np.ones(len(self.trace_ids), bool)
        for name, value in where.items():
            out &= self._holds(name, str(value))
        return out

    def _holds(self, name: str, value: str) -> np.ndarray:
        if name in self._names:
            return self.dims[self._names[name]].holds(value)
        if name not in self.spans.column_names:
            return np.zeros(len(self.trace_ids), bool)
        column = self.spans[name]
        flags = pc.fill_null(pc.equal(column.cast(pa.string()), value), False) if not pa.types.is_nested(column.type) else None
        found = np.zeros(len(self.trace_ids), bool)
        if flags is not None:
            found[self.written.trace[flags.to_numpy()]] = True
        return found

    @cached_property
    def _names(self) -> dict[str, str]:
        """Every name under which a dimension can be asked for, a canonical column filled from metadata included."""
        same = {name: name for name in self.dims}
        return {c: k for c, keys in FROM_METADATA.items() for k in keys if k in self.dims} | same


def case(seed: int, *, traces: int = 20_000, kind: str | None = None, weeks: int = 8) -> Case:
    """The case of a seed: the same arguments always give the same rows. ``kind`` is one of ``KINDS``, drawn when not given.

    Raises ValueError for a kind that is not known, fewer than four weeks or fewer than 1,000 traces.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; choose one of: {', '.join(KINDS)}")
    if weeks < 4 or traces < 1000:
        raise ValueError(f"weeks={weeks!r} and traces={traces!r} are too few; give four weeks and 1,000 traces or more")
    rng = {stage: np.random.default_rng([seed, n]) for n, stage in enumerate(STAGES)}
    kind = kind or any_kind(rng["kind"])
    product = draw_product(rng["product"], traces=traces, weeks=weeks, kind=kind)
    story = draw_story(rng["story"], kind, product.days)
    decoys = draw_decoys(rng["decoys"], product)
    redirects, details = list(decoys.redirects), {}
    if kind in ("traffic_mix_changed", "sampling_changed"):
        product, part = with_worse_part(rng["story"], product)
    if kind == "traffic_mix_changed":
        redirects.append(moved(product, story, part, traces))
        details["grows"] = product.features[part.value].name if part.role == "feature" else product.values["tenant"][part.value]
    traffic = draw_traffic(rng["traffic"], product, traces, volume=decoys.volume, redirects=redirects)
    burst_of_staging(rng["decoys"], traffic, decoys)
    state = behave(rng["behaviour"], product, traffic)
    story, work, metrics = _happen(rng, state, story, decoys)
    retry(rng["kinds"], state)
    return _written(rng, seed, state, story, decoys, work, metrics, details)


def _happen(rng: dict, state: State, story: Story, decoys: Decoys) -> tuple[Story, Work | None, tuple[str, ...]]:
    """Decoys in the calls, then the incident where there is one; the story as it was told in the end."""
    if story.verdict != "incident":
        plant(rng["decoys"], state, {}, decoys)
        return story, None, () if story.verdict == "no_change" else (SCORE,)
    where, fits = draw_slice(rng["slice"], state, story)
    for _ in range(OTHER_TIMES):
        if fits:
            break
        # A few hours of a night hold no slice: let it happen at another time.
        story = draw_story(rng["story"], story.kind, state.product.days)
        where, fits = draw_slice(rng["slice"], state, story)
    mask = mask_of(state, where)
    plant(rng["decoys"], state, where, decoys)
    return story, *strike(rng["kinds"], state, story, where, mask)


def _written(rng: dict, seed: int, state: State, story: Story, decoys: Decoys, work, metrics, details: dict) -> Case:
    details |= work.details if work else {}
    made = write_texts(rng["texts"], state)
    if made.ceiling:
        state.quality[made.cut & state.capped] -= state.cut_loss
        details["ceiling"] = made.ceiling
    scores = judge(rng["judging"], state, story, decoys, details)
    rows = lay_out(rng["texts"], state, made)
    kept = survive(rng["writing"], state, rows, decoys)
    ids = trace_ids(rng["writing"], state)
    spans = spans_table(rng["writing"], state, rows, made, kept, ids)
    written = Written(spans, scores_table(state, scores, ids), rows.trace[kept.spans], ids)
    changes = change_log(rng["writing"], state, story, work, decoys)
    prompts = made.templates if rng["writing"].random() < 0.7 else None
    names = np.array(ids.to_pylist(), object)
    start = np.datetime64(state.product.start.replace(tzinfo=None), "us").astype(np.int64)
    dims = _dims(state, kept, rows.trace[kept.spans], rows.kind[kept.spans])
    out = Case(Truth(seed, story.verdict, story.kind), written, changes, prompts, names, state.traffic.at + start, dims)
    out.truth = _truth(seed, state, story, decoys, work, metrics, out, details)
    return out


def _dims(state: State, kept: Kept, trace: np.ndarray, kind: np.ndarray) -> dict[str, Coded]:
    """The dimensions of the traces under the names in the data; what only model calls tell is unknown where they are lost."""
    n = len(state.traffic)
    called = np.bincount(trace[kind == LLM], minlength=n) > 0
    out = {axis.name: kept.dims[axis.role] for axis in state.product.axes}
    for role, name in OF_CALLS.items():
        out[name] = kept.dims[role].copy()
        if role != "index":
            out[name].put(~called, None)
    return out


def _truth(seed, state: State, story: Story, decoys: Decoys, work: Work | None, metrics, case: Case, details: dict) -> Truth:
    base = {"seed": seed, "verdict": story.verdict, "kind": story.kind, "details": details, "decoys": decoys.named}
    if story.verdict == "no_change":
        return Truth(**base)
    at = state.traffic.at
    alive = np.bincount(case.written.trace, minlength=len(at)) > 0
    hit, before = (work.hit, work.before) if work else (at >= story.onset, at < story.onset)
    named = tuple(f"score:{state.product.judging.name}:judge" if m == SCORE else m for m in metrics)
    costs = "cost_recorded_usd" in case.spans.column_names
    known = [m for m in named if m.startswith("score:") or (m in METRICS and (costs or not m.startswith("cost")))]
    values = {m: measured(m, case.written) for m in known}
    z = {m: round(welch(v[hit], v[before]), 3) for m, v in values.items()}
    name_of = {a.role: a.name for a in state.product.axes} | OF_CALLS
    where = {name_of[role]: word for role, word in work.where.items()} if work else {}
    chosen = case.select(where) & story.during(at) & alive
    start = state.product.start
    return Truth(
        **base,
        metrics=named,
        onset=start + timedelta(microseconds=story.onset),
        end=None if story.end is None else start + timedelta(microseconds=story.end),
        shape=story.shape,
        ramp_days=story.ramp / 86_400_000_000,
        where=where,
        affected=frozenset(case.trace_ids[hit & alive]) if work else frozenset(),
        oracle_z=z[named[0]],
        z=z,
        reach=round(float((chosen & hit).sum() / max(1, (chosen | (hit & alive)).sum())), 3) if work else 1.0,
    )
