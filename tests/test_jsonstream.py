"""JSON values out of any layout, with the line where each began; what is none is given back with its text."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.sources import jsonstream
from llmobs_nb.sources.base import Bad


class Drip(io.RawIOBase):
    """A stream that gives a few bytes at a time, so that values are cut anywhere."""

    def __init__(self, raw, step):
        self.raw, self.step, self.at = raw, step, 0

    def readable(self):
        return True

    def read(self, size=-1):
        chunk = self.raw[self.at : self.at + self.step]
        self.at += len(chunk)
        return chunk

    read1 = read


def all_of(text, *, step=None, layout=None):
    raw = text if isinstance(text, bytes) else text.encode()
    stream = Drip(raw, step) if step else io.BytesIO(raw)
    return list(jsonstream.values(stream, layout or jsonstream.layout_of(raw)))


def values_of(found):
    return [f[1] for f in found if not isinstance(f, Bad)]


A, B = {"id": 1, "t": 'brace } and "quote" and [ \\ '}, {"id": 2, "deep": {"list": [{"x": []}]}}
LAYOUTS = {
    "lines": "\n".join(json.dumps(v) for v in (A, B)) + "\n",
    "lines with blank ones and a mark": "\ufeff" + json.dumps(A) + "\n\n  \n" + json.dumps(B),
    "one array": json.dumps([A, B]),
    "pretty array": json.dumps([A, B], indent=2),
    "pretty, side by side": json.dumps(A, indent=2) + "\n" + json.dumps(B, indent=2),
    "side by side on one line": json.dumps(A) + json.dumps(B),
    "wrapped": json.dumps({"data": [A, B], "meta": {"cursor": "x"}}),
    "wrapped, pretty": json.dumps({"meta": {"page": 1}, "data": [A, B]}, indent=1),
    "pages, one a line": json.dumps({"data": [A]}) + "\n" + json.dumps({"data": [B]}) + "\n",
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_values(text):
    assert all_of(text) == [f for f in all_of(text) if not isinstance(f, Bad)]
    assert values_of(all_of(text)) == [A, B]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=6),
            st.recursive(
                st.none() | st.integers(-9, 9) | st.text(max_size=12),
                lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=3), i, max_size=2),
                max_leaves=5,
            ),
            min_size=1,
            max_size=3,
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 40),
    st.sampled_from([None, 2]),
)
def test_values_cut_anywhere_come_back_whole(records, step, indent):
    records = [{"id": n} | r for n, r in enumerate(records)]
    text = json.dumps(records, indent=indent)
    assert values_of(all_of(text, step=step, layout="pieces")) == records
    side_by_side = "\n".join(json.dumps(r, indent=indent) for r in records)
    assert values_of(all_of(side_by_side, step=step, layout="pieces")) == records


def test_the_line_is_where_a_value_began():
    assert [line for line, _ in all_of('{"id": 1}\n\n{"id": 2}\n')] == [1, 3]
    assert [line for line, _ in all_of('[\n {"id": 1},\n {\n"id": 2}\n]')] == [2, 3]


def test_a_bad_line_is_given_back_and_reading_goes_on():
    found = all_of('{"id": 1}\n{"id": \n{"id": 3}\n')
    assert values_of(found) == [{"id": 1}, {"id": 3}]
    bad = next(f for f in found if isinstance(f, Bad))
    assert (bad.line, bad.raw) == (2, '{"id":')
    assert bad.reason.startswith("not JSON")


def test_a_value_that_is_cut_off_is_given_back():
    found = all_of('[{"id": 1}, {"id": 2', layout="pieces")
    assert values_of(found) == [{"id": 1}]
    assert found[-1].reason == "not JSON: the value is cut off"
    assert found[-1].raw == '{"id": 2'


def test_text_between_values_is_given_back():
    found = all_of('{"id": 1}\noops\n{"id": 2}', layout="pieces")
    assert values_of(found) == [{"id": 1}, {"id": 2}]
    assert [f.raw for f in found if isinstance(f, Bad)] == ["oops"]


def test_bytes_that_are_no_text():
    found = all_of(b'{"id": 1}\n{"id": "\xff\xfe"}\n{"id": 3}\n')
    assert values_of(found) == [{"id": 1}, {"id": 3}]
    bad = next(f for f in found if isinstance(f, Bad))
    assert bad.reason.startswith("not UTF-8")
    assert "\\xff\\xfe" in bad.raw


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"x": NaN, "y": -Infinity}', {"x": None, "y": None}),
        ('{"x": "\\ud800"}', {"x": "\ufffd"}),
        ('{"x": 12345678901234567890123}', {"x": 12345678901234567890123}),
        ('{"x": "a\tb"}', {"x": "a\tb"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_other_writers_call_json(text, expected):
    assert jsonstream.parse(text.encode()) == expected


@pytest.mark.parametrize("depth", [400, 5_000, 200_000])
def test_depth_never_ends_the_process(depth):
    found = jsonstream.parse(b"[" * depth + b"]" * depth)
    assert isinstance(found, Bad) == (depth > jsonstream.MAX_DEPTH)


@pytest.mark.parametrize(
    ("start", "layout"),
    [
        (b"PAR1....", "parquet"),
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b'{"a": 1}\n{"b": 2}', "lines"),
        (b'{\n "a": 1\n}', "pieces"),
        (b"[1]", "pieces"),
        (b"a,b\n1,2", "csv"),
        (b'\xef\xbb\xbf{"a": 1}\n', "lines"),
        (b'"a","b"\n', "csv"),
    ],
)
def test_layout(start, layout):
    assert jsonstream.layout_of(start) == layout


@pytest.mark.parametrize(
    ("value", "wrapped"),
    [
        ({"data": [1, 2]}, [1, 2]),
        ([1, 2], [1, 2]),
        ({"id": "x", "data": [1]}, [{"id": "x", "data": [1]}]),
        ({"data": {"a": 1}}, [{"data": {"a": 1}}]),
        (5, [5]),
        ([], []),
    ],
)
def test_a_wrapper_is_opened_and_a_record_is_not(value, wrapped):
    assert list(jsonstream.unwrapped(value)) == wrapped


def test_a_long_raw_text_is_cut_and_counted():
    text = jsonstream.raw_text(b"x" * (jsonstream.RAW_KEPT + 5))
    assert text.endswith("… (5 more bytes, see the file)")


def test_a_sample_is_the_first_few_values():
    assert jsonstream.sample(io.BytesIO(b'{"id":1}\nbroken\n{"id":2}\n{"id":3}\n'), "lines", 2) == [{"id": 1}, {"id": 2}]
