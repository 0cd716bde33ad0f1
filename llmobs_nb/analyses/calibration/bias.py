"""What the judge may lean on: length, wording, form, its own kin, the hour; marginally, and among answers of the same human label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ...columns import literal
from ...prices.names import normalise
from ...stats import leaning
from ...stats.multiplicity import benjamini_hochberg
from ...stats.wording import read
from ..drift import plain as texts
from ..drift.tone import sentiment
from ..result import Estimate
from ..review.content import answers
from .agree import ceiling, design_weights
from .chosen import choose_scores
from .judged import said
from .result import Paired

COLUMNS = ("covariate", "unit", "marginal", "given_human", "q", "flagged")
ALPHA, POINTS = 0.05, 100.0
SPREAD, YES = "points per standard deviation", "points, yes against no"
MOST_TEXTS = 5000
MOST_ERROR = 0.25
NUMBERS_ERROR, MOST_NOISE = 0.3, 0.6


@dataclass(frozen=True, eq=False)
class _Scale:
    """Judge and human in points of 100: pass and fail, or places between the lowest and the highest score."""

    judge: np.ndarray
    human: np.ndarray
    weight: np.ndarray | None
    clusters: np.ndarray
    error: float


def bias(obs, paired: Paired, design) -> pd.DataFrame:
    """One row per covariate that the store holds: how the judge's word changes with it, in points of 100.

    Columns: covariate, unit, marginal (judge - human on it), given_human (the judge among answers of the same human label; its interval
    holds for any share of wrong labels up to 5 %, of scores for noise up to 30 % of their variance, or up to what several humans' own
    disagreement implies), q (Benjamini-Hochberg
    over the rows, of given_human) and flagged (q below 0.05). The marginal one flags honest judges wherever the covariate goes with
    quality, so it flags nothing. Missing values are left out; a covariate without enough of them tells why in its estimates.
    """
    scale = _scale(paired, design)
    if scale is None:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = [_row(name, values, scale) for name, values in _covariates(obs, paired).items()]
    if paired.kind == "preference":
        rows.insert(0, _position(obs, paired, scale))
    table = pd.DataFrame(rows, columns=["covariate", "unit", "marginal", "given_human"])
    table["q"] = benjamini_hochberg([e.p if e.ok else None for e in table["given_human"]])
    table["flagged"] = table["q"] < ALPHA
    return table[list(COLUMNS)]


def _scale(paired: Paired, design) -> _Scale | None:
    weight = design_weights(paired, design)
    if paired.kind in ("ordinal", "continuous"):
        judge, human = (paired.pairs[c].to_numpy(float) for c in ("judge", "human"))
        both = np.concatenate([judge, human])
        width = np.nanmax(both) - np.nanmin(both) if np.isfinite(both).any() else 0.0
        together = ceiling(paired)
        error = min(max(1 - together.value, leaning.ERROR), MOST_NOISE) if together.ok else NUMBERS_ERROR
        return _Scale(judge / width, human / width, weight, paired.clusters, error) if width > 0 else None
    judge, human = (paired.pairs[c].to_numpy(float) for c in ("judge_pass", "human_pass"))
    if not (np.isfinite(judge) & np.isfinite(human)).any():
        return None
    return _Scale(judge, human, weight, paired.clusters, max(leaning.ERROR, min(_wrong(paired), MOST_ERROR)))


def _wrong(paired: Paired) -> float:
    """The share of wrong labels with which two humans would differ as often as they do; 0 where no target has two."""
    if not len(paired.humans):
        return 0.0
    told = paired.humans.assign(one=1.0)
    cell = told.groupby(["target", "value"])["one"].sum()
    size = cell.groupby("target").sum()
    same, all_ = float((cell * (cell - 1)).sum()), float((size * (size - 1)).sum())
    return (1 - math.sqrt(max(1 - 2 * (1 - same / all_), 0.0))) / 2 if all_ else 0.0


def _row(name: str, values: np.ndarray, s: _Scale) -> dict:
    seen = values[np.isfinite(values)]
    two = bool(len(seen)) and bool(np.isin(seen, (0, 1)).all())
    spread = 1.0 if two or not len(seen) else float(seen.std()) or 1.0
    common = {"sample_weight": s.weight, "clusters": s.clusters}
    marginal = leaning.marginal(s.judge, s.human, values / spread, **common)
    given = leaning.given(s.judge, s.human, values / spread, error=s.error, **common)
    return {"covariate": name, "unit": YES if two else SPREAD, "marginal": _points(marginal), "given_human": _points(given)}


def _points(e: Estimate) -> Estimate:
    if not e.ok:
        return e
    value, low, high, se = (POINTS * v for v in (e.value, e.ci_low, e.ci_high, e.se))
    return replace(e, value=value, ci_low=low, ci_high=high, se=se)


def _position(obs, paired: Paired, s: _Scale) -> dict:
    """Preferences: of those asked in both orders, how much more often the answer shown first wins; else by the humans' choices.

    Asked in both orders a target is its own control, so that both questions have one answer.
    """
    judge, _ = choose_scores(obs, paired.judge_name, paired.human_name)
    turned = "CASE WHEN lower(metadata['swapped']) IN ('true', '1', 'yes') THEN 1 ELSE 0 END"
    found = obs.sql(f"""SELECT coalesce(trace_id, session_id) AS target, avg(CASE WHEN turned = 1 THEN -said ELSE said END) AS first FROM (
        SELECT trace_id, session_id, {said()} AS said, {turned} AS turned FROM scores WHERE {judge.sql}) t WHERE said IS NOT NULL
        GROUP BY 1 HAVING min(turned) < max(turned) ORDER BY 1""")
    if len(found) >= leaning.LEAST:
        marginal = given = leaning.shown_first(found["first"])
    else:
        marginal, given = leaning.position(s.judge, s.human, clusters=s.clusters)
    return {
        "covariate": "position",
        "unit": "points toward the first answer",
        "marginal": _points(marginal),
        "given_human": _points(given),
    }


def _covariates(obs, paired: Paired) -> dict[str, np.ndarray]:
    """Per covariate its value for each pair, NaN where there is none."""
    facts = _facts(obs, paired)
    out = {}
    if len(facts):
        chars, asked = (pd.to_numeric(facts[c]).to_numpy(float) for c in ("output_chars", "input_chars"))
        out["length"] = np.log1p(chars)
        out["verbosity"] = np.log1p(chars) - np.log1p(asked)
        out["self_family"] = _kin(paired.pairs["judge_model"], facts["model"])
        out |= _form(obs, paired)
    out["sentiment"] = _comment_tone(obs, paired)
    at = pd.to_datetime(paired.pairs["at"], utc=True)
    out["time_of_day"] = ((at - at.dt.normalize()).dt.total_seconds() / 3600).to_numpy(float)
    return {name: values for name, values in out.items() if np.isfinite(values).any()}


def _facts(obs, paired: Paired) -> pd.DataFrame:
    """Sizes and model of what was judged: of the span where a span was, else of the trace's root, else of its longest model call."""
    _, human = choose_scores(obs, paired.judge_name, paired.human_name)
    labelled = f"SELECT trace_id FROM scores WHERE {human.sql} AND trace_id IS NOT NULL"
    sizes = ", ".join(
        f"coalesce(max(CASE WHEN is_root THEN {c} END), max(CASE WHEN kind = 'llm' THEN {c} END)) AS {c}"
        for c in ("output_chars", "input_chars")
    )
    model = "max(CASE WHEN kind = 'llm' THEN coalesce(model, model_requested) END) AS model"
    found = obs.sql(f"SELECT trace_id, {sizes}, {model} FROM spans WHERE trace_id IN ({labelled}) GROUP BY trace_id")
    if not len(found):
        return found
    out = found.set_index("trace_id").reindex(paired.pairs["trace_id"]).reset_index(drop=True)
    if paired.pairs["span_id"].notna().any():
        own = obs.sql(f"""SELECT trace_id, span_id, max(output_chars) AS output_chars, max(input_chars) AS input_chars,
            max(coalesce(model, model_requested)) AS model FROM spans
            WHERE span_id IN (SELECT span_id FROM scores WHERE {human.sql} AND span_id IS NOT NULL) GROUP BY trace_id, span_id""")
        key = paired.pairs[["trace_id", "span_id"]].merge(own, on=["trace_id", "span_id"], how="left")
        out = key[out.columns].combine_first(out)
    return out


def _kin(judges: pd.Series, models: pd.Series) -> np.ndarray:
    """1 where judge and answering model come from one maker, 0 where not, NaN where one of them is not known."""
    mine, theirs = ([_maker(m) for m in column] for column in (judges, models))
    return np.array([np.nan if a is None or b is None else float(a == b) for a, b in zip(mine, theirs, strict=True)])


def _maker(model) -> str | None:
    """Who made a model, whoever serves it."""
    return normalise(None, normalise(None, model).model).provider if isinstance(model, str) else None


def _form(obs, paired: Paired) -> dict[str, np.ndarray]:
    """Share of the lines of an answer that are headings, lists, tables or code; of 5,000 traces at most."""
    ids = list(paired.pairs["trace_id"].dropna().unique()[:MOST_TEXTS])
    found = answers(obs, ids)
    share = dict(zip(found, map(_marked, texts.answers(list(found.values()))), strict=True))
    return {"formatting": _aligned(share, paired)}


def _marked(text: str) -> float:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return math.nan
    marks = ("#", "- ", "* ", "+ ", "|", "```", ">")
    return sum(
        line.startswith(marks) or (line[:1].isdigit() and line.lstrip("0123456789")[:2] in (". ", ") ")) or "**" in line
        for line in lines
    ) / len(lines)


def _comment_tone(obs, paired: Paired) -> np.ndarray:
    """Praise less complaint in what users and humans wrote of a trace; the judge's own words follow its verdict and tell nothing."""
    ids = list(paired.pairs["trace_id"].dropna().unique()[:MOST_TEXTS])
    if not ids:
        return np.full(len(paired.pairs), np.nan)
    found = obs.sql(f"""SELECT trace_id, comment FROM scores WHERE rater IN ('user', 'human') AND comment IS NOT NULL AND comment <> ''
        AND trace_id IN ({", ".join(map(literal, ids))}) ORDER BY trace_id, created_at, score_id""")
    joined = found.groupby("trace_id")["comment"].agg(" ".join)
    return _aligned(dict(zip(joined.index, sentiment(read(list(joined))), strict=True)), paired)


def _aligned(values: Mapping[str, float], paired: Paired) -> np.ndarray:
    return paired.pairs["trace_id"].map(values).to_numpy(float)
