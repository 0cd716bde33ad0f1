"""Formatting: units on every number, digits by the interval, n/a for what is missing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs_nb import units as u


@pytest.mark.parametrize(
    ("low", "high", "places"),
    [
        (0.68, 0.72, 2),  # half-width .02: its first digit is the second decimal
        (0.68, 0.70, 3),  # .01 leads with a 1: one digit more
        (0.694, 0.706, 3),
        (-30, 30, 0),
        (None, 1, 2),
        (1, 1, 2),
        (math.nan, 1, 2),
        (0, 1e-12, 8),
    ],
)
def test_digits_follow_the_half_width(low, high, places):
    assert u.decimals(low, high) == places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (u.money(1204.5), "$1,204.50"),
        (u.money(0), "$0.00"),
        (u.money(-3), "-$3.00"),
        (u.money(0.00123), "$0.00123"),
        (u.money(0.002, low=0.0018, high=0.0022), "$0.0020"),
        (u.milliseconds(850.4), "850 ms"),
        (u.milliseconds(2412), "2.41 s"),
        (u.milliseconds(999.6), "1.00 s"),
        (u.milliseconds(59_999), "1 min 00 s"),
        (u.milliseconds(185_000), "3 min 05 s"),
        (u.milliseconds(7_440_000), "2 h 04 min"),
        (u.tokens(1204.3), "1,204"),
        (u.count(12345), "12,345"),
        (u.rate(0.0123), "1.2 %"),
        (u.rate(0.0123, low=0.0120, high=0.0126), "1.23 %"),
        (u.points(0.004), "+0.4 pp"),
        (u.relative(0.12, low=0.05, high=0.19), "+12 %"),
        (u.relative(-0.12, low=-0.2, high=-0.04), "-12 %"),
        (u.signed(-0.05), "-0.05"),
        (u.number(0.7342, low=0.70, high=0.76), "0.73"),
    ],
)
def test_examples(text, expected):
    assert text == expected


def test_quantities_and_changes_go_by_unit():
    assert u.quantity(0.02, "rate") == "2.0 %"
    assert u.quantity(7, "count") == "7"
    assert u.quantity(0.5, "anything else") == "0.50"
    assert u.change(0.1, "usd", "relative") == "+10.0 %"
    assert u.change(0.004, "rate", "absolute") == "+0.4 pp"
    assert u.change(-40.0, "ms", "absolute") == "-40 ms"
    assert u.change(2.0, "usd", "absolute") == "+$2.00"
    assert u.interval(0.01, 0.02, "rate") == "1.0 % to 2.0 %"
    assert u.interval(-0.04, 0.08, "usd", kind="relative") == "-4 % to +8 %"


def test_an_interval_of_no_width_is_none():
    assert u.interval(5, 5, "count") == u.MISSING


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_missing_is_said(missing):
    functions = (u.number, u.count, u.tokens, u.rate, u.points, u.relative, u.signed, u.money, u.milliseconds)
    assert {f(missing) for f in functions} == {"n/a"}
    assert u.interval(missing, 1, "usd") == "n/a"


@given(st.floats(-1e12, 1e12), st.sampled_from(["rate", "usd", "ms", "tokens", "score", "count", "x"]))
def test_every_finite_number_has_a_text_with_digits(value, unit):
    text = u.quantity(value, unit)
    assert any(c.isdigit() for c in text) and "nan" not in text and "e" not in text.replace("ms", "")
