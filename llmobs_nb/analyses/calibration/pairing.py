"""Judge and human on the same target: which label belongs to which judgement, and what was left out and why."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from ...errors import UsageError
from ..reductions import rows
from .chosen import Named, choose_scores
from .judged import TARGET, preferred, production, said, scale_of, version, versions
from .result import Paired, empty

FEW_VALUES = 11
PAIR = (
    "source", "project", "trace_id", "span_id", "session_id", "judge", "human", "judge_pass", "human_pass", "cluster", "stratum",
    "inclusion_prob", "at", "judge_version", "judge_model",
)  # fmt: skip
_KEY = ["source", "project", "key"]


def pair(
    obs, *, judge: str | None, human: str | None, pass_at: float | None, human_pass_at: float | None, cluster: str
) -> Paired | None:
    """The pairs of a judge and of humans; None where no target has both.

    Targets are traces, spans or sessions. A label of a span and a judgement of its trace (or the other way round) pair where the
    trace has one such span; a label from another source pairs by trace id where one source alone was judged. Of one
    rater the newest label counts, of several the mean (the majority of two values or of words; a tie is dropped); of a judge's
    versions the newest that judged the target, its repeats averaged. Two answers compared count from -1 (the second) to 1.
    UsageError for names that nobody scored under and for thresholds outside of what was scored.
    """
    names = choose_scores(obs, judge, human)
    if names is None:
        return None
    lost: Counter = Counter()
    labels, judged = _labels(obs, names[1], lost), _judgements(obs, *names)
    scales = scale_of(obs, names[0]), scale_of(obs, names[1])
    kind = _kind(*scales, labels, judged)
    labels, judged = _usable(labels, kind, "label", lost), _usable(judged, kind, "judgement", lost)
    labels, judged = _matched(labels, judged, lost)
    labels = _newest_of_each(labels, lost)
    humans, together = _people(labels, kind, lost)
    repeats, machine = _machine(judged[_index(judged).isin(_index(labels))], kind)
    pairs = machine.merge(together, on=_KEY)
    if not len(pairs):
        return None
    cuts = _cuts(kind, *scales, pass_at, human_pass_at)
    pairs = _placed(obs, pairs, names[1], cluster).assign(
        judge_pass=lambda d: _passes(d["judge"], cuts[0], kind), human_pass=lambda d: _passes(d["human"], cuts[1], kind)
    )
    whole = kind == "binary"
    weighted = bool(scales[0]["least"] > 0 and scales[0]["most"] > scales[0]["least"])
    made = production(obs, names[0], _verdict(cuts[0], kind), whole=whole, weighted=weighted, cluster=cluster)
    _count(
        lost,
        "judged without a verdict (a tie, or a word that is neither praise nor blame)",
        made[made["judge_pass"].isna()]["n"].sum(),
    )
    by_version = versions(obs, names[0], whole=whole)
    own = pairs["judge_version"].value_counts()
    return Paired(
        pairs=pairs[list(PAIR)].reset_index(drop=True), kind=kind, judge_name=names[0].name, human_name=names[1].name,
        pass_at=cuts[0], human_pass_at=cuts[1], humans=humans, repeats=repeats, production=made[made["judge_pass"].notna()].reset_index(drop=True),
        judged=sum(by_version.values()), labelled=len(together),
        versions=pd.DataFrame([{"judge_version": v, "n": n, "labelled": int(own.get(v, 0))} for v, n in by_version.items()]),
        dropped=pd.DataFrame([{"reason": r, "count": n} for r, n in lost.items()]) if lost else empty("reason", "count"),
    )  # fmt: skip


def _labels(obs, human: Named, lost: Counter) -> pd.DataFrame:
    found = _frame(
        rows(
            obs,
            f"""SELECT {TARGET}, {said()} AS said, label, {preferred()} AS preferred, rater_id, coalesce(updated_at, created_at) AS given, score_id,
            stratum, inclusion_prob FROM scores WHERE {human.sql}""",
        ),
        "source", "project", "trace_id", "span_id", "session_id", "said", "label", "preferred", "rater_id", "given", "score_id",
        "stratum", "inclusion_prob",
    )  # fmt: skip
    nowhere = found["trace_id"].isna() & found["session_id"].isna() & found["span_id"].isna()
    _count(lost, "label of no trace, span or session", nowhere.sum())
    return found[~nowhere]


def _judgements(obs, judge: Named, human: Named) -> pd.DataFrame:
    """All judgements of traces and sessions that have a label; ``newest`` says which version judged the target last."""
    inside = f"SELECT coalesce(trace_id, session_id) FROM scores WHERE {human.sql}"
    return _frame(
        rows(
            obs,
            f"""SELECT s.*, {version()} AS version, first_value({version()}) OVER (PARTITION BY {TARGET} ORDER BY created_at DESC, score_id DESC) AS newest
            FROM (SELECT {TARGET}, {said()} AS said, label, {preferred()} AS preferred, judge_version, judge_model, created_at, score_id
              FROM scores WHERE {judge.sql} AND coalesce(trace_id, session_id) IN ({inside})) s""",
        ),
        "source", "project", "trace_id", "span_id", "session_id", "said", "label", "preferred", "judge_version", "judge_model",
        "created_at", "score_id", "version", "newest",
    )  # fmt: skip


def _frame(found: list[dict], *columns: str) -> pd.DataFrame:
    return pd.DataFrame(found, columns=list(columns)).astype({"said": float})


def _kind(judge: dict, human: dict, labels: pd.DataFrame, judged: pd.DataFrame) -> str:
    """What is compared: words that are no numbers on either side are categories; otherwise by the values of both sides."""
    if judge["words"] or human["words"]:
        return "categorical"
    low, high = min(judge["low"] or 0, human["low"] or 0), max(judge["high"] or 0, human["high"] or 0)
    if (judge["preferred"] and human["preferred"]) or (
        low < 0 and low >= -1 and high <= 1 and min(judge["low"], human["low"]) < 0
    ):
        return "preference"
    values = set(judged["said"].dropna()) | set(labels["said"].dropna())
    if values <= {0.0, 1.0} and not (judge["fractions"] or human["fractions"]) and low >= 0 and high <= 1:
        return "binary"
    return "continuous" if judge["fractions"] or human["fractions"] or len(values) > FEW_VALUES else "ordinal"


def _usable(found: pd.DataFrame, kind: str, what: str, lost: Counter) -> pd.DataFrame:
    """What has a value of the kind in hand, in the column ``value``."""
    if kind == "categorical":
        number = found["said"].map(lambda v: f"{v:g}" if v == v else None)
        found = found.assign(value=found["label"].where(found["label"].notna(), number))
    else:
        found = found.assign(value=found["said"])
    missing = found["value"].isna()
    _count(lost, f"{what} without a value", missing.sum())
    return found[~missing]


def _matched(labels: pd.DataFrame, judged: pd.DataFrame, lost: Counter) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with ``key``, and the labels at home in the source that was judged."""
    labels, judged = labels.assign(key=_keys(labels)), judged.assign(key=_keys(judged))
    there = judged["key"]
    judged = judged.assign(key=_lifted(judged, ~judged["key"].isin(labels["key"])))
    apart = ~labels["key"].isin(there)
    labels = labels.assign(key=_lifted(labels, apart))
    several = (
        apart
        & labels["span_id"].notna()
        & (labels["key"] != "trace " + labels["trace_id"].fillna(""))
        & labels["trace_id"].isin(judged["trace_id"])
    )
    _count(lost, "label of one of several spans of a trace that was judged as a whole or elsewhere", several.sum())
    homes = judged[_KEY].drop_duplicates()
    alone = homes.drop_duplicates("key", keep=False)
    of_one = labels.drop(columns=["source", "project"]).merge(alone, on="key")
    of_many = labels[~labels["key"].isin(alone["key"])].merge(homes, on=_KEY)
    both = pd.concat([x for x in (of_one, of_many) if len(x)]) if len(of_one) or len(of_many) else of_many
    inside = labels["key"].isin(homes["key"])
    _count(lost, "label of a target that several sources judged, and its own did not", inside.sum() - len(both))
    _count(lost, "label of a target that was not judged", (~inside & ~several).sum())
    return both, judged


def _keys(found: pd.DataFrame) -> pd.Series:
    """What a score is about, as text."""
    level = np.where(found["span_id"].notna(), "span", np.where(found["trace_id"].notna(), "trace", "session"))
    text = np.where(level == "session", found["session_id"], found["trace_id"])
    return pd.Series(
        [f"{a} {b} {c}" if a == "span" else f"{a} {b}" for a, b, c in zip(level, text, found["span_id"], strict=True)],
        index=found.index,
        dtype=object,
    )


def _lifted(found: pd.DataFrame, apart: pd.Series) -> pd.Series:
    """Keys, where those of spans that stand ``apart`` become their trace's if it has one such span and nothing said of the whole."""
    spans = found["span_id"].notna() & found["trace_id"].notna()
    many = found[spans].groupby("trace_id")["span_id"].nunique()
    whole = found.loc[~spans & found["trace_id"].notna(), "trace_id"]
    lift = apart & spans & (found["trace_id"].map(many) == 1) & ~found["trace_id"].isin(whole)
    return found["key"].where(~lift, "trace " + found["trace_id"].fillna(""))


def _newest_of_each(labels: pd.DataFrame, lost: Counter) -> pd.DataFrame:
    """One label per target and rater: the newest. Labels that name no rater count as one rater's."""
    ordered = labels.assign(rater_id=labels["rater_id"].fillna("")).sort_values(["given", "score_id"], kind="stable")
    kept = ordered.drop_duplicates([*_KEY, "rater_id"], keep="last")
    _count(lost, "older label of a rater who labelled the target again", len(ordered) - len(kept))
    return kept


def _people(labels: pd.DataFrame, kind: str, lost: Counter) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The single labels of targets with several raters, and one row per target: human, stratum, inclusion_prob."""
    number = labels.groupby(_KEY)["value"].transform("size")
    several = labels[number > 1]
    humans = pd.DataFrame({"target": _index(several), "rater_id": several["rater_id"], "value": several["value"]}).reset_index(
        drop=True
    )
    one = labels.groupby(_KEY, sort=True)[["stratum", "inclusion_prob"]].first().assign(human=_one_of(labels, kind)).reset_index()
    split = one["human"].isna()
    _count(lost, "target of which as many raters say one thing as another", split.sum())
    return humans, one[~split]


def _machine(judged: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All judgements of targets with several, and one row per target by the version that judged it last."""
    ordered = judged.sort_values(["created_at", "score_id"], kind="stable")
    number = ordered.groupby(_KEY)["value"].transform("size")
    several = ordered[number > 1]
    repeats = pd.DataFrame(
        {"target": _index(several), "judge_version": several["version"], "value": several["value"]}
    ).reset_index(drop=True)
    last = ordered[ordered["version"] == ordered["newest"]]
    about = ["trace_id", "span_id", "session_id", "judge_model", "created_at", "version"]
    one = last.groupby(_KEY, sort=True)[about].last().assign(judge=_one_of(last, kind, tie="last"))
    return repeats, one.rename(columns={"version": "judge_version"}).reset_index()


def _one_of(found: pd.DataFrame, kind: str, *, tie: str = "none") -> pd.Series:
    """The values of each target as one: the mean of numbers, the majority of two values or of words; of a tie none, or the last."""
    groups = found.groupby(_KEY, sort=True)["value"]
    if kind not in ("binary", "categorical"):
        return groups.mean()
    last, several = groups.last(), groups.nunique() > 1

    def majority(values: pd.Series):
        count = values.value_counts()
        if count.iloc[0] == count.iloc[1]:
            return values.iloc[-1] if tie == "last" else None
        return count.index[0]

    if not several.any():
        return last
    split = found[several.reindex(pd.MultiIndex.from_frame(found[_KEY])).to_numpy()]
    told = {key: majority(values) for key, values in split.groupby(_KEY)["value"]}
    return last.where(~several, pd.Series([told.get(key) for key in last.index], index=last.index, dtype=last.dtype))


def _placed(obs, pairs: pd.DataFrame, human: Named, cluster: str) -> pd.DataFrame:
    """Pairs with the session and the start of their trace, and the cluster they belong to."""
    origins = rows(
        obs,
        f"""SELECT trace_id, min(start_time) AS started, max(session_id) AS session FROM spans
        WHERE trace_id IN (SELECT trace_id FROM scores WHERE {human.sql}) GROUP BY trace_id""",
    )
    known = pd.DataFrame(origins, columns=["trace_id", "started", "session"])
    pairs = pairs.merge(known, on="trace_id", how="left")
    session = pairs["session_id"].where(pairs["session_id"].notna(), pairs["session"])
    own = pairs["trace_id"].where(pairs["trace_id"].notna(), session)
    who = {"session_id": session.where(session.notna(), own), "trace_id": own}.get(cluster, pairs["key"])
    at = pd.to_datetime(pairs["started"], utc=True).where(pairs["started"].notna(), pd.to_datetime(pairs["created_at"], utc=True))
    return pairs.assign(session_id=session, cluster=who, at=at)


def _cuts(
    kind: str, judge: dict, human: dict, pass_at: float | None, human_pass_at: float | None
) -> tuple[float | None, float | None]:
    """From where on the judge's score and the label pass; None for words and preferences."""
    if kind in ("categorical", "preference"):
        for name, value in (("pass_at", pass_at), ("human_pass_at", human_pass_at)):
            if value is not None:
                raise UsageError(f"{name}={value:g} does not fit {kind} scores, which have no threshold; leave it out")
        return None, None
    first = _inside("pass_at", pass_at, judge) if pass_at is not None else _middle(judge, kind)
    if human_pass_at is not None:
        return first, _inside("human_pass_at", human_pass_at, human)
    same = (human["low"], human["high"]) == (judge["low"], judge["high"]) or (_unit(human) and _unit(judge))
    fits = same and human["low"] < first <= human["high"]
    return first, first if fits else _middle(human, kind)


def _inside(name: str, value: float, scale: dict) -> float:
    if not scale["low"] <= value <= scale["high"]:
        raise UsageError(
            f"{name}={value:g} lies outside of what was scored, {scale['low']:g} to {scale['high']:g}; give a value between them"
        )
    return float(value)


def _unit(scale: dict) -> bool:
    return scale["low"] >= 0 and scale["high"] <= 1


def _middle(scale: dict, kind: str) -> float:
    """1 of two values, else the middle of the range, which is 0 to 1 for what lies inside it."""
    if kind == "binary":
        return 1.0
    return 0.5 if _unit(scale) else (scale["low"] + scale["high"]) / 2


def _passes(values: pd.Series, cut: float | None, kind: str) -> pd.Series:
    if kind == "categorical":
        return pd.Series(np.nan, index=values.index)
    if kind == "preference":
        return pd.Series(np.where(values > 0, 1.0, np.where(values < 0, 0.0, np.nan)), index=values.index)
    return (values.astype(float) >= cut - 1e-12).astype(float)


def _verdict(cut: float | None, kind: str) -> str:
    """SQL of a verdict from what was said."""
    if kind == "categorical":
        return "CAST(NULL AS INTEGER)"
    if kind == "preference":
        return "CASE WHEN said > 0 THEN 1 WHEN said < 0 THEN 0 END"
    return f"CASE WHEN said >= {cut!r} - 1e-12 THEN 1 WHEN said < {cut!r} - 1e-12 THEN 0 END"


def _index(found: pd.DataFrame) -> pd.Series:
    """Targets as one text each."""
    return found["source"].astype(str) + " " + found["project"].astype(str) + " " + found["key"].astype(str)


def _count(lost: Counter, reason: str, count) -> None:
    if count > 0:
        lost[reason] += int(count)
