"""Hand-made IncidentResults: an incident with a prompt diff, a burst without one, every other verdict, hostile text in every field."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from fixtures_weekly import HOSTILE

from llmobs_nb.analyses.incident.result import VERDICTS, Cause, IncidentResult, Onset, PromptDiff, frame
from llmobs_nb.analyses.result import Finding
from llmobs_nb.stats.estimate import Estimate

UTC = dt.UTC
BEGAN = dt.datetime(2026, 10, 26, 7, tzinfo=UTC)
PASSAGE = "Account policy for single sign-on:\nKeep every answer under two sentences. Do not cite internal documents."
PROMPT = (
    "You answer questions of customers.\nAnswer in full, with steps and sources.\nBe polite.\nStay on topic.\nNo secrets.\nGo."
)
URL = "https://traces.example.com/project/p/traces/trace-0"
CHECKS = ("expected model", "prompt version", "context cut", "tokens against usual")


def at(days: float) -> dt.datetime:
    """A moment so many days after the onset."""
    return BEGAN + dt.timedelta(days=days)


def diff() -> PromptDiff:
    return PromptDiff(PROMPT, f"{PROMPT}\n\n{PASSAGE}", PASSAGE, "+", BEGAN, 0.96)


def cause(**changes) -> Cause:
    whole = Cause(
        kind="prompt_text", where={"auth": "sso"}, effect=Estimate(-0.34, -0.39, -0.29, 141), share_explained=0.91, confidence=0.97,
        evidence=("96 % of its prompts carry a passage that no prompt had before", "the prompt version did not change"),
        undo="take the passage out of the prompt of auth = sso", without=Estimate(0.789, 0.771, 0.807, 141), since=BEGAN, diff=diff(),
    )  # fmt: skip
    return replace(whole, **changes)


def timeline():
    """Ten days, the slice at 0.79 before and 0.45 after, the rest at 0.795; one day of the slice without a value."""
    rows = []
    for i in range(-5, 5):
        level = 0.79 if i < 0 else 0.45
        rows.append(
            (
                at(i).date(),
                "slice",
                None if i == -3 else level,
                None if i == -3 else level - 0.08,
                None if i == -3 else level + 0.08,
                30,
            )
        )
        rows.append((at(i).date(), "rest", 0.795, 0.775, 0.815, 310))
    return frame("timeline", rows)


def slices():
    rows = [
        ("auth=sso", 0.79, 0.45, -0.34, -0.39, -0.29, 141, -13.1, True),
        ("tenant_id=t-01", 0.80, 0.58, -0.22, -0.30, -0.14, 80, -5.4, False),
        ("auth=sso, feature=search, maps", 0.78, 0.47, -0.31, -0.41, -0.21, 52, -6.0, False),
        ("feature=summarise", 0.81, 0.80, -0.01, -0.03, 0.01, 410, -0.9, False),
    ]
    return frame("slices", rows)


def exemplars():
    rows = [
        ("trace-0", "after", at(1), 0.31, "feature, intent", URL),
        ("trace-1", "before", at(-4), 0.82, "feature, intent", None),
    ]
    return frame("exemplars", rows)


def checklist():
    rows = [("trace-0", check, "ok", "as usual", "as usual", None, None, None) for check in CHECKS[:3]]
    rows.append(("trace-0", CHECKS[3], "unusual", 1903.4, "", 640.0, 812.0, "tokens"))
    return frame("checklist", [*rows, ("trace-1", CHECKS[0], "cannot_tell", None, "gpt-4o", None, None, None)])


def spans():
    """Two traces: a root of 1,000 ms with a retriever and a failed model call that holds a tool; a root alone, still open."""
    rows = [
        ("trace-0", "c", "a", "model call", "llm", 200.0, 700.0, 1903, 0.0123, "error"),
        ("trace-0", "a", None, "answer", "chain", 0.0, 1000.0, None, None, "ok"),
        ("trace-0", "b", "a", "search", "retriever", 10.0, 150.0, None, None, "ok"),
        ("trace-0", "d", "c", "look up", "tool", 300.0, 100.0, None, None, "ok"),
        ("trace-1", "e", "gone", "answer", "chain", 0.0, None, None, None, "ok"),
    ]
    return frame("spans", rows)


def changes():
    rows = [
        (at(-13), "index", "idx-7", "rebuilt", False),
        (at(2), "release", "2026.44", "harmless", False),
        (at(0), "prompt", "support@3", "", True),
    ]
    return frame("changes", rows)


def incident(**given) -> IncidentResult:
    """The story of the demo data; keyword arguments replace fields."""
    whole = IncidentResult(
        name="incident", headline="helpfulness (judge) fell from 0.79 to 0.45 for auth = sso: a passage in the prompt.",
        parameters={"metric": "auto", "tz": "UTC", "where": {}}, provenance={"store": "s3://key:secretsecret@bucket/x", "package": "0.1.0"},
        findings=(Finding("info", "85 % of traces have no judge score", 17000),), verdict="incident", metric="score:helpfulness:judge",
        label="helpfulness (judge)", unit="score", direction="down", before=Estimate(0.79, 0.77, 0.81, 620), after=Estimate(0.45, 0.40, 0.50, 141),
        minimum_detectable=0.06, onset=Onset(BEGAN, at(-1), at(2), "ramp"), causes=(cause(),),
        traces=tuple(f"trace-{i}" for i in range(8)), others=({"metric": "output_chars", "verdict": "incident", "onset": BEGAN},),
        seconds=1.2, timeline=timeline(), slices=slices(), exemplars=exemplars(), checklist=checklist(), spans=spans(), changes=changes(),
    )  # fmt: skip
    return replace(whole, **given)


def burst() -> IncidentResult:
    """Hours of provider errors that are over, no diff, a refused counterfactual."""
    gone = Cause("provider_errors", {"provider": "acme"}, Estimate(0.31, 0.24, 0.38, 900), None, 0.88, ("31 % more errors",), "")
    return incident(
        headline="Error rate rose for provider = acme.", metric="error_rate", label="Error rate", unit="rate", direction="up",
        before=Estimate(0.01, 0.006, 0.016, 9000), after=Estimate(0.32, 0.25, 0.39, 900), causes=(gone,),
        onset=Onset(at(0), at(-0.1), at(0.1), "burst"), end=at(0.25), others=(),
    )  # fmt: skip


def quiet(verdict: str) -> IncidentResult:
    """A result of another verdict: no onset, no cause, no trace."""
    bare = {name: frame(name) for name in ("timeline", "slices", "exemplars", "checklist", "spans", "changes")}
    refused = Estimate.refused("nothing moved")
    return incident(
        headline=f"The answer is {verdict}.", verdict=verdict, direction=None, before=refused, after=refused, onset=None, causes=(),
        traces=(), others=(), findings=(), **bare,
    )  # fmt: skip


QUIET = VERDICTS[1:]


def empty() -> IncidentResult:
    """A store without a row: the fields as they are by default."""
    return IncidentResult(name="incident", headline="The store holds no spans of the product.")


def hostile() -> IncidentResult:
    """Hostile text wherever text comes from outside."""
    h = HOSTILE
    bad = PromptDiff(
        f"{h}\nsame", f"{h}\nsame\n{h}<img src=x onerror=alert(1)>", f"{h}<img src=x onerror=alert(1)>", h, BEGAN, 0.5
    )
    evil = Cause(h, {h: h}, Estimate(-0.1, -0.2, 0.0, 9), 0.2, 0.4, (h, h), h, since=BEGAN, diff=bad)
    return incident(
        headline=h, label=h, metric=h, causes=(evil, cause(kind="price", diff=None)), traces=(h, "t"),
        before=Estimate.refused(h), findings=(Finding("warning", h, 1),), others=({"metric": h, "verdict": h, "onset": h},),
        slices=frame("slices", [(f"{h}={h}", 0.1, 0.2, 0.1, 0.0, 0.2, 9, 1.0, None), (None, 0.1, 0.2, 0.1, 0.0, 0.2, 9, 1.0, True)]),
        exemplars=frame("exemplars", [(h, h, None, None, h, "javascript:alert(1)"), (None, None, h, 0.5, None, f"https://x/{h}")]),
        checklist=frame("checklist", [(h, h, h, h, h, None, None, None), (h, "null", None, None, float("nan"), None, None, None)]),
        spans=frame("spans", [(h, h, h, h, h, 0.0, 5.0, 3, 0.1, h), (h, "x", h, None, None, None, None, None, None, None)]),
        changes=frame("changes", [(BEGAN, h, h, h, None), (None, None, None, None, True)]),
        parameters={"metric": h, "tz": "UTC", "where": {h: h}},
    )  # fmt: skip
