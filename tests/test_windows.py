"""Windows: half-open, aware, cut by the calendar of a zone."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs_nb import windows as w
from llmobs_nb.errors import UsageError

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


def test_a_window_is_half_open_and_kept_in_utc():
    window = w.Window(datetime(2026, 11, 9, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 11, 10, tzinfo=UTC), "x")
    assert window.start == datetime(2026, 11, 8, 23, tzinfo=UTC) and window.start.tzinfo is UTC
    assert window.start in window and window.end not in window
    assert window.seconds == 25 * 3600
    assert window.json() == {"label": "x", "start": "2026-11-08T23:00:00+00:00", "end": "2026-11-10T00:00:00+00:00"}


def test_a_window_refuses_naive_times_and_a_wrong_order():
    with pytest.raises(UsageError, match=r"Window start=2026-11-09T00:00:00 has no time zone; give an aware datetime"):
        w.Window(datetime(2026, 11, 9), NOW)
    with pytest.raises(UsageError, match=r"end=2026-11-17.* lies before start=2026-11-18.*; swap them"):
        w.Window(NOW, NOW - timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 11, 11, 12, tzinfo=UTC)),
        ("24h", datetime(2026, 11, 17, 12, tzinfo=UTC)),
        (" 2W ", datetime(2026, 11, 4, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-11-01T08:30", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
        ("2026-11-01T08:30:00Z", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T08:30:00-05:00", datetime(2026, 11, 1, 13, 30, tzinfo=UTC)),
        (date(2026, 11, 1), datetime(2026, 10, 31, 23, tzinfo=UTC)),
        (datetime(2026, 11, 1, 8), datetime(2026, 11, 1, 7, tzinfo=UTC)),
    ],
)
def test_since_reads_steps_back_dates_and_times(text, expected):
    assert w.parse_since(text, now=NOW, tz=BERLIN) == expected


@pytest.mark.parametrize("text", ["yesterday", "7x", "", "-3d", "99999999999d", "2026-13-01", None, 5])
def test_since_names_what_it_cannot_read(text):
    with pytest.raises(UsageError, match=r"time .* is not understood; give 7d, 24h or 2w back, or an ISO date or time"):
        w.parse_since(text, now=NOW)


def test_an_unknown_zone_is_named():
    for tz in ("Mars/Olympus", "", "../etc", "America", None):
        with pytest.raises(UsageError, match=r"tz=.* is not a known time zone; give an IANA name"):
            w.zone(tz)


def test_iso_weeks_by_the_calendar():
    assert w.iso_week("2026-W46").json() == {
        "label": "2026-W46", "start": "2026-11-09T00:00:00+00:00", "end": "2026-11-16T00:00:00+00:00",
    }  # fmt: skip
    assert w.iso_week("2026-W53").start == datetime(2026, 12, 28, tzinfo=UTC)
    assert w.week_of(date(2027, 1, 3)).label == "2026-W53"
    assert w.week_of(datetime(2026, 11, 8, 23, 30, tzinfo=UTC), BERLIN).label == "2026-W46"
    assert w.week_of(datetime(2026, 11, 8, 23, 30, tzinfo=UTC)).label == "2026-W45"


@pytest.mark.parametrize("text", ["2025-W53", "2026-W00", "W46", "2026-11-09", 46, None, "9999-W52"])
def test_a_week_that_is_none_is_named(text):
    with pytest.raises(UsageError, match=r"week .* is not an ISO week; write it as 2026-W46"):
        w.iso_week(text)


def test_parse_week_takes_a_week_or_a_day_in_it():
    for week in ("2026-W46", "2026W46", "2026-11-12", date(2026, 11, 12), datetime(2026, 11, 15, 23, tzinfo=UTC)):
        assert w.parse_week(week).label == "2026-W46"
    with pytest.raises(UsageError, match=r"week 'next' is not understood; give an ISO week \(2026-W46\) or a date in it"):
        w.parse_week("next")


def test_days_follow_clock_changes():
    hours = [d.seconds / 3600 for d in w.days(w.iso_week("2026-W43", BERLIN), BERLIN)]
    assert hours == [24] * 6 + [25]
    assert [d.seconds / 3600 for d in w.days(w.iso_week("2026-W13", BERLIN), BERLIN)] == [24] * 6 + [23]
    assert w.iso_week("2026-W43", BERLIN).seconds == 169 * 3600


def test_days_are_clipped_to_the_window_and_blocks_start_with_it():
    window = w.Window(datetime(2026, 11, 9, 6, tzinfo=UTC), datetime(2026, 11, 11, 6, tzinfo=UTC))
    assert [(d.label, d.seconds / 3600) for d in w.days(window)] == [("2026-11-09", 18), ("2026-11-10", 24), ("2026-11-11", 6)]
    assert [(d.label, d.seconds / 3600) for d in w.blocks(window)] == [("2026-11-09", 24), ("2026-11-10", 24)]


def test_back_keeps_the_clock_and_names_whole_weeks():
    assert w.back(w.iso_week("2026-W44", BERLIN), 1, BERLIN) == w.iso_week("2026-W43", BERLIN)
    part = w.Window(datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC))
    assert w.back(part, 2).json()["label"] == "2 days to 2026-10-28"


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1)),
    st.sampled_from(["UTC", BERLIN, "Asia/Kolkata", "America/Sao_Paulo"]),
)
def test_days_and_blocks_tile_every_week(when, tz):
    week = w.week_of(when, tz)
    assert w.aware(when, tz) in week
    for pieces in (w.days(week, tz), w.blocks(week, tz)):
        assert len(pieces) == 7
        assert [p.start for p in pieces[1:]] == [p.end for p in pieces[:-1]]
        assert (pieces[0].start, pieces[-1].end) == (week.start, week.end)
