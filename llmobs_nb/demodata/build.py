"""Generate the demo data, say what is true about it, and write it as an interchange folder."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import UsageError
from ..schema import ARROW, draft_fields
from . import world
from .scores import scores
from .spans import Trace
from .traffic import requests

EXTRA = {"region": pa.string()}
_SPAN_COLUMNS = """
    trace_id span_id parent_id kind name trace_name start_time end_time ttft_ms status error_class error_message
    model_requested model provider model_params prompt_name prompt_version tokens_in tokens_out tokens_cache_read
    finish_reason feature tenant_id user_id user_tier session_id turn environment release locale region metadata
    retrieval_ids retrieval_scores retrieval_index_version tool_name guardrails source project input output system_prompt
""".split()  # noqa: SIM905
_SCORE_COLUMNS = """
    score_id trace_id session_id name value label data_type rater rater_id judge_model judge_version inclusion_prob
    created_at source project
""".split()  # noqa: SIM905


def generate(*, seed: int = world.SEED, traces: int = world.TRACES, end: datetime = world.END, story: bool = True) -> dict:
    """Eight ISO weeks of traffic up to ``end`` (a Monday 00:00 UTC, excluded): the same arguments always give the same rows.

    The story moves with ``end`` and begins three weeks before it; with ``story=False`` nothing happens. Returns ``spans`` and
    ``scores`` (Arrow tables in canonical columns, one row per span and per score), ``changes`` (CSV text), ``prompts``
    ({"name@version": template}) and ``truth`` (what is true about the data).
    """
    shift = _shift(end)
    asked = requests(Random(f"{seed}/traffic"), traces, story=story)
    rng = Random(f"{seed}/spans")
    played = [Trace(replace(request, at=request.at + shift), number, rng) for number, request in enumerate(asked, 1)]
    judged = scores(Random(f"{seed}/scores"), played, end)
    rows = [{**row, "metadata": list(row["metadata"].items())} for trace in played for row in trace.rows]
    return {
        "spans": pa.Table.from_pylist(rows, _schema("spans", _SPAN_COLUMNS)),
        "scores": pa.Table.from_pylist(judged, _schema("scores", _SCORE_COLUMNS)),
        "changes": _changes(shift),
        "prompts": dict(world.PROMPTS),
        "truth": {"seed": seed, **_counts(played, judged), **(_story(played, shift) if story else {"cause": None})}
        | {"weeks": _weeks(played, judged, end)},
    }


def write(folder: str | Path, **options) -> list[Path]:
    """Write ``generate(**options)`` as an interchange folder with ``truth.json`` beside it; returns the files written."""
    made, out = generate(**options), Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("spans", "scores"):
        pq.write_table(made[name], out / f"{name}.parquet", compression="zstd", compression_level=19, write_statistics=False)
    (out / "changes.csv").write_text(made["changes"], encoding="utf-8", newline="")
    for name in ("prompts", "truth"):
        (out / f"{name}.json").write_text(json.dumps(made[name], indent=1) + "\n", encoding="utf-8", newline="")
    return [out / n for n in ("spans.parquet", "scores.parquet", "changes.csv", "prompts.json", "truth.json")]


def _shift(end: datetime) -> timedelta:
    if end.utcoffset() != timedelta(0) or (end - world.END) % timedelta(weeks=1):
        raise UsageError(f"end={end.isoformat()} is not a Monday 00:00 UTC; give one, like {world.END.isoformat()}")
    return end - world.END


def _schema(table: str, names: list[str]) -> pa.Schema:
    known = draft_fields(table)
    return pa.schema([(n, EXTRA[n] if n in EXTRA else ARROW[known[n].type]) for n in names])


def _changes(shift: timedelta) -> str:
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("at", "kind", "ref", "note", "author"))
    lines.writerows((f"{at + shift:%Y-%m-%dT%H:%M:%SZ}", *rest) for at, *rest in world.CHANGES)
    return file.getvalue()


def _counts(played: list[Trace], judged: list[dict]) -> dict:
    return {
        "traces": len(played),
        "spans": sum(len(t.rows) for t in played),
        "scores": len(judged),
        "sso_share": _mean(t.request.user.auth == "sso" for t in played),
        "satisfaction": "mean helpfulness (judge, 0 to 1) of production requests that did not fail",
    }


def _story(played: list[Trace], shift: timedelta) -> dict:
    affected = [t.id for t in played if t.request.affected]
    tenants = {wave: [t.id for t in world.TENANTS if t.wave == wave] for wave in world.WAVES}
    return {
        "cause": "prompt_text",
        "where": {"auth": "sso"},
        "where_column": "metadata key auth",
        "onset": (world.ONSET + shift).isoformat(),
        "shape": "ramp",
        "waves": [{"from": (at + shift).isoformat(), "tenants": tenants[wave]} for wave, at in world.WAVES.items()],
        "block": world.BLOCK,
        "prompt_version_changed": False,
        "in_changes_csv": False,
        "affected_traces": len(affected),
        "affected_first": affected[:5],
        "decoys": list(world.DECOYS),
    }


def _weeks(played: list[Trace], judged: list[dict], end: datetime) -> list[dict]:
    """One row per week: volume, errors, satisfaction of all requests and of the judged ones, and its change in percent."""
    grades = {s["trace_id"]: s["value"] for s in judged if s["name"] == "helpfulness" and s["rater"] == "judge"}
    out: list[dict] = []
    for back in range(world.WEEKS, 0, -1):
        start = end - timedelta(weeks=back)
        live = [t for t in played if start <= t.request.at < start + timedelta(weeks=1) and t.request.environment == "production"]
        row = {"week": f"{start:%G-W%V}", **_week(live, grades)}
        for name in ("all", "judged"):
            now, last = row[f"satisfaction_{name}"], out[-1][f"satisfaction_{name}"] if out else None
            row[f"change_{name}_pct"] = round(100 * (now / last - 1), 2) if now and last else None
        out.append(row)
    return out


def _week(live: list[Trace], grades: dict[str, float]) -> dict:
    return {
        "requests": len(live),
        "error_rate": _mean(t.failed for t in live),
        "affected_share": _mean(t.request.affected for t in live),
        "judged": sum(t.id in grades for t in live),
        "satisfaction_all": _mean(t.quality for t in live if t.quality is not None),
        "satisfaction_judged": _mean(grades[t.id] for t in live if t.id in grades),
    }


def _mean(values) -> float | None:
    values = list(values)
    return round(sum(values) / len(values), 4) if values else None
