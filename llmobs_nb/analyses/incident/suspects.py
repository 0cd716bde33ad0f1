"""Changes that the traces themselves tell of, each with the slice that it reached: versions, settings, passages of text.

A suspect needs no search: it says since when and for whom. Whether anything became worse there is one test per metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ...stats.likelihood import binomial_fit
from ..reductions import rows
from .axes import CODED, DERIVED, DOCUMENTS, TECHNICAL
from .cube import Counter, Cube, Label, where_sql
from .wording import Wording

SAME = 0.7
CLOSE = 0.8
ORDER_PENALTY = 4.0
FULL = 0.92
TRIED = 3
KINDS = {
    "prompt_version": "prompt_version", "model": "model_version", "retrieval_index_version": "retrieval",
    "model_params": "configuration", DOCUMENTS: "configuration",
}  # fmt: skip
OF_WORDING = {
    "prompt_new": "prompt_text",
    "prompt_gone": "configuration",
    "input_new": "input_mix",
    "output_new": "model_behaviour",
}


@dataclass(eq=False)
class Suspect:
    """A change of some kind: for whom (``label``, codes by axis), since when, and the sums of all metrics there (3 × M × T).

    ``presence`` is the share of the slice's traces that have it from then on. ``wording`` or ``version`` say what it
    is, ``flag`` is the metric that is 1 for the traces with the passage.
    """

    kind: str
    label: Label
    sums: np.ndarray
    day: int
    at: datetime | None
    end: int | None = None
    presence: float = 1.0
    wording: Wording | None = None
    version: tuple[str, str] | None = None
    flag: int | None = None


def find_suspects(counter: Counter, cube: Cube, wordings: tuple[Wording, ...]) -> list[Suspect]:
    """Every version that is new in its context and every new or vanished passage, with the slice that it reached."""
    out = [_of_version(counter, cube, cell) for cell in cube.exposures]
    explained = _shared(counter, cube, wordings)
    first = len(counter.plan.metrics) - len(wordings)
    for k, wording in enumerate(wordings):
        if explained[k] is not None:
            out[explained[k]].wording = out[explained[k]].wording or wording
            continue
        found = _of_wording(counter, cube, wording, first + k)
        if found:
            out.append(found)
    return out


def _of_version(counter: Counter, cube: Cube, cell: int) -> Suspect:
    one = cube.exposures[cell]
    axis = counter.axes[one.axis]
    (row,) = rows(counter.obs, f"SELECT min(started) AS a, max(day) AS last FROM {CODED} WHERE {where_sql(cube.labels[cell])}")
    label, sums = cube.labels[cell], cube.sums[:, :, cell].astype(float)
    out = Suspect(KINDS[axis.name], label, sums, one.since, row["a"], version=(axis.name, axis.values[one.value]))
    if axis.name in ("model_params", DOCUMENTS, "retrieval_index_version"):
        wider = _slice_of(counter, cube, _presence_of(counter, cube, cell), one.since, one)
        if wider:
            out.label, out.presence, out.sums = wider
    last = int(row["last"])
    out.end = last + 1 if last < counter.plan.days - 3 else None
    return out


def _shared(counter: Counter, cube: Cube, wordings) -> list[int | None]:
    """Per passage the place of the version that has most of its traces, None where none has."""
    if not wordings or not cube.exposures:
        return [None] * len(wordings)
    first = len(counter.plan.metrics) - len(wordings)
    sums = []
    for k in range(len(wordings)):
        sums.append(f"sum(m{first + k}) AS w{k}")
        for j, cell in enumerate(cube.exposures):
            sums.append(f"sum(CASE WHEN {where_sql(cube.labels[cell])} THEN m{first + k} END) AS w{k}_{j}")
    (row,) = rows(counter.obs, f"SELECT {', '.join(sums)} FROM {CODED}")
    out: list[int | None] = []
    for k, w in enumerate(wordings):
        shares = [(row[f"w{k}_{j}"] or 0) / max(row[f"w{k}"] or 0, 1) for j in range(len(cube.exposures))]
        best = int(np.argmax(shares))
        prompts = list(cube.exposures.values())[best].axis == _named(counter, "prompt_version")
        out.append(best if shares[best] >= SAME and (prompts or not w.kind.startswith("prompt")) else None)
    return out


def _named(counter: Counter, name: str) -> int | None:
    return next((k for k, a in enumerate(counter.axes) if a.name == name), None)


def _day(counter: Counter, at: datetime) -> int:
    return int((at - counter.plan.start).total_seconds() // 86_400)


def _of_wording(counter: Counter, cube: Cube, wording: Wording, metric: int) -> Suspect | None:
    """The slice that a passage reached, and since when."""
    day = _day(counter, wording.seen)
    if wording.kind == "prompt_gone":
        day = _ceased(counter, cube, metric)
    if not 2 <= day <= counter.plan.days - 1:
        return None
    n, k = cube.sums[0, metric, :, day:].sum(axis=1), cube.sums[1, metric, :, day:].sum(axis=1)
    total = cube.total[:2, metric, day:].sum(axis=1)
    found = _slice_of(counter, cube, (n, k, total, f"m{metric}"), day, None)
    if not found:
        return None
    label, presence, sums = found
    (row,) = rows(
        counter.obs,
        f"""SELECT min(started) AS a, max(day) AS last FROM {CODED}
        WHERE m{metric} = 1 AND day >= {day} - 1 AND {where_sql(label)}""",
    )
    last = int(row["last"]) if row["last"] is not None else day
    end = last + 1 if last < counter.plan.days - 3 and wording.kind != "prompt_gone" else None
    at = row["a"] or wording.seen
    return Suspect(OF_WORDING[wording.kind], label, sums, day, at, end, presence, wording, flag=metric)


def _ceased(counter: Counter, cube: Cube, metric: int) -> int:
    """The day from which on a passage is missing most clearly: largest gain of a step in the share of traces without it."""
    best = (0.0, 0)
    for c in np.argsort(-cube.sums[1, metric].sum(axis=1))[:200]:
        n, k = cube.sums[0, metric, c].cumsum(), cube.sums[1, metric, c].cumsum()
        after_n, after_k = n[-1] - n[:-1], k[-1] - k[:-1]
        gain = binomial_fit(k[:-1], n[:-1]) + binomial_fit(after_k, after_n) - binomial_fit(k[-1], n[-1])
        d = int(gain.argmax())
        best = max(best, (float(gain[d]), d + 1))
    return best[1]


def _presence_of(counter: Counter, cube: Cube, cell: int):
    """Rows, and rows with a version, per slice of one attribute from its first day on; of all traffic; and what tells the version."""
    one = cube.exposures[cell]
    flag = f"CASE WHEN {where_sql(cube.labels[cell])} THEN 1e0 ELSE 0e0 END"
    sql = f"count(*) AS n, sum({flag}) AS k FROM {CODED} WHERE day >= {one.since}"
    known: dict[Label, tuple[float, float]] = {}
    for a in sorted({label[0][0] for label in cube.labels if len(label) == 1} - {one.axis}):
        for r in rows(counter.obs, f"SELECT c{a} AS c, {sql} AND c{a} IS NOT NULL GROUP BY 1"):
            known[((a, int(r["c"])),)] = (r["n"], r["k"])
    n, k = np.array([known.get(label, (0, 0)) for label in cube.labels], float).T
    (row,) = rows(counter.obs, f"SELECT {sql}")
    return n, k, np.array([row["n"], row["k"] or 0], float), flag


def _slice_of(counter: Counter, cube: Cube, presence, day: int, exposure) -> tuple[Label, float, np.ndarray] | None:
    """The conjunction under which presence is told best: by likelihood, and cut down further while it is partial."""
    n, k, total, flag = presence
    if not total[1]:
        return None
    allowed = np.array([i not in cube.exposures for i in range(len(cube.labels))])
    if exposure is not None:
        allowed &= np.array([all(a != exposure.axis for a, _ in label) for label in cube.labels])
    gain = _gain(n, k, total) - np.array([penalty(counter, label) for label in cube.labels])
    gain[~allowed | (k / np.maximum(n, 1) <= total[1] / total[0])] = -np.inf
    whole = total[1] / total[0]
    if not np.isfinite(gain).any() or gain.max() <= 0:
        return ((), whole, cube.total.copy()) if whole > 0.5 else None
    best: list[tuple[float, Label, float]] = []
    for c in np.argsort(-gain)[: 3 * TRIED]:
        if np.isfinite(gain[c]):
            best.append((float(gain[c]), cube.labels[c], float(k[c] / n[c])))
    best = _narrower(counter, best, flag, day, total, exposure)
    _, label, share = max(best, key=lambda b: b[0])
    return label, share, sums_of(counter, cube, label)


def penalty(counter: Counter, label: Label) -> float:
    """What a slice must gain to be preferred: for each attribute, and more for what no product manager would name."""
    return sum(ORDER_PENALTY + (counter.axes[a].name in TECHNICAL) for a, _ in label)


def _gain(n, k, total):
    return binomial_fit(k, n) + binomial_fit(total[1] - k, total[0] - n) - binomial_fit(total[1], total[0])


def _narrower(counter: Counter, best, flag: str, day: int, total, exposure):
    """Each of the best with one attribute more, as long as it is not full."""
    out = list(best)
    for _ in range(2):
        front = sorted(out, key=lambda b: -b[0])[:TRIED]
        for _, label, share in front:
            if share >= FULL or len(label) >= 3:
                continue
            taken = {a for a, _ in label} | ({exposure.axis} if exposure else set())
            for a, axis in enumerate(counter.axes):
                if a in taken or not axis.still or axis.name in DERIVED:
                    continue
                sql = f"""SELECT c{a} AS c, count({flag}) AS n, sum({flag}) AS k FROM {CODED}
                    WHERE day >= {day} AND {where_sql(label)} AND c{a} IS NOT NULL GROUP BY 1"""
                for r in rows(counter.obs, sql):
                    if r["n"] and r["k"]:
                        more = (*label, (a, int(r["c"])))
                        score = float(_gain(r["n"], r["k"], total)) - penalty(counter, more)
                        if sorted(more) not in [sorted(b[1]) for b in out]:
                            out.append((score, more, r["k"] / r["n"]))
    return out


def sums_of(counter: Counter, cube: Cube, label: Label) -> np.ndarray:
    """3 × M × T of a slice: of the cube where it has it, else asked for."""
    if not label:
        return cube.total.copy()
    if label in cube.labels:
        return cube.sums[:, :, cube.labels.index(label)].astype(float)
    return counter.of(label)
