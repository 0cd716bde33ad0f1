"""A Langfuse-style JSONL export: one nested observation a line, about 2.4 kB each, spread evenly over some days."""

from __future__ import annotations

import datetime as dt
import random
import sys

import orjson

DAYS = 52
START = dt.datetime(2026, 9, 1)


def write(
    path: str, rows: int, *, days: int = DAYS, seed: int = 7, start: dt.datetime = START, later: dt.timedelta | None = None
) -> None:
    """Write ``rows`` observations in traces of 3 to 7. ``later`` shifts updatedAt, which makes them newer versions."""
    draw = random.Random(seed)
    words = [f"w{draw.randrange(10**6):06d}" for _ in range(20_000)]
    step = dt.timedelta(days=days) / rows
    trace = _Trace()
    with open(path, "wb") as out:
        for at in range(rows):
            out.write(orjson.dumps(trace.next(draw, words, start + step * at, later or dt.timedelta())) + b"\n")


class _Trace:
    left = 0

    def next(self, draw: random.Random, words: list[str], at: dt.datetime, later: dt.timedelta) -> dict:
        if self.left == 0:
            self.left, self.root, self.id = draw.randrange(3, 8), None, f"{draw.getrandbits(128):032x}"
            self.user, self.session = f"u-{draw.randrange(5_000)}", f"s-{draw.randrange(50_000)}"
            self.tenant, self.feature = f"t-{draw.randrange(40)}", draw.choice(["chat", "search", "summary", "agent"])
        self.left -= 1
        row = self._row(draw, words, at, later)
        self.root = self.root or row["id"]
        return row

    def _row(self, draw: random.Random, words: list[str], at: dt.datetime, later: dt.timedelta) -> dict:
        call = self.root is not None and draw.random() < 0.6
        took = draw.lognormvariate(7, 0.6)
        asked = " ".join(draw.choices(words, k=draw.randrange(60, 160)))
        said = " ".join(draw.choices(words, k=draw.randrange(20, 90)))
        end = at + dt.timedelta(milliseconds=took)
        row = {
            "id": f"{draw.getrandbits(64):016x}", "traceId": self.id, "startTime": _iso(at), "endTime": _iso(end), "projectId": "prj",
            "parentObservationId": self.root, "type": "GENERATION" if call else "SPAN", "name": "answer" if call else "step",
            "level": "DEFAULT" if draw.random() > 0.02 else "ERROR", "statusMessage": None, "version": "2026.11.3",
            "environment": "production", "bookmarked": False, "public": False, "userId": self.user, "sessionId": self.session,
            "isRootObservation": self.root is None, "createdAt": _iso(at), "updatedAt": _iso(end + later),
            "completionStartTime": _iso(at + dt.timedelta(milliseconds=took * 0.2)) if call else None,
            "input": orjson.dumps({"messages": [
                {"role": "system", "content": f"You are a helpful assistant of {self.feature}"}, {"role": "user", "content": asked},
            ]}).decode(),
            "output": orjson.dumps({"role": "assistant", "content": said}).decode(),
            "metadata": {"tenant": self.tenant, "feature": self.feature, "auth": draw.choice(["sso", "password"]),
                         "attributes": {"gen_ai.system": "openai", "region": draw.choice(["eu", "us"])}},
            "latency": took / 1000, "timeToFirstToken": None, "traceName": self.feature, "tags": ["beta", "eu"], "release": "v1.4.2",
        }  # fmt: skip
        return row | (_usage(draw) if call else _NO_USAGE)


_NO_USAGE = {
    "model": None, "internalModelId": None, "modelParameters": None, "usageDetails": {}, "costDetails": {}, "totalCost": 0,
    "promptName": None, "promptVersion": None,
}  # fmt: skip


def _usage(draw: random.Random) -> dict:
    tin, tout = draw.randrange(200, 3000), draw.randrange(20, 800)
    cost = {"input": tin * 2.5e-6, "output": tout * 1e-5, "total": tin * 2.5e-6 + tout * 1e-5}
    usage = {"input": tin, "input_cached_tokens": 100, "output": tout, "output_reasoning_tokens": 12, "total": tin + tout + 112}
    return {
        "model": "gpt-4o-2024-08-06", "internalModelId": "clm1", "modelParameters": {"temperature": 0.2, "max_tokens": 512},
        "usageDetails": usage, "costDetails": cost, "totalCost": cost["total"], "promptName": "support", "promptVersion": 7,
    }  # fmt: skip


def _iso(at: dt.datetime) -> str:
    return at.isoformat(timespec="milliseconds") + "Z"


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))
