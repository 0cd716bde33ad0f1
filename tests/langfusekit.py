"""For tests of Langfuse files: one observation, score and blob row, and files written as Langfuse writes them."""

import csv
import io
import json

from llmobs_nb.sources.langfuse.export import FORMATS

SHAPES = next(f for f in FORMATS if f.name == "langfuse.export").shapes
ROW = {
    "id": "o1",
    "traceId": "t1",
    "projectId": "prj",
    "startTime": "2026-11-20T10:00:00.120Z",
    "endTime": "2026-11-20T10:00:02.480Z",
    "parentObservationId": "o0",
    "type": "GENERATION",
    "name": "answer",
    "level": "DEFAULT",
    "statusMessage": None,
    "environment": "production",
    "model": "gpt-4o-2024-08-06",
    "updatedAt": "2026-11-20T10:00:03.001Z",
    "usageDetails": {"input": 100, "output": 20, "total": 120},
    "costDetails": {"input": 0.1, "output": 0.2, "total": 0.3},
    "totalCost": 0.3,
}
SCORE = {
    "id": "s1",
    "projectId": "prj",
    "name": "helpfulness",
    "timestamp": "2026-11-20T10:00:00.000Z",
    "dataType": "NUMERIC",
    "value": 0.5,
    "source": "EVAL",
    "traceId": "t1",
    "environment": "production",
}
BLOB = {
    "id": "o1",
    "trace_id": "t1",
    "project_id": "prj",
    "start_time": "2026-11-20 10:00:00.120000",
    "end_time": "2026-11-20 10:00:02.480000",
    "parent_observation_id": "",
    "type": "GENERATION",
    "name": "answer",
    "level": "DEFAULT",
    "status_message": "",
    "version": "",
    "environment": "default",
    "user_id": "",
    "session_id": "s-9",
    "completion_start_time": "2026-11-20 10:00:00.610000",
    "updated_at": "2026-11-20 10:00:03.001000",
    "input": "hi",
    "output": "hello",
    "metadata": {"tenant": "acme"},
    "provided_model_name": "gpt-4o",
    "model_id": "clm1",
    "model_parameters": '{"temperature":0.2}',
    "usage_details": {"input": 5, "output": 3},
    "cost_details": {"input": 0.001, "output": 0.002},
    "total_cost": 0.003,
    "latency": 2360.0,
    "time_to_first_token": 490.0,
    "prompt_name": "",
    "prompt_version": None,
    "tags": ["beta"],
    "release": "",
    "trace_name": "chat",
}


def lines(path, *rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def as_csv(rows):
    """CSV as the UI writes it: every cell quoted, strings raw, everything else JSON text, header from the first row only."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(rows[0])
    for row in rows:
        cells = (row.get(k) for k in rows[0])
        writer.writerow("" if c is None else c if isinstance(c, str) else json.dumps(c) for c in cells)
    return out.getvalue()
