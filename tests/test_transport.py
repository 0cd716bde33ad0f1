"""Requests with patience, rate limits, slices that shrink, checkpoints that survive a kill."""

import os
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx2
import orjson
import pytest
from doubles.clock import FastClock
from hypothesis import given
from hypothesis import strategies as st

from llmobs_nb.errors import SourceError
from llmobs_nb.sources.transport.bucket import Bucket
from llmobs_nb.sources.transport.clock import Clock, Stopped
from llmobs_nb.sources.transport.drain import drain
from llmobs_nb.sources.transport.http import TRIES, Absent, Cures, Http, Refused, TooMuch, Unfinished
from llmobs_nb.sources.transport.job import Page, Pages, Slice, chunks, days
from llmobs_nb.sources.transport.spool import Spool

CURES = Cures(key="set X_KEY", host="set X_HOST", permission="ask for more")
DAY = timedelta(days=1)
T0 = datetime(2026, 11, 1, tzinfo=UTC)


def http(*answers, clock=None, budget=900.0, **more) -> Http:
    """An API that gives these answers in turn, the last for ever; an exception is raised."""
    todo = list(answers)

    def handle(request: httpx2.Request) -> httpx2.Response:
        answer = todo.pop(0) if len(todo) > 1 else todo[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    wire = httpx2.MockTransport(handle)
    return Http("http://api.test", cures=CURES, transport=wire, clock=clock or FastClock(), budget_seconds=budget, seed=1, **more)


def ok(body=None) -> httpx2.Response:
    return httpx2.Response(200, json=body if body is not None else {"fine": True})


def no(status: int, body=None, **headers) -> httpx2.Response:
    return httpx2.Response(status, json=body or {"error": "nope"}, headers=headers)


# Answers


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 507])
def test_what_passes_is_tried_again(status):
    clock = FastClock()
    assert http(no(status), no(status), ok(), clock=clock).get("/x") == {"fine": True}
    assert len(clock.waited) == 2
    assert clock.waited[1] > clock.waited[0] * 0.9


@pytest.mark.parametrize(
    "error", [httpx2.ReadError("x"), httpx2.RemoteProtocolError("x"), httpx2.DecodingError("x")], ids=lambda e: type(e).__name__
)
def test_a_cut_connection_is_tried_again(error):
    assert http(error, error, ok()).get("/x") == {"fine": True}


def test_an_answer_cut_short_is_asked_for_again():
    assert http(httpx2.Response(200, content=b'{"data": [{"id'), ok()).get("/x") == {"fine": True}


def test_after_all_tries_it_is_unfinished():
    with pytest.raises(Unfinished, match=rf"HTTP 503, {TRIES} times"):
        http(no(503)).get("/x")


def test_retry_after_is_waited_for_in_full_however_long():
    clock = FastClock()
    http(no(429, **{"retry-after": "87"}), ok(), clock=clock).get("/x")
    assert 87 <= sum(clock.waited) < 87.1


def test_retry_after_may_be_a_date():
    clock = FastClock()
    at = (datetime.now(UTC) + timedelta(seconds=40)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    http(no(429, **{"retry-after": at}), ok(), clock=clock).get("/x")
    assert 35 < sum(clock.waited) <= 41


def test_without_retry_after_the_waits_grow():
    clock = FastClock()
    http(*[no(429)] * 6, ok(), clock=clock).get("/x")
    assert clock.waited[-1] > clock.waited[0]
    assert all(w >= 1 for w in clock.waited)


def test_a_wait_beyond_the_budget_is_not_begun():
    clock = FastClock()
    with pytest.raises(Unfinished, match=r"rate limited \(HTTP 429\); it would take another 3600 s, more than the 60 s allowed"):
        http(no(429, **{"retry-after": "3600"}), clock=clock, budget=60).get("/x")
    assert clock.waited == []


@pytest.mark.parametrize("status", [413, 422, 504, 524])
def test_too_much_is_not_tried_again_but_asked_for_in_smaller_bites(status):
    clock = FastClock()
    with pytest.raises(TooMuch, match=f"HTTP {status}: nope"):
        http(no(status), clock=clock).get("/x")
    assert clock.waited == []


def test_a_timeout_is_too_much():
    with pytest.raises(TooMuch, match="no answer within 60 s"):
        http(httpx2.ReadTimeout("slow")).get("/x")


@pytest.mark.parametrize("status", [404, 405, 410, 501])
def test_what_is_not_there_is_absent(status):
    with pytest.raises(Absent, match=f"HTTP {status}"):
        http(no(status)).get("/x")


def test_a_wrong_request_is_refused_with_the_source_s_words():
    with pytest.raises(Refused, match="HTTP 400: limit must be at most 100"):
        http(no(400, {"message": "limit must be at most 100"})).get("/x")


# What no later try can help


def test_a_wrong_key_is_one_line_with_the_cure():
    with pytest.raises(SourceError, match=r"http://api.test refuses the key \(HTTP 401: nope\); set X_KEY") as error:
        http(no(401)).get("/x")
    assert "\n" not in str(error.value)


def test_no_permission_is_one_line_with_the_cure():
    with pytest.raises(SourceError, match=r"does not allow this \(HTTP 403: nope\); ask for more"):
        http(no(403)).get("/x")


def test_nobody_at_the_address_is_said_after_some_tries():
    clock = FastClock()
    with pytest.raises(SourceError, match=r"http://api.test cannot be reached \(ConnectError\); set X_HOST"):
        http(httpx2.ConnectError("refused"), clock=clock).get("/x")
    assert len(clock.waited) == 3


def test_a_web_page_is_not_the_api():
    page = httpx2.Response(200, content=b"<html>", headers={"content-type": "text/html; charset=utf-8"})
    with pytest.raises(SourceError, match="answers with a web page, not with JSON; set X_HOST"):
        http(page).get("/x")


def test_a_redirect_is_not_followed_with_the_key():
    moved = httpx2.Response(302, headers={"location": "https://elsewhere.test/login"})
    with pytest.raises(SourceError, match=r"sends requests on to https://elsewhere\.test/login; set X_HOST"):
        http(moved).get("/x")


@pytest.mark.parametrize("kind", ["header", "auth"])
def test_a_key_that_the_source_repeats_is_struck_out(kind):
    told = {"headers": {"x-api-key": "sk-very-secret"}} if kind == "header" else {"auth": ("pk-open", "sk-very-secret")}
    api = http(no(401, {"message": "key sk-very-secret is\x1b[31m wrong"}), **told)
    with pytest.raises(SourceError, match=r"key \*\*\* is") as error:
        api.get("/x")
    assert "sk-very-secret" not in f"{error.value!r} {api!r}"
    assert "\x1b" not in str(error.value)


# Rate limits


def test_a_bucket_lets_no_stretch_hold_more_than_its_calls():
    clock = FastClock()
    bucket = Bucket(3, 10.0, clock)
    taken = []
    for _ in range(10):
        bucket.take()
        taken.append(clock.now())
    assert all(b - a >= 10 for a, b in zip(taken, taken[3:], strict=False))
    assert taken[2] < 0.01


def test_a_closed_bucket_holds_everybody():
    clock = FastClock()
    bucket = Bucket(100, 60.0, clock)
    http(no(429, **{"retry-after": "30"}), ok(), clock=clock).get("/x", bucket=bucket)
    assert clock.now() >= 30


def test_a_stop_breaks_a_wait():
    clock = Clock()
    threading.Timer(0.05, clock.stop).start()
    with pytest.raises(Stopped):
        clock.wait(60)


# Slices


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.integers(1, 20 * 86400))
def test_days_cover_a_window_without_gap_or_overlap(start, seconds):
    start = start.replace(tzinfo=UTC)
    parts = days(start, start + timedelta(seconds=seconds))[::-1]
    assert parts[0][0] == start
    assert parts[-1][1] == start + timedelta(seconds=seconds)
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert all(a[0] < a[1] and a[1] - a[0] <= DAY for a in parts)
    assert all(b[0].hour == b[0].minute == b[0].second == 0 for b in parts[1:])


def test_halves_are_the_whole():
    slice = Slice("e", T0, T0 + DAY)
    a, b = slice.halves()
    assert (a.start, a.end, b.start, b.end) == (T0, T0 + DAY / 2, T0 + DAY / 2, T0 + DAY)
    by_id = Slice("e", ids=("a", "b", "c"))
    assert [h.ids for h in by_id.halves()] == [("a",), ("b", "c")]
    assert Slice("e").halves() == []


def test_a_slice_survives_json_and_keeps_its_key():
    slice = Slice("e", T0, T0 + DAY, ("a",), {"x": {"y": 1}})
    again = Slice.of(orjson.loads(orjson.dumps(slice.json())))
    assert again.key == slice.key
    assert slice.key != Slice("e", T0, T0 + DAY, ("b",), {"x": {"y": 1}}).key


def test_chunks_hold_every_id_once():
    assert list(chunks(["a", "b", "c"], 2)) == [("a", "b"), ("c",)]


# Draining


class Source:
    """A client of one entity: rows numbered by the second of a window, cut by offset; ``fetch`` may be overruled."""

    source, overlaps, workers = "test", {}, 2

    def __init__(self, most=10**9, first=8, least=1):
        self.pages = {"e": Pages(first, least, "")}
        self.most, self.asked = most, []

    def fetch(self, slice, cursor, limit):
        self.asked.append((slice, cursor, limit))
        start = int((slice.start - T0).total_seconds())
        total = int((slice.end - slice.start).total_seconds())
        at = int(cursor or 0)
        if limit > self.most or (total > 40 and self.most < 0):
            raise TooMuch("HTTP 413")
        rows = [{"id": start + n} for n in range(at, min(at + limit, total))]
        return Page(rows, str(at + limit) if at + limit < total else None)


def ids(spool: Spool) -> list[int]:
    return sorted(r["id"] for r in spool.rows("e"))


def seconds(n: int, start: int = 0) -> Slice:
    return Slice("e", T0 + timedelta(seconds=start), T0 + timedelta(seconds=start + n))


def test_every_row_of_every_slice_is_fetched_once(tmp_path):
    spool = Spool(tmp_path)
    assert drain(Source(), spool, [seconds(30), seconds(30, 30)], clock=Clock(), workers=3) == []
    assert ids(spool) == list(range(60))


def test_a_page_that_is_too_much_shrinks_and_keeps_its_place(tmp_path):
    source, spool = Source(most=3), Spool(tmp_path)
    drain(source, spool, [seconds(20)], clock=Clock())
    assert ids(spool) == list(range(20))
    assert [limit for _, _, limit in source.asked][:3] == [8, 4, 2]


def test_a_window_that_is_too_much_is_cut_in_halves(tmp_path):
    source, spool = Source(first=10**6, least=10**6), Spool(tmp_path)
    real = source.fetch
    source.fetch = lambda slice, cursor, limit: _only_short(real, slice, cursor, limit)
    assert drain(source, spool, [seconds(64)], clock=Clock(), workers=2) == []
    assert sorted(set(ids(spool))) == list(range(64))


def _only_short(real, slice, cursor, limit):
    if slice.end - slice.start > timedelta(seconds=16):
        raise TooMuch("no answer within 60 s")
    return real(slice, cursor, limit)


def test_what_cannot_be_cut_is_left_and_said(tmp_path):
    source = Source(most=0)
    undone = drain(source, Spool(tmp_path), [seconds(1)], clock=Clock())
    assert [str(u) for u in undone] == ["e 2026-11-01 to 2026-11-01T00:00:01: HTTP 413"]


def test_a_source_that_repeats_its_cursor_ends(tmp_path):
    source = Source()
    source.fetch = lambda slice, cursor, limit: Page([{"id": 1}], "same")
    (undone,) = drain(source, Spool(tmp_path), [Slice("e", ids=("a",))], clock=Clock())
    assert undone.reason == "the source repeats a page"


def test_empty_pages_without_end_end(tmp_path):
    source, count = Source(), iter(range(10**6))
    source.fetch = lambda slice, cursor, limit: Page([], str(next(count)))
    (undone,) = drain(source, Spool(tmp_path), [Slice("e", ids=("a",))], clock=Clock())
    assert "empty pages in a row" in undone.reason


@pytest.mark.parametrize("error", [Unfinished("HTTP 503, 8 times"), Refused("HTTP 400"), Absent("HTTP 404")])
def test_a_slice_that_fails_does_not_stop_the_others(tmp_path, error):
    source, spool = Source(), Spool(tmp_path)
    real = source.fetch

    def fetch(slice, cursor, limit):
        if slice.start == T0:
            raise error
        return real(slice, cursor, limit)

    source.fetch = fetch
    undone = drain(source, spool, [seconds(10), seconds(10, 10)], clock=Clock(), workers=1)
    assert [u.slice.start for u in undone] == [T0]
    assert ids(spool) == list(range(10, 20))


def test_an_error_that_ends_the_pull_leaves_what_was_fetched(tmp_path):
    source, spool = Source(), Spool(tmp_path)
    real, count = source.fetch, iter(range(100))

    def fetch(slice, cursor, limit):
        if next(count) == 2:
            raise SourceError("the key was withdrawn; get another")
        return real(slice, cursor, limit)

    source.fetch = fetch
    with pytest.raises(SourceError, match="the key was withdrawn"):
        drain(source, spool, [seconds(40)], clock=Clock())
    assert ids(spool) == list(range(16))
    source.fetch = real
    drain(source, spool, [seconds(40)], clock=Clock())
    assert ids(spool) == list(range(40))


def test_a_stopped_pull_goes_on_where_it_was(tmp_path):
    source, spool, clock = Source(), Spool(tmp_path), Clock()
    real = source.fetch

    def fetch(slice, cursor, limit):
        if cursor == "16":
            clock.stop()
        return real(slice, cursor, limit)

    source.fetch = fetch
    with pytest.raises(Stopped):
        drain(source, spool, [seconds(40)], clock=clock)
    again = Source()
    drain(again, spool, [seconds(40)], clock=Clock())
    assert ids(spool) == list(range(40))
    assert again.asked[0][1] == "16"


def test_half_a_page_on_disk_is_cut_off(tmp_path):
    source, spool = Source(), Spool(tmp_path)
    slice = seconds(20)
    got = spool.begin(slice)
    spool.add(slice, got, [{"id": n} for n in range(8)], "8")
    with open(os.path.join(tmp_path, "e", f"{slice.key}.jsonl"), "ab") as file:
        file.write(b'{"id": 8}\n{"id": ')
    drain(source, spool, [slice], clock=Clock())
    assert ids(spool) == list(range(20))


def test_a_slice_that_was_cut_stays_cut_after_a_stop(tmp_path):
    source, spool = Source(first=10**6, least=10**6), Spool(tmp_path)
    real = source.fetch
    source.fetch = lambda slice, cursor, limit: _only_short(real, slice, cursor, limit)
    drain(source, spool, [seconds(64)], clock=Clock())
    again = Source()
    drain(again, spool, [seconds(64)], clock=Clock())
    assert again.asked == []


def test_a_damaged_note_begins_the_slice_anew(tmp_path):
    source, spool = Source(), Spool(tmp_path)
    slice = seconds(20)
    drain(source, spool, [slice], clock=Clock())
    with open(os.path.join(tmp_path, "e", f"{slice.key}.json"), "w") as file:
        file.write("{")
    drain(source, spool, [slice], clock=Clock())
    assert ids(spool) == list(range(20))


def test_all_rows_of_an_entity_come_in_one_file(tmp_path):
    spool = Spool(tmp_path)
    drain(Source(), spool, [seconds(30), seconds(30, 30)], clock=Clock())
    with open(spool.joined("e"), "rb") as file:
        assert sorted(orjson.loads(line)["id"] for line in file) == list(range(60))


def test_progress_tells_rows_rate_and_what_is_left(tmp_path):
    said = []
    drain(Source(), Spool(tmp_path), [seconds(30)], clock=Clock(), progress=said.append)
    assert said[-1].startswith("e 2026-11-01 to 2026-11-01T00:00:30: 30 rows, ")
    assert said[-1].endswith("/s, 1 of 1 slices to go")
