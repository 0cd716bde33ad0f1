"""For tests of judge calibration: judged and labelled traffic of known truth and known design, as pairs in memory or as scores of a store."""

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from llmobs_nb.analyses.calibration.result import Paired
from tests.storekit import score, span

START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)  # a Monday
DESIGNS = ("random", "by_verdict", "by_label", "weights", "period")


@dataclass(frozen=True)
class World:
    """Traffic that a judge judged: humans would pass ``p`` of it, week by week where it is a tuple; ``tpr`` and ``tnr`` are the judge's.

    ``session`` traces make a session; ``icc`` is the correlation inside it of what humans would say, and half of it that of the
    judge's errors. ``german`` is the share of traces whose locale is de; ``corrupt`` makes all human labels there coin flips.
    """

    p: float | tuple[float, ...] = 0.9
    tpr: float = 0.95
    tnr: float = 0.8
    traffic: int = 3000
    session: int = 1
    icc: float = 0.0
    german: float = 0.3
    corrupt: bool = False

    @property
    def weeks(self) -> tuple[float, ...]:
        """What humans would pass in each week."""
        return self.p if isinstance(self.p, tuple) else (self.p,)

    @property
    def truth(self) -> float:
        """What humans would pass of all the traffic; all weeks have as much."""
        return float(np.mean(self.weeks))


def traffic(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """One row per judged trace: trace_id, session_id, week (from 0), at, locale, human (what one would say), judge; 0/1."""
    size = world.session
    sessions = -(-world.traffic // size)
    week = np.arange(sessions) * len(world.weeks) // sessions
    rate = common(rng, np.array(world.weeks)[week], world.icc)
    tpr, tnr = (common(rng, np.full(sessions, rate), world.icc / 2) for rate in (world.tpr, world.tnr))
    rate, tpr, tnr, week, session = (np.repeat(x, size) for x in (rate, tpr, tnr, week, np.arange(sessions)))
    human = rng.random(len(week)) < rate
    judge = rng.random(len(week)) < np.where(human, tpr, 1 - tnr)
    hours = week * 168 + rng.random(len(week)) * 167
    locale = np.where(rng.random(len(week)) < world.german, "de", "en")
    if world.corrupt:
        human = np.where(locale == "de", rng.random(len(week)) < 0.5, human)
    return pd.DataFrame(
        {
            "trace_id": [f"t{i:06d}" for i in range(len(week))], "session_id": [f"s{i:06d}" for i in session], "week": week,
            "at": pd.Timestamp(START) + pd.to_timedelta(hours * 3600, unit="s").floor("s"), "locale": locale,
            "human": human.astype(float), "judge": judge.astype(float),
        }
    )  # fmt: skip


def common(rng: np.random.Generator, rate: np.ndarray, icc: float) -> np.ndarray:
    """The rate of each session: beta around ``rate`` so that two traces of it correlate by ``icc``."""
    if not icc:
        return rate.astype(float)
    mass = (1 - icc) / icc
    return rng.beta(np.clip(rate, 1e-9, 1) * mass, np.clip(1 - rate, 1e-9, 1) * mass)


def label(frame: pd.DataFrame, design: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """The traffic with ``labelled``, ``inclusion_prob`` and ``stratum``: whole sessions in random order until n traces are in.

    ``by_verdict`` and ``by_label`` take half of either kind (all of it where there is less); ``weights`` draws failed verdicts four
    times as often as passed ones, and records that; ``period`` labels the first week only.
    """
    _, code = np.unique(frame["session_id"].to_numpy(), return_inverse=True)
    turn = rng.random(code.max() + 1)[code]
    order = np.lexsort((np.arange(len(frame)), turn))
    chosen, prob = np.zeros(len(frame), bool), np.full(len(frame), np.nan)
    if design == "weights":
        pull = np.where(frame["judge"] > 0.5, 1.0, 4.0)
        prob = np.minimum(n * pull / pull.sum(), 1.0)
        chosen = turn < prob
    elif design in ("by_verdict", "by_label"):
        side = frame["judge" if design == "by_verdict" else "human"].to_numpy()[order]
        for value in (0.0, 1.0):
            chosen[order[side == value][: n // 2]] = True
    else:
        open_ = order if design == "random" else order[frame["week"].to_numpy()[order] == 0]
        chosen[open_[:n]] = True
    stratum = np.where(frame["judge"] > 0.5, "passed", "failed") if design == "weights" else None
    return frame.assign(labelled=chosen, inclusion_prob=prob, stratum=stratum)


def drawn(seed: int, *, design: str = "random", n: int = 200, **world) -> pd.DataFrame:
    """Traffic of a :class:`World` of which n traces are labelled by a design."""
    rng = np.random.default_rng(seed)
    return label(traffic(World(**world), rng), design, n, rng)


def paired(frame: pd.DataFrame, *, cluster: str = "session_id", version: str = "1") -> Paired:
    """The pairs of a labelled frame, without a store: what ``pair`` gives for :func:`score_rows` of it."""
    own = frame[frame["labelled"]]
    cluster_of = own["trace_id" if cluster == "trace_id" else "session_id"] if cluster != "none" else own["trace_id"]
    pairs = pd.DataFrame(
        {
            "source": "test", "project": "p", "trace_id": own["trace_id"], "span_id": None, "session_id": own["session_id"],
            "judge": own["judge"], "human": own["human"], "judge_pass": own["judge"], "human_pass": own["human"],
            "cluster": cluster_of, "stratum": own["stratum"], "inclusion_prob": own["inclusion_prob"], "at": own["at"],
            "judge_version": version, "judge_model": "m-1",
        }
    ).reset_index(drop=True)  # fmt: skip
    return Paired(
        pairs=pairs, kind="binary", judge_name="quality", human_name="label", pass_at=1.0, human_pass_at=1.0,
        production=production(frame), judged=len(frame), labelled=len(own),
        versions=pd.DataFrame({"judge_version": [version], "n": [len(frame)], "labelled": [len(own)]}),
    )  # fmt: skip


def production(frame: pd.DataFrame) -> pd.DataFrame:
    """Every judged trace by week and verdict, as ``Paired.production`` has it."""
    monday = [START + dt.timedelta(weeks=int(w)) for w in frame["week"].unique()]
    rows = []
    for week, start in zip(frame["week"].unique(), monday, strict=True):
        part = frame[frame["week"] == week]
        _, code = np.unique(part["session_id"].to_numpy(), return_inverse=True)
        said = {v: np.bincount(code, part["judge"] == v) for v in (0.0, 1.0)}
        for value, count in said.items():
            other = said[1.0 - value]
            rows.append(
                {"week": start.date(), "judge_pass": value, "n": int(count.sum()), "clusters": int((count > 0).sum()),
                 "weight": count.sum(), "square": count @ count, "cross": count @ other}
            )  # fmt: skip
    return pd.DataFrame(rows)


def score_rows(frame: pd.DataFrame, *, judge: str = "quality", human: str = "label", raters=("h1",), version="1") -> list[dict]:
    """The scores of a labelled frame for ``storekit.put(root, scores=...)``: the judge's of all, each rater's of what is labelled."""
    rows = []
    for r in frame.itertuples():
        about = {"trace_id": r.trace_id, "session_id": r.session_id, "created_at": r.at.to_pydatetime()}
        by = {"rater": "judge", "rater_id": "grader", "judge_model": "m-1", "judge_version": version}
        rows.append(score(f"{r.trace_id}-j", **about, name=judge, value=r.judge, **by))
        for rater in raters if r.labelled else ():
            drawn_by = {
                "stratum": r.stratum,
                "inclusion_prob": None if r.inclusion_prob != r.inclusion_prob else r.inclusion_prob,
            }
            rows.append(
                score(f"{r.trace_id}-{rater}", **about, name=human, value=r.human, rater="human", rater_id=rater, **drawn_by)
            )
    return rows


def span_rows(frame: pd.DataFrame) -> list[dict]:
    """One root span per trace, with its session and locale."""
    return [
        span(f"{r.trace_id}-root", trace_id=r.trace_id, session_id=r.session_id, locale=r.locale, start_time=r.at.to_pydatetime())
        for r in frame.itertuples()
    ]


def with_versions(one: Paired, **versions: int) -> Paired:
    """The same pairs, where production was judged by these versions (name: how many), of which only the pairs' own has labels."""
    own = set(one.pairs["judge_version"])
    rows = [{"judge_version": v, "n": n, "labelled": len(one.pairs) if v in own else 0} for v, n in versions.items()]
    return replace(one, versions=pd.DataFrame(rows))
