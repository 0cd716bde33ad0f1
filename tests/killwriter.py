"""The writer that test_store_kill.py kills, and what its store must hold after each of its steps.

Run as a script with a folder, it forks one writer for every number read from stdin: that writer does the steps from there
on, and says so in ``FOLDER/done`` after each. Forking keeps the imports out of the time in which a kill can fall.
"""

import os
import sys

STEPS = int(os.environ.get("LLMOBS_KILL_STEPS", "53"))  # 500 and more for a night
ERASED_EVERY = 13
READ_EVERY = 9


def step(root: str, folder: str, number: int) -> None:
    """Step ``number``: new rows and new versions of old ones in three tables at once, or an erasure."""
    import storekit

    from llmobs_nb.store.store import Store

    if number % ERASED_EVERY == ERASED_EVERY - 1:
        Store(root).erase({"trace_id": f"short-lived-{number - 1}"})
    elif number % READ_EVERY == READ_EVERY - 1:
        path = os.path.join(folder, "export.jsonl")
        storekit.write_lines(path, _export(number))
        storekit.load(root, path)
    else:
        spans = _rows(number)
        storekit.put(root, spans=spans, payloads=[s | {"input": f"text {number}"} for s in spans], scores=_scores(number))


def _trace(number: int) -> str:
    return f"short-lived-{number}" if number % ERASED_EVERY == ERASED_EVERY - 2 else f"t{number % 3}"


def _rows(number: int) -> list[dict]:
    from storekit import at, span

    new = {"trace_id": _trace(number), "tokens_in": number, "updated_at": at(number), "source": "langfuse"}
    day = at(86400 * (number % 4))
    versioned = [span(f"v{n}", **new | {"trace_id": "t"}, start_time=at(86400 * ((number + n) % 5))) for n in range(2)]
    return [span(f"n{number}", **new, start_time=day), *versioned]


def _scores(number: int) -> list[dict]:
    from storekit import at, score

    new = {"value": float(number), "updated_at": at(number), "source": "langfuse"}
    return [score(f"n{number}", trace_id=_trace(number), **new), score("v", trace_id="t", **new)]


def _export(number: int) -> list[dict]:
    """The same step as a Langfuse export."""
    from storekit import langfuse_score, observation

    spans = [
        observation(
            s["span_id"], traceId=s["trace_id"], startTime=s["start_time"].isoformat(), endTime=None, updatedAt=s["updated_at"].isoformat(),
            usageDetails={"input": number}, input=f"text {number}", output=None,
        )
        for s in _rows(number)
    ]  # fmt: skip
    scores = [
        langfuse_score(s["score_id"], traceId=s["trace_id"], value=s["value"], updatedAt=s["updated_at"].isoformat())
        for s in _scores(number)
    ]
    return [*spans, *scores]


def expected(last: int) -> dict[str, dict]:
    """What the store holds after the steps up to ``last``: tokens by span, text by payload, value by score, first day by span."""
    found = {"spans": {}, "payloads": {}, "scores": {}, "days": {}}
    for number in range(last + 1):
        if number % ERASED_EVERY == ERASED_EVERY - 1:
            for table in found.values():
                table.pop(f"n{number - 1}", None)
            continue
        for row in _rows(number):
            found["spans"][row["span_id"]] = number
            found["payloads"][row["span_id"]] = f"text {number}"
            found["days"].setdefault(row["span_id"], row["start_time"].date())
        found["scores"] |= {s["score_id"]: s["value"] for s in _scores(number)}
    return found


def held(root: str) -> dict[str, dict]:
    """What the store holds now; a row that is there twice is told under a name of its own."""
    import storekit

    from llmobs_nb.store.store import Store

    store = Store(root)
    if not store.exists:
        return expected(-1)
    snapshot = store.snapshot()
    spans, payloads, scores = (storekit.rows(root, name, snapshot=snapshot) for name in ("spans", "payloads", "scores"))
    return {
        "spans": _once((r["span_id"], r["tokens_in"]) for r in spans),
        "payloads": _once((r["span_id"], r["input"]) for r in payloads),
        "scores": _once((r["score_id"], r["value"]) for r in scores),
        "days": _once((r["span_id"], r["day"]) for r in spans),
    }


def _once(pairs) -> dict:
    found: dict = {}
    for key, value in pairs:
        found[key if key not in found else f"{key} again"] = value
    return found


def _write(folder: str, first: int) -> None:
    from llmobs_nb.store import store

    store.CROWDED, store.VACUUM_EVERY = 3, 4
    root, done = os.path.join(folder, "store"), os.path.join(folder, "done")
    for number in range(first, STEPS):
        step(root, folder, number)
        with open(done + ".new", "w") as out:
            out.write(str(number))
        os.replace(done + ".new", done)


def main(folder: str) -> None:
    import storekit  # noqa: F401

    from llmobs_nb.sources.registry import formats

    formats()
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _write(folder, int(line))
            os._exit(0)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    main(sys.argv[1])

__all__ = ["STEPS", "expected", "held", "step"]
