"""Rules before the judge: what can be told without a model is told; only what stays open goes to the judge."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ...columns import literal
from ...errors import UsageError, choose
from ...stats.design import hajek_mean
from ...stats.estimate import Estimate
from ...stats.grounding import unknown_citations
from ...units import count, rate
from ..result import Finding, Result, claim, plain, provenance
from .texts import Exchange, exchanges

NAMES = ("citations", "banned", "schema", "length")
VERDICTS = ("fail", "pass", "inconclusive")
_HOW = "share of the window's traces, weighed by 1 / inclusion probability; Wilson at the effective n, clustered by session"


@dataclass(frozen=True)
class Rules:
    """What to check: unknown ``citations`` fail; so does a ``banned`` phrase, JSON that breaks the ``schema``, a ``length`` out of bounds.

    An answer passes without a judge where nothing failed and a rule of ``decisive`` held; else it is inconclusive.
    """

    citations: bool = True
    banned: tuple[str, ...] = ()
    schema: Mapping | None = None
    length: tuple[int, int] | None = None
    decisive: tuple[str, ...] = ("schema",)

    def __post_init__(self):
        for name in self.decisive:
            choose("decisive", name, NAMES)
        if isinstance(self.banned, str):
            raise UsageError(f"banned={self.banned!r} is one text; give a list of phrases")
        if self.length is not None and not 0 <= self.length[0] <= self.length[1]:
            raise UsageError(f"length={self.length!r} is no pair (least, most) of characters")
        if self.schema is not None:
            _checked_schema(self.schema)

    def check(self, one: Exchange) -> dict[str, str | None]:
        """Per rule why it failed, "" where it held, None where it does not apply."""
        return {name: getattr(self, f"_{name}")(one) for name in NAMES}

    def _citations(self, one: Exchange) -> str | None:
        found = unknown_citations(one.answer, one.retrieved, one.context) if self.citations else None
        if found is None:
            return None
        return f"cites what was not retrieved: {', '.join(found[0][:5])}" if found[0] else ""

    def _banned(self, one: Exchange) -> str | None:
        if not self.banned:
            return None
        found = [p for p in self.banned if re.search(rf"(?<!\w){re.escape(p)}(?!\w)", one.answer, re.I)]
        return f"holds a banned phrase: {', '.join(found[:5])}" if found else ""

    def _schema(self, one: Exchange) -> str | None:
        if self.schema is None:
            return None
        from jsonschema import validators

        try:
            value = json.loads(one.answer)
        except (json.JSONDecodeError, RecursionError):
            return "is no JSON"
        validator = validators.validator_for(self.schema)(self.schema)
        error = next(iter(sorted(validator.iter_errors(value), key=lambda e: list(map(str, e.path)))), None)
        return "" if error is None else f"breaks the schema at {'/'.join(map(str, error.path)) or 'the top'}: {error.validator}"

    def _length(self, one: Exchange) -> str | None:
        if self.length is None:
            return None
        low, high = self.length
        return "" if low <= len(one.answer) <= high else f"has {len(one.answer):,} characters, not {low:,} to {high:,}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ShadowResult(Result):
    """What the rules say of a draw.

    ``traces``: the rows of the draw with verdict (pass, fail, inconclusive), reason, and a column per rule (pass, fail, null where
    it does not apply). ``shares``: the share of each verdict in the window.
    """

    traces: pd.DataFrame
    shares: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def open(self) -> pd.DataFrame:
        """The rows that only a judge can decide."""
        return self.traces[self.traces["verdict"] == "inconclusive"].reset_index(drop=True)

    def json(self) -> dict:
        """The result as strict JSON."""
        return super().json() | {"shares": plain(self.shares), "traces": plain(self.traces)}

    def claims(self) -> list[dict]:
        """The share of each verdict with the traces behind it."""
        out = []
        for name, e in self.shares.items():
            behind = self.traces.loc[self.traces["verdict"] == name, "trace_id"].head(20)
            told = rate(e.value, low=e.ci_low, high=e.ci_high) if e.ok else f"refused ({e.reason})"
            out.append(claim(f"shadow.{name}", f"rules alone say {name}: {told}", e, unit="rate", how=_HOW, traces=behind))
        return out


def shadow(obs, plan, rules: Rules | Mapping | None = None) -> ShadowResult:
    """Check the answers of a draw by rules that need no model.

    ``plan`` is a SamplingPlan or its draw (a frame with trace_id, stratum, inclusion_prob); ``rules`` a Rules or its arguments as a
    dict. A trace without an answer is inconclusive. Raises UsageError for rules and frames that cannot be used.
    """
    began = time.perf_counter()
    rules = rules if isinstance(rules, Rules) else Rules(**_known(dict(rules or {})))
    draw = drawn(plan)
    texts = {(e.source, e.project, e.trace_id): e for e in exchanges(obs, identities(draw))}
    rows = [_row(texts.get(key), rules) for key in zip(draw["source"], draw["project"], draw["trace_id"], strict=True)]
    traces = pd.concat([draw.reset_index(drop=True), pd.DataFrame(rows, columns=["verdict", "reason", *NAMES])], axis=1)
    shares = {v: _share(traces, v) for v in VERDICTS}
    left = int((traces["verdict"] == "inconclusive").sum())
    lost = sum(
        one is None or not one.answer
        for one in map(texts.get, zip(draw["source"], draw["project"], draw["trace_id"], strict=True))
    )
    findings = (Finding("warning", f"traces of the draw without an answer in the store: {lost:,}", lost),) if lost else ()
    told = f"Of {count(len(traces))} drawn traces rules alone decide {count(len(traces) - left)}; {count(left)} are left for a judge."
    return ShadowResult(name="shadow", headline=told, parameters={"rules": plain(vars(rules))}, findings=findings, traces=traces, shares=shares,
                        provenance=provenance(obs, {}, began))  # fmt: skip


def drawn(plan: Any) -> pd.DataFrame:
    """The draw of a plan, of a shadow (what is open), or a frame that is one already."""
    frame = plan.draw() if hasattr(plan, "draw") else getattr(plan, "open", plan)
    needed = ("trace_id", "stratum", "inclusion_prob", "source", "project")
    missing = [c for c in needed if c not in getattr(frame, "columns", ())]
    if missing:
        raise UsageError(f"plan: the frame has no column {', '.join(missing)}; give a SamplingPlan, or what its draw() gave")
    return frame


def identities(draw: pd.DataFrame) -> str:
    """A SELECT of source, project, trace_id of a draw, for a join."""
    return identities_of(zip(draw["source"], draw["project"], draw["trace_id"], strict=True))


def identities_of(keys: Iterable[tuple[str, str, str]]) -> str:
    """A SELECT of the given (source, project, trace_id), for a join."""
    keys = sorted(set(keys))
    if not keys:
        return "SELECT source, project, trace_id FROM spans WHERE false"
    values = ", ".join(f"({', '.join(literal(part) for part in key)})" for key in keys)
    return f"SELECT * FROM (VALUES {values}) AS keys(source, project, trace_id)"


def _known(told: dict) -> dict:
    for name in told:
        choose("rules", name, (*NAMES, "decisive"))
    return {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}


def _checked_schema(schema: Mapping) -> None:
    from jsonschema import SchemaError, validators

    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"schema is no JSON schema: {error.message[:200]}; correct it") from None


def _row(one: Exchange | None, rules: Rules) -> list:
    if one is None or not one.answer:
        return ["inconclusive", "no answer in the store", *(None for _ in NAMES)]
    told = rules.check(one)
    failed = [f"{name}: {why}" for name, why in told.items() if why]
    sure = any(told[name] == "" for name in rules.decisive)
    verdict = "fail" if failed else "pass" if sure else "inconclusive"
    return [verdict, "; ".join(failed) or None, *(None if why is None else "fail" if why else "pass" for why in told.values())]


def _share(traces: pd.DataFrame, verdict: str) -> Estimate:
    return hajek_mean(traces["verdict"] == verdict, traces["inclusion_prob"], sessions(traces))


def sessions(traces: pd.DataFrame) -> Sequence[str]:
    """The cluster of each row: its session, else its trace."""
    if "session_id" not in traces:
        return traces["trace_id"].tolist()
    return traces["session_id"].where(traces["session_id"].notna(), traces["trace_id"]).tolist()
