"""What ``lm.calibrate`` returns: may this judge be trusted, what is the true pass rate, what is labelled next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from ..result import Estimate, Result, plain

NONE = Estimate.refused("not computed")
VERDICTS = ("trust", "trust_with_correction", "do_not_trust", "cannot_tell")
DESIGNS = ("random", "by_verdict", "by_label", "weights", "period", "auto")
AGREEMENT = (
    "raw", "kappa", "weighted_kappa_linear", "weighted_kappa_quadratic", "ac1", "pabak", "alpha_nominal", "alpha_ordinal",
    "alpha_interval", "spearman", "pearson", "kendall_tau_b", "icc",
)  # fmt: skip


def empty(*columns: str) -> pd.DataFrame:
    """A table of no rows."""
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, kw_only=True, eq=False)
class Paired:
    """Judge and human on the same targets, and everything else that the judge judged.

    ``pairs`` has one row per target with both (source, project, trace_id, span_id, session_id, judge, human, judge_pass,
    human_pass, cluster, stratum, inclusion_prob, at, judge_version, judge_model): values as logged (repeats and raters averaged),
    passes as 0/1 floats or NaN where nothing was cut. ``humans`` are the single human labels of targets with two raters or more
    (target, rater_id, value), ``repeats`` the judge's own (target, judge_version, value). ``production`` has one row per stretch
    (week, judge_pass, n, clusters; weight, square and cross: sums over clusters of weighted targets, their squares and products with
    the other verdict's) of every judged target, with label or without; ``versions`` (judge_version, n, labelled) by which versions
    they were judged; ``judged`` and ``labelled`` count targets.
    ``dropped`` says what was left out and why (reason, count). ``kind`` is binary, ordinal, continuous, categorical or preference.
    """

    pairs: pd.DataFrame
    kind: Literal["binary", "ordinal", "continuous", "categorical", "preference"]
    judge_name: str
    human_name: str
    pass_at: float | None = None
    human_pass_at: float | None = None
    humans: pd.DataFrame = field(default_factory=lambda: empty("target", "rater_id", "value"))
    repeats: pd.DataFrame = field(default_factory=lambda: empty("target", "judge_version", "value"))
    production: pd.DataFrame = field(
        default_factory=lambda: empty("week", "judge_pass", "n", "clusters", "weight", "square", "cross")
    )
    versions: pd.DataFrame = field(default_factory=lambda: empty("judge_version", "n", "labelled"))
    judged: int = 0
    labelled: int = 0
    dropped: pd.DataFrame = field(default_factory=lambda: empty("reason", "count"))

    @property
    def clusters(self) -> np.ndarray:
        """The cluster of each pair."""
        return self.pairs["cluster"].to_numpy()

    @property
    def weights(self) -> np.ndarray | None:
        """1 / inclusion probability where the sample was drawn with known ones; None where it was not."""
        p = self.pairs["inclusion_prob"]
        return None if p.isna().any() or not len(p) or p.nunique() < 2 else 1 / p.to_numpy(float)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CalibrationResult(Result):
    """The answer of :func:`llmobs_nb.calibrate`.

    ``design`` (declared, used, test, p_value, reason), ``n`` (paired, judged, human, clusters). ``agreement`` holds estimates by
    the names of ``AGREEMENT``, None where the kind of score has none. ``confusion`` are counts, judge pass = positive. ``pass_rate``:
    naive, corrected, method, weekly (frame). ``ceiling`` is the agreement of humans with one another, ``floor`` of the judge
    with itself (name, value and so on: Estimate). ``bias`` (covariate, unit, marginal, given_human, q, flagged). ``slices`` (where, n,
    kappa, raw, difference, q, verdict). ``curve`` (score, low, high, n, human_rate, ci_low, ci_high), ``ece``, ``maps`` (isotonic and
    Platt as JSON-able dicts). ``threshold`` (value, ci_low, ci_high, cost_false_pass, cost_false_fail, curve). ``drift`` (frame of
    periods or versions with agreement, difference, q, verdict, reason). ``planner``: labels, target_half_width, plan (frame of
    strata: judge_pass, slice, size, labels). ``next_labels`` trace ids, ``disagreements`` (trace_id, judge, human, comment, url).
    ``replace``: the alternative annotator test, None without three humans.
    """

    verdict: str = "cannot_tell"
    reason: str = ""
    kind: str = ""
    judge_name: str = ""
    human_name: str = ""
    design: dict = field(default_factory=dict)
    n: dict = field(default_factory=dict)
    agreement: dict = field(default_factory=dict)
    prevalence: dict = field(default_factory=dict)
    confusion: dict = field(default_factory=dict)
    tpr: Estimate = NONE
    tnr: Estimate = NONE
    ppv: Estimate = NONE
    npv: Estimate = NONE
    auc: Estimate = NONE
    pass_rate: dict = field(default_factory=dict)
    ceiling: Estimate = NONE
    floor: Estimate = NONE
    bias: pd.DataFrame = field(default_factory=empty)
    slices: pd.DataFrame = field(default_factory=empty)
    curve: pd.DataFrame = field(default_factory=empty)
    ece: Estimate = NONE
    maps: dict = field(default_factory=dict)
    threshold: dict = field(default_factory=dict)
    drift: pd.DataFrame = field(default_factory=empty)
    planner: dict = field(default_factory=dict)
    next_labels: tuple[str, ...] = ()
    disagreements: pd.DataFrame = field(default_factory=empty)
    replace: dict | None = None
    dropped: pd.DataFrame = field(default_factory=empty)

    def json(self) -> dict:
        """The shape of CONTRACTS.md, with what stands beside it."""
        own = [name for name in self.__dataclass_fields__ if name not in Result.__dataclass_fields__]
        return super().json() | {name: plain(getattr(self, name)) for name in own}

    def claims(self) -> list[dict]:
        """Every number the page shows."""
        from .claims import claims

        return claims(self)
