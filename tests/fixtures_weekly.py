"""A hand-made WeeklyResult: known numbers, hostile names, a feature without a name, a score nobody gave, missing days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

import pandas as pd

from llmobs_nb.windows import Window

UTC = dt.UTC
WEEK = Window(dt.datetime(2026, 11, 9, tzinfo=UTC), dt.datetime(2026, 11, 16, tzinfo=UTC), "2026-W46")
AGAINST = Window(dt.datetime(2026, 11, 2, tzinfo=UTC), dt.datetime(2026, 11, 9, tzinfo=UTC), "2026-W45")
HOSTILE = "<script>alert(1)</script> **bold** $x^2$ \x1b[31mred\x1b[0m \u202eabc\u202c \x00 sk-abcdefgh12345678"


FAMILY = {"requests": "volume", "error_rate": "reliability", "cost_per_request": "cost", "score": "quality"}


@dataclass(frozen=True)
class Finding:
    severity: str
    text: str
    count: int


@dataclass(frozen=True)
class Weekly:
    """Same fields as ``llmobs_nb.analyses.weekly.WeeklyResult``."""

    kpis: pd.DataFrame
    daily: pd.DataFrame
    latency: pd.DataFrame
    cost: pd.DataFrame
    quality: pd.DataFrame
    reading_list: tuple[str, ...] = ()
    new_error_classes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["error_class", "n", "traces"]))
    week: Window = WEEK
    against: Window = AGAINST
    name: str = "weekly"
    headline: str = "Errors went from 1.0 % to 2.0 %; quality held."
    parameters: dict = field(default_factory=lambda: {"week": "2026-W46", "tz": "UTC"})
    provenance: dict = field(
        default_factory=lambda: {"store": "s3://key:secretsecret@bucket/x", "package": "0.1.0", "seconds": 1.5}
    )
    findings: tuple[Finding, ...] = ()
    beside: dict = field(default_factory=dict)

    def json(self) -> dict:
        return {"week": self.week.label, "headline": self.headline, "kpis": [], "reading_list": list(self.reading_list)}

    def claims(self) -> list[dict]:
        return [{"id": "error_rate", "text": "2.0 %", "value": 0.02, "ci_low": 0.01, "ci_high": 0.03, "n": 1400, "unit": "rate"}]


def kpi(
    name, label, unit, better, this, last, change, verdict, *, slice="all", n=1400, kind="absolute", margin=None, reason=None
):
    """One KPI row; ``this``, ``last`` and ``change`` are (value, low, high) or None."""
    row = {"name": name, "label": label, "unit": unit, "better": better, "slice": slice, "change_kind": kind}
    for key, estimate in (("this", this), ("last", last), ("baseline", last), ("change", change)):
        value, low, high = estimate or (None, None, None)
        row |= {f"{key}_value": value, f"{key}_low": low, f"{key}_high": high, f"{key}_n": n if estimate else 0}
    for part in ("mix", "within"):
        row |= dict.fromkeys((f"{part}_value", f"{part}_low", f"{part}_high"))
    row |= {"detectable": None, "slo": None, "slo_verdict": None, "family": FAMILY.get(name.split(":")[0], "latency")}
    return row | {"verdict": verdict, "margin": margin, "q": 0.01, "reason": reason}


def kpis() -> pd.DataFrame:
    """Six KPIs overall, two of them by feature (one feature hostile)."""
    better, worse, same, unsure = "better", "worse", "same", "cannot_tell"
    count, rate, ms, usd, score = ("count", "none"), ("rate", "down"), ("ms", "down"), ("usd", "down"), ("score", "up")
    few = "3 ratings this week, 10 needed"
    rows = [
        kpi("requests", "Requests", *count, (1400, 1327, 1475), (1288, 1218, 1360), (0.087, 0.02, 0.15), same, kind="relative"),
        kpi("error_rate", "Error rate", *rate, (0.02, 0.014, 0.029), (0.01, 0.006, 0.017), (0.01, 0.002, 0.018), worse,
            margin=0.005),
        kpi("latency_p95", "Latency p95", *ms, (2400, 2250, 2580), (2600, 2430, 2800), (-200, -380, -20), better, margin=100),
        kpi("ttft_p95", "Time to first token p95", *ms, (510, 470, 560), (505, 460, 550), (5, -60, 70), unsure, margin=20),
        kpi("cost_per_request", "Cost per request", *usd, (0.0042, 0.0040, 0.0044), (0.0041, 0.0039, 0.0043),
            (0.0001, -0.0001, 0.0003), same, margin=0.0005),
        kpi("score:helpfulness:judge", "helpfulness (judge)", *score, (0.71, 0.69, 0.73), (0.76, 0.74, 0.78),
            (-0.05, -0.078, -0.022), worse, n=420, margin=0.02),
        kpi("score:thumbs:user", "thumbs (user)", *score, None, (0.8, 0.6, 0.9), None, unsure, n=9, reason=few),
    ]  # fmt: skip
    for feature, value in (("chat", 0.03), (HOSTILE, 0.01)):
        rows.append(
            kpi("error_rate", "Error rate", *rate, (value, value / 2, value * 2), (0.01, 0.004, 0.02),
                (value - 0.01, -0.01, 0.04), unsure, slice=f"feature={feature}", n=300)
        )  # fmt: skip
    return pd.DataFrame(rows)


def daily() -> pd.DataFrame:
    """200 requests a day this week with 4 errors, 184 last week with 2 (1.8 rounded up on some days: sums 28 and 13)."""
    rows = []
    for week, start, requests, errors in (
        ("this", WEEK.start, [200] * 7, [4] * 7),
        ("last", AGAINST.start, [184] * 7, [2] * 6 + [1]),
    ):
        for i in range(7):
            n, bad = requests[i], errors[i]
            rate = bad / n
            rows.append({"day": (start + dt.timedelta(days=i)).date(), "week": week, "requests": n, "errors": bad,
                         "error_rate": rate, "error_low": rate * 0.4, "error_high": rate * 2.2})  # fmt: skip
    return pd.DataFrame(rows)


def latency() -> pd.DataFrame:
    rows = []
    levels = {("total", 0.5): 900.0, ("total", 0.95): 2500.0, ("ttft", 0.5): 220.0, ("ttft", 0.95): 510.0}
    for week, start, lift in (("this", WEEK.start, 1.0), ("last", AGAINST.start, 1.08)):
        for i in range(7):
            for (stage, quantile), level in levels.items():
                value = level * lift * (1 + 0.04 * ((i * 3) % 5 - 2))
                rows.append({"day": (start + dt.timedelta(days=i)).date(), "week": week, "stage": stage, "quantile": quantile,
                             "value_ms": value, "low_ms": value * 0.9, "high_ms": value * 1.15, "n": 200})  # fmt: skip
    return pd.DataFrame(rows)


def cost() -> pd.DataFrame:
    """Spent 100 this week, 80 last; chat 61 of the 100."""
    rows = [("chat", 61.0, 48.0, 900), ("search", 25.0, 22.0, 300), (HOSTILE, 9.0, 10.0, 120), (None, 5.0, 0.0, 80)]
    return pd.DataFrame(
        [{"feature": f, "this_usd": this, "last_usd": last, "change_usd": this - last, "share": this / 100, "requests": n,
          "cost_per_request": this / n, "low": this / n * 0.9, "high": this / n * 1.12} for f, this, last, n in rows]
    )  # fmt: skip


def quality() -> pd.DataFrame:
    rows = []
    for week, start, level in (("this", WEEK.start, 0.71), ("last", AGAINST.start, 0.76)):
        for i in range(7):
            for score, rater, shift in (("helpfulness", "judge", 0.0), ("relevance", "judge", 0.1), ("thumbs", "user", 0.05)):
                if score == "thumbs" and week == "this" and i > 2:
                    continue
                mean = level + shift + 0.01 * ((i * 2) % 3 - 1)
                rows.append({"day": (start + dt.timedelta(days=i)).date(), "week": week, "score": score, "rater": rater,
                             "mean": mean, "low": mean - 0.04, "high": mean + 0.04, "n": 60})  # fmt: skip
    return pd.DataFrame(rows)


def weekly(**changes) -> Weekly:
    """The fixture; keyword arguments replace fields."""
    whole = Weekly(
        kpis(), daily(), latency(), cost(), quality(), reading_list=("trace-1", HOSTILE),
        new_error_classes=pd.DataFrame([{"error_class": "timeout", "n": 7, "traces": ["trace-1", HOSTILE]}]),
        findings=(Finding("warning", f"40 spans have no price {HOSTILE}", 40),),
    )  # fmt: skip
    return replace(whole, **changes)


def empty() -> Weekly:
    """A week without a row: every frame keeps its columns."""
    full = weekly()
    frames = {name: getattr(full, name).iloc[:0] for name in ("kpis", "daily", "latency", "cost", "quality", "new_error_classes")}
    return weekly(**frames, reading_list=(), findings=(), headline="No requests in 2026-W46.")


def refused() -> Weekly:
    """A week with too little data: every estimate refused, as the analysis gives it for a handful of traces."""
    full = weekly()
    nothing = {
        "daily": ["error_rate", "error_low", "error_high"],
        "latency": ["value_ms", "low_ms", "high_ms"],
        "cost": ["cost_per_request", "low", "high"],
        "quality": ["mean", "low", "high"],
    }
    frames = {name: getattr(full, name).assign(**dict.fromkeys(columns, float("nan"))) for name, columns in nothing.items()}
    numbers = [c for c in full.kpis if c.endswith(("_value", "_low", "_high"))]
    kpis = full.kpis.assign(**dict.fromkeys(numbers, float("nan")), verdict="cannot_tell", reason="1 trace only", q=float("nan"))
    return weekly(**frames, kpis=kpis)
