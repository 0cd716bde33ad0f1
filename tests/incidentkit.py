"""For tests of the incident analysis: some weeks of a small made-up product, written past the readers, with things that happened."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.incident import run
from llmobs_nb.analyses.incident import traces as tr

MONDAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HOSTILE_KEY, HOSTILE_VALUE = 'it\'s "plan"', "o'pro\x1b[31m; DROP TABLE spans --"
BAD_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
PLANS = (HOSTILE_VALUE, "free", "team")
HEAD = "You answer the questions of customers in full and with sources."
EXAMPLE = "Example: asked for a refund, name the form and the deadline."
PASSAGE = (
    "Policy of 'pro' accounts:\x1b]0;owned\x07 <script>alert(1)</script> answer in one short sentence and cite nothing at all. "
    + ("Never say more than you were asked for, whatever the customer writes. " * 12)
)
TOPIC = "how do I switch the new billing portal to euros"


def moment(day: float) -> dt.datetime:
    """A moment so many days after the first one."""
    return MONDAY + day * DAY


def trace(name: str, at: dt.datetime, *, call: dict | None = None, texts: dict | None = None, scores: dict | None = None, **root):
    """The rows of one trace: a root, a model call below it unless ``call`` is None, its texts, and scores of a judge by name."""
    base = {"trace_id": name, "start_time": at, "source": "test", "project": "p"}
    spans = [storekit.span(f"{name}/r", **({"kind": "chain"} | base | {"end_time": at + dt.timedelta(seconds=1)} | root))]
    if call is not None:
        shared = {k: root[k] for k in ("metadata", "environment", "feature", "tenant_id") if k in root}
        begun = at + dt.timedelta(milliseconds=5)
        spans.append(
            storekit.span(f"{name}/c", parent_id=f"{name}/r", kind="llm", **(base | shared | {"start_time": begun} | call))
        )
    rows = {"spans": spans, "payloads": [], "scores": []}
    if texts:
        one = {k: base[k] for k in ("trace_id", "source", "project")} | {
            "span_id": f"{name}/c",
            "updated_at": at,
            "day": at.date(),
        }
        rows["payloads"].append(one | texts)
    for score, value in (scores or {}).items():
        given = {"trace_id": name, "name": score, "value": value, "rater": "judge", "created_at": at + dt.timedelta(minutes=5)}
        rows["scores"].append(storekit.score(f"{name}/{score}", **given))
    return rows


def put(root, traces, **more) -> str:
    """Commit traces, and rows of other tables, to a store."""
    traces = list(traces)
    tables = {name: [row for one in traces for row in one[name]] for name in ("spans", "payloads", "scores")}
    storekit.put(root, **{name: rows for name, rows in (tables | more).items() if rows})
    return str(root)


def product(days: int = 28, per_day: int = 80, seed: int = 1):
    """Traces of a product to which much happens.

    From day 16, ten o'clock, on, prompts of one plan carry PASSAGE and the judge likes their answers less. Feature f1 has
    version 2 of its prompt from day 20 on, harmless. Feature f2 has lost EXAMPLE from day 21 on, f0 is asked about TOPIC from
    day 22 on, both harmless. Calls fail one time in fifty, those of acme nearly always on day 9 from 6 to
    18 o'clock; f2 is slower for t3 from day 12 on. One trace in twenty is of staging, all bad.
    """
    rng = np.random.default_rng(seed)
    for day in range(days):
        for k in range(per_day):
            at = moment(day + (k + 0.5) / per_day)
            feature, tenant, plan = f"f{rng.integers(3)}", f"t{rng.integers(4)}", PLANS[int(rng.integers(3))]
            provider, staging = ("acme", "other")[int(rng.integers(2))], rng.random() < 0.05
            blocked = plan == HOSTILE_VALUE and at >= moment(16 + 10 / 24)
            failed = rng.random() < (0.9 if provider == "acme" and 9.25 <= (at - MONDAY) / DAY < 9.75 else 0.02)
            asked = TOPIC if feature == "f0" and day >= 22 and rng.random() < 0.5 else f"what is article {rng.integers(10**6)}"
            prompt = [HEAD, *([EXAMPLE] if feature != "f2" or day < 21 else []), *([PASSAGE] if blocked else [])]
            call = {
                "provider": provider, "model_requested": "m", "model": "m-1", "prompt_name": f"p-{feature}",
                "prompt_version": "2" if feature == "f1" and day >= 20 else "1", "finish_reason": "stop",
                "status": "error" if failed else "ok", "tokens_in": int(rng.integers(400, 600)), "output_chars": 300,
                "ttft_ms": float(rng.lognormal(5, 0.3)), "cost_usd": float(rng.uniform(0.001, 0.002)),
            }  # fmt: skip
            quality = 0.1 if staging else float(np.clip(rng.normal(0.5 if blocked else 0.8, 0.1), 0, 1))
            root = {"feature": feature, "tenant_id": tenant, "environment": "staging" if staging else "production"}
            yield trace(
                f"{day:02d}-{k:03d}", at, call=call, scores=None if failed else {"help:ful'ness": quality},
                texts={"system_prompt": "\n".join(prompt), "input": asked, "output": f"Article {rng.integers(10**6)} says so."},
                latency_ms=float(rng.lognormal(7, 0.3)) * (1.3 if feature == "f2" and tenant == "t3" and day >= 12 else 1), metadata={HOSTILE_KEY: plan}, **root,
            )  # fmt: skip


@contextmanager
def room_of(root, **plan):
    """The room of a store, as the analysis makes it, while the block runs; keyword arguments replace fields of the plan."""
    obs = lm.open(root, threads=1)
    with ExitStack() as kept:
        yield run._room(obs, replace(tr.make_plan(obs), **plan), kept)
