"""A draw judged by rubrics: what the judge said, what it cost, what it means for the window; and its scores, into the store."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from ...errors import UsageError
from ...judges.cache import Cache, default_folder
from ...judges.prompts import prompt
from ...judges.replies import Judgement
from ...judges.rubrics import Rubric, rubric
from ...judges.run import Asked, identity_of, judge_all
from ...stats.design import hajek_mean
from ...stats.estimate import Estimate
from ...text import terminal
from ...units import count, money, number
from ..result import Finding, Result, claim, plain, provenance
from .cost import priced
from .shadow import drawn, identities, sessions
from .texts import Exchange, exchanges

JUDGED = ("trace_id", "rubric", "repeat", "word", "score", "value", "reason", "tokens_in", "tokens_out", "cached", "judge_version",
          "stratum", "inclusion_prob", "session_id", "source", "project")  # fmt: skip
NEEDS = {"groundedness": "context", "faithfulness": "context"}
SOURCE = "llmobs"
_HOW = "repeats averaged, weighed by 1 / inclusion probability, linearised over sessions; t interval"
_FAMILIES = (("openai", r"gpt|chatgpt|\bo[134]\b"), ("anthropic", "claude"), ("google", "gemini|gemma"), ("meta", "llama"), ("mistral", "mi[sx]tral|ministral"),
             ("qwen", "qwen|qwq"), ("deepseek", "deepseek"), ("x-ai", "grok"), ("cohere", "command"), ("moonshotai", "kimi"))  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class JudgeResult(Result):
    """What a judge said of a draw.

    ``judgements``: one row per trace, rubric and repeat: word (scored, refused, unreadable, failed), score (1 to 5), value (0 to 1),
    reason, tokens, and the design. ``means``: per rubric the mean value of the window. ``cost_usd`` is what this run cost, null
    where the price is not known.
    """

    judgements: pd.DataFrame
    means: Mapping[str, Estimate] = field(default_factory=dict)
    cost_usd: float | None = None
    saved: int = 0

    def json(self) -> dict:
        """The result as strict JSON."""
        out = {"means": plain(self.means), "cost_usd": self.cost_usd, "saved": self.saved}
        return super().json() | out | {"judgements": plain(self.judgements)}

    def claims(self) -> list[dict]:
        """The mean of each rubric, with the lowest traces, and the cost."""
        out = []
        for name, e in self.means.items():
            low = self.judgements[(self.judgements["rubric"] == name) & self.judgements["value"].notna()].sort_values("value")
            told = number(e.value, low=e.ci_low, high=e.ci_high) if e.ok else f"refused ({e.reason})"
            out.append(
                claim(
                    f"judge.{name}", f"{name}: {told}", e, unit="score", how=_HOW, traces=dict.fromkeys(low["trace_id"].head(20))
                )
            )
        if self.cost_usd is not None:
            spent = Estimate(self.cost_usd, self.cost_usd, self.cost_usd, len(self.judgements))
            out.append(
                claim("judge.cost", f"the run cost {money(self.cost_usd)}", spent, unit="usd", how="tokens reported · list price")
            )
        return out


def judge(
    obs,
    plan,
    *,
    judge: Callable,
    rubrics: Sequence[str | Rubric] = ("groundedness",),
    repeats: int = 1,
    save: bool = True,
    cache: str | None = None,
    workers: int = 4,
    name: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> JudgeResult:
    """Judge the answers of a draw and keep the scores in the store.

    ``plan`` is a SamplingPlan, its draw, or a ShadowResult (then only what is open is judged). ``judge`` is called with a
    :class:`~llmobs_nb.judges.Prompt` (``str(prompt)`` is its whole text) and gives JSON text, ``(score, reason)`` or a score from
    1 to 5; an ``OpenAIJudge`` is one. ``name`` names a callable of your own: it is then cached under that name and kept
    as judge_model. ``cache`` is a folder (default: the user's cache). A trace without an answer, or without the context that
    a rubric needs, is not judged. Scores bear rater ``judge``, judge_version = hash of the rubric, stratum and inclusion
    probability; the same judgement saved twice is one row. A stopped run goes on where it stood.
    """
    began = time.perf_counter()
    if repeats < 1 or not rubrics:
        raise UsageError(f"repeats={repeats!r} with {len(rubrics)} rubrics asks for no judgement; give 1 or more of both")
    chosen, draw = [r if isinstance(r, Rubric) else rubric(r) for r in rubrics], drawn(plan)
    texts = {(e.source, e.project, e.trace_id): e for e in exchanges(obs, identities(draw))}
    work, skipped = _work(draw, texts, chosen, repeats)
    caller = _Named(judge, name) if name and identity_of(judge) is None else judge
    kept = Cache(cache or default_folder())
    made = judge_all([asked for _, _, asked in work], caller, cache=kept, workers=workers, progress=progress)
    frame = _frame(work, made)
    model = getattr(judge, "model", None) or name
    saved = _save(obs, frame, model) if save else 0
    means = {r.name: _mean(frame[frame["rubric"] == r.name]) for r in chosen}
    fresh = [m for m in made if not m.cached]
    price = priced(judge if hasattr(judge, "model") else None, [], 1, datetime.now(UTC))
    cost = price.usd_of(sum(m.tokens_in for m in fresh), sum(m.tokens_out for m in fresh), len(fresh))
    findings = (*_losses(made, skipped), *_family(model, texts.values()), *_unpriced(cost, price.reason))
    told = "; ".join(
        f"{n} {number(e.value, low=e.ci_low, high=e.ci_high)}" if e.ok else f"{n} refused ({e.reason})" for n, e in means.items()
    )
    asked = {"rubrics": [f"{r.name}@{r.version}" for r in chosen], "repeats": repeats, "judge": repr(judge), "name": name}
    return JudgeResult(name="judge", headline=f"{count(len(made))} judgements of {count(len(draw))} drawn traces: {told}.", parameters=asked,
                       provenance=provenance(obs, {}, began), findings=findings, judgements=frame, means=means, cost_usd=cost, saved=saved)  # fmt: skip


class _Named:
    """A callable of the user's with a name, so that what it said can be kept."""

    def __init__(self, judge: Callable, name: str):
        self.call, self.identity = judge, name

    def __call__(self, asked):
        return self.call(asked)


def family(model: str | None) -> str | None:
    """The family of a model's name, such as ``anthropic``; None for one that is not known."""
    low = (model or "").lower()
    return next((name for name, pattern in _FAMILIES if re.search(pattern, low)), None)


def _work(draw: pd.DataFrame, texts: Mapping[tuple, Exchange], rubrics: Sequence[Rubric], repeats: int):
    """(row of the draw, rubric, what is asked) of every judgement; and how many were left out for want of a text, by reason."""
    out, skipped = [], Counter()
    for row in draw.to_dict("records"):
        one = texts.get((row["source"], row["project"], row["trace_id"]))
        for r in rubrics:
            lack = "answer" if one is None or not one.answer else NEEDS.get(r.name)
            if one is None or not getattr(one, lack or "answer"):
                skipped[f"{r.name}: no {lack}"] += 1
                continue
            parts = {"QUESTION": one.question, "CONTEXT": one.context, "ANSWER": one.answer}
            out += [(row, r, Asked(prompt(r, parts, repeat=k), k)) for k in range(repeats)]
    return out, skipped


def _frame(work, made: Sequence[Judgement]) -> pd.DataFrame:
    rows = []
    for (row, r, asked), m in zip(work, made, strict=True):
        said = {
            "word": m.word,
            "score": m.score,
            "value": m.value,
            "reason": m.reason,
            "tokens_in": m.tokens_in,
            "tokens_out": m.tokens_out,
        }
        rows.append({**row, **said, "rubric": r.name, "repeat": asked.repeat, "cached": m.cached, "judge_version": r.version})
    return pd.DataFrame(rows, columns=list(JUDGED)).astype({"score": float, "value": float, "inclusion_prob": float})


def _mean(frame: pd.DataFrame) -> Estimate:
    good = frame[frame["value"].notna()]
    if good.empty:
        return Estimate.refused("nothing was scored")
    keys = ["source", "project", "trace_id"]
    each = good.groupby(keys, as_index=False).agg(
        value=("value", "mean"), inclusion_prob=("inclusion_prob", "first"), session_id=("session_id", "first")
    )
    return hajek_mean(each["value"], each["inclusion_prob"], sessions(each))


def _save(obs, frame: pd.DataFrame, model: str | None) -> int:
    """Scores into the store, through the same door as any other data; how many."""
    from ...ingest.run import ingest
    from ...store.store import Store

    good = frame[frame["value"].notna()]
    if good.empty:
        return 0
    now = datetime.now(UTC)
    rows = pd.DataFrame({
        "score_id": [_id(model, row) for row in good.to_dict("records")], "trace_id": good["trace_id"], "session_id": good["session_id"],
        "name": good["rubric"], "value": good["value"], "data_type": "numeric", "rater": "judge", "rater_id": "llmobs judge",
        "judge_model": model, "judge_version": good["judge_version"], "comment": good["reason"], "created_at": now,
        "updated_at": now, "source": SOURCE, "project": good["project"], "stratum": good["stratum"],
        "inclusion_prob": good["inclusion_prob"], "repeat": good["repeat"].astype(str), "trace_source": good["source"],
    })  # fmt: skip
    ingest([], Store(obs.store), frames=[("scores", rows)])
    return len(rows)


def _id(model: str | None, row: Mapping) -> str:
    parts = (row["source"], row["project"], row["trace_id"], row["rubric"], row["judge_version"], model, row["repeat"])
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:32]


def _losses(made: Sequence[Judgement], skipped: Counter) -> list[Finding]:
    words = {
        "refused": "refused by the judge",
        "unreadable": "replies that could not be read",
        "failed": "judgements that did not come",
    }
    out = []
    for word, told in words.items():
        some = [m for m in made if m.word == word]
        if some:
            why = terminal(some[0].reason, 160)
            out.append(
                Finding("warning", f"{told}: {len(some):,} of {len(made):,} (such as: {why}); they are not scored", len(some))
            )
    return out + [Finding("info", f"not judged, {why}: {n:,} traces", n) for why, n in skipped.items()]


def _family(model: str | None, texts) -> list[Finding]:
    own = family(model)
    known = [family(e.model) for e in texts if e.answer]
    same = sum(one == own for one in known)
    if own is None or not same:
        return []
    return [
        Finding(
            "warning",
            f"the judge is of the family {own}, and so is the model of {same:,} of {len(known):,} judged answers: judges favour their own",
            same,
        )
    ]


def _unpriced(cost: float | None, reason: str | None) -> list[Finding]:
    return [] if cost is not None else [Finding("info", f"what the run cost is not known: {reason}")]
