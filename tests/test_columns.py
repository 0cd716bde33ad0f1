"""Declarative columns: quoting, paths, readers of each type, and the SELECT they compile to."""

import datetime as dt
import json

import duckdb
import pytest
import sqlglot
from draft import mapped
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from llmobs_nb.columns import MACROS, Column, compile_select, fields_of, json_path, literal, quote
from llmobs_nb.errors import MappingError
from llmobs_nb.sources.base import Shape

hostile = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), min_size=1, max_size=20
) | st.sampled_from(
    [
        'a"b',
        "a'b",
        '""',
        "''",
        "a.b",
        "a\\b",
        "-- x",
        "/*",
        "; DROP TABLE t",
        "${x}",
        "{x}",
        "$1",
        "?",
        "\n",
        "\u202e",
        "select",
        " ",
    ]
)
CON = duckdb.connect()
CON.execute("SET TimeZone = 'UTC'")
CON.execute(MACROS)


def one(sql):
    return CON.sql(f"SELECT {sql} AS v").to_arrow_table()["v"][0].as_py()


def read(column, record, table="spans"):
    """(value, reason) of one column of one record."""
    row = mapped(Shape(table, [column]), [record])[0]
    return row[column.name], row["_reason"]


class TestQuoting:
    @given(hostile)
    def test_a_name_is_quoted_as_sqlglot_quotes_it(self, name):
        assert quote(name) == exp.to_identifier(name, quoted=True).sql(dialect="duckdb")

    @given(hostile)
    def test_a_text_is_quoted_as_sqlglot_quotes_it(self, text):
        assert literal(text) == exp.Literal.string(text).sql(dialect="duckdb")

    @settings(max_examples=60, deadline=None)
    @given(hostile)
    def test_the_engine_reads_both_back(self, text):
        assert one(literal(text)) == text
        assert CON.sql(f"SELECT 1 AS {quote(text)}").columns == [text]

    @given(hostile)
    def test_what_is_quoted_parses_as_one_expression(self, text):
        tree = sqlglot.parse_one(f"SELECT {quote(text)}, {literal(text)}", dialect="duckdb")
        column, value = tree.expressions
        assert (column.name, value.this) == (text, text)

    @settings(max_examples=60, deadline=None)
    @given(hostile, hostile)
    def test_a_json_path_finds_exactly_its_key(self, key, other):
        path = literal(json_path([key]))
        found = CON.sql(
            f"SELECT json_extract_string($1, {path}) AS v", params=[json.dumps({other: "no"} | {key: "yes"})]
        ).fetchall()
        assert found == [("yes",)]

    @pytest.mark.parametrize("keys", [["*"], ["a", "*"], ["*", 1, "x/y~z"]])
    def test_a_star_is_a_key_like_any_other(self, keys):
        inner = "yes"
        for key in reversed(keys):
            inner = {key: inner, "other": "no"} if isinstance(key, str) else ["no", inner]
        assert CON.sql(f"SELECT json_extract_string($1, {literal(json_path(keys))})", params=[json.dumps(inner)]).fetchall() == [
            ("yes",)
        ]

    def test_a_path_into_a_list_and_below(self):
        assert json_path(["a", 0, "b.c"]) == '$."a"[0]."b.c"'
        assert one(f'json_extract_string(\'{{"a":[{{"b.c":"x"}}]}}\', {literal(json_path(["a", 0, "b.c"]))})') == "x"


class TestReaders:
    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00"),
            ("2026-11-20 10:00:00.123456", "2026-11-20T10:00:00.123456"),
            ("2026-11-20T11:00:00+01:00", "2026-11-20T10:00:00"),
            ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123456"),
            (1795168800, "2026-11-20T10:00:00"),
            (1795168800.5, "2026-11-20T10:00:00.500"),
            (1795168800123, "2026-11-20T10:00:00.123"),
            (1795168800123456, "2026-11-20T10:00:00.123456"),
            ("1795168800123456789", "2026-11-20T10:00:00.123456"),
            ("2026-11-20", "2026-11-20T00:00:00"),
        ],
    )
    def test_times(self, told, expected):
        assert read(Column("start_time", "t"), {"t": told}) == (dt.datetime.fromisoformat(expected).replace(tzinfo=dt.UTC), None)

    @pytest.mark.parametrize("told", ["soon", "-5", "1e400", "9" * 40, "2500-01-01", "1960-01-01", "{}", "2026-13-40"])
    def test_what_is_no_time_says_so(self, told):
        value, reason = read(Column("start_time", "t"), {"t": told})
        assert value is None
        assert reason == f"t is not a time: {told}"

    @pytest.mark.parametrize(
        ("told", "value", "reason"),
        [
            ("1.5", 1.5, None),
            (2, 2.0, None),
            ("", None, None),
            (None, None, None),
            ("NaN", None, None),
            ("inf", None, None),
            ("ten", None, "x is not a number: ten"),
        ],
    )
    def test_numbers(self, told, value, reason):
        assert read(Column("latency_ms", "x"), {"x": told}) == (value, reason)

    @pytest.mark.parametrize(("told", "value"), [("3", 3), (2.6, 3), ("1e3", 1000), (2**40, 2**40), ("1e300", None)])
    def test_whole_numbers(self, told, value):
        assert read(Column("tokens_in", "x"), {"x": told}) == (value, None)

    @pytest.mark.parametrize(
        ("told", "value"), [(True, True), ("FALSE", False), ("1", True), ("no", False), ("perhaps", None), ("", None)]
    )
    def test_truths(self, told, value):
        assert read(Column("response_cached", "x"), {"x": told})[0] is value

    @pytest.mark.parametrize(
        ("told", "value"),
        [
            (["a", "b"], ["a", "b"]),
            ('["a"]', ["a"]),
            ("a", ["a"]),
            ("", None),
            (None, None),
            ([1, None], ["1", None]),
            ("[a", ["[a"]),
        ],
    )
    def test_lists_of_texts(self, told, value):
        assert read(Column("tags", "x"), {"x": told})[0] == value

    def test_lists_of_numbers(self):
        assert read(Column("retrieval_scores", "x"), {"x": [0.5, "1", "x"]})[0] == [0.5, 1.0, None]

    @pytest.mark.parametrize(
        ("told", "value"),
        [
            ({"a": 1, "b": {"c": [1]}, "d": None}, {"a": "1", "b": '{"c":[1]}', "d": None}),
            ('{"a":"x"}', {"a": "x"}),
            ("{}", None),
            ("", None),
            ("free text", {"value": "free text"}),
            ({'a"b': "x", "a\\b": "y"}, {'a"b': "x", "a\\b": "y"}),
        ],
    )
    def test_maps(self, told, value):
        found = read(Column("metadata", "x"), {"x": told})[0]
        assert (None if found is None else dict(found)) == value

    def test_units(self):
        assert [read(Column("latency_ms", "x", unit=u), {"x": "2"})[0] for u in ("s", "ms", "us", "ns")] == pytest.approx(
            [2000.0, 2.0, 0.002, 0.000002]
        )

    def test_places_are_tried_in_order_and_blanks_passed_over(self):
        column = Column("name", "a.b", also=("c", ("d.e", "f")))
        assert read(column, {"a": {"b": ""}, "c": None, "d.e": {"f": "x"}})[0] == "x"
        assert read(column, {"a": '{"b":"y"}', "c": "z"})[0] == "y"
        assert read(column, {"a": "no object", "c": "z"})[0] == "z"

    def test_words_are_renamed_without_regard_to_case(self):
        column = Column("kind", "k", values={"Generation": "llm"}, other="chain")
        assert [read(column, {"k": k})[0] for k in ("GENERATION", "generation", "span", None)] == ["llm", "llm", "chain", None]
        assert read(Column("kind", "k", values={"a": "b"}), {"k": "Stays"})[0] == "Stays"

    @pytest.mark.parametrize(
        ("name", "default", "value"), [("name", "it's", "it's"), ("tokens_in", "7", 7), ("response_cached", "true", True)]
    )
    def test_a_default_is_read_like_a_value(self, name, default, value):
        assert read(Column(name, "x", default=default), {})[0] == value

    def test_what_several_columns_share_is_computed_once(self):
        shared = {"_upper": "upper(a)"}
        columns = [
            Column("name", sql="_upper", needs=("a",), given=shared),
            Column("trace_name", sql="_upper || '!'", needs=("a",), given=shared),
        ]
        row = mapped(Shape("spans", columns), [{"a": "x"}])[0]
        assert (row["name"], row["trace_name"]) == ("X", "X!")
        assert compile_select(columns, "spans", "r").count("upper(a)") == 1


class TestCompile:
    def test_fields_of_names_each_field_once(self):
        assert fields_of(
            [Column("name", "a.b", also=("c",)), Column("kind", "a.d"), Column("tags", sql="x", needs=("x", "c"))]
        ) == ["a", "c", "x"]

    def test_a_required_column_that_is_missing_is_the_reason(self):
        shape = Shape("spans", [Column("span_id", "id"), Column("start_time", "at")], required=("span_id",))
        sql = compile_select(shape.columns, "spans", "(SELECT NULL::VARCHAR AS id, 'soon' AS at)", required=shape.required)
        assert CON.sql(sql).to_arrow_table()["_reason"].to_pylist() == ["no id"]

    def test_the_first_reason_stands(self):
        sql = compile_select(
            [Column("start_time", "at"), Column("end_time", "to")],
            "spans",
            "(SELECT 'soon' AS at, 'later' AS to)".replace("AS to", 'AS "to"'),
        )
        assert CON.sql(sql).to_arrow_table()["_reason"].to_pylist() == ["at is not a time: soon"]

    def test_passing_columns_come_through(self):
        sql = compile_select([Column("name", "a")], "spans", "(SELECT 'x' AS a, 7 AS n)", passing=("n",))
        assert CON.sql(sql).to_arrow_table().to_pylist() == [{"name": "x", "n": 7, "_reason": None}]

    def test_a_long_bad_value_is_cut(self):
        assert read(Column("start_time", "t"), {"t": "x" * 500})[1] == "t is not a time: " + "x" * 80

    def test_unknown_type_and_unit(self):
        with pytest.raises(MappingError, match="column 'x': type='number' is not known; choose one of: text, json, int, double"):
            Column("x", "x", type="number")
        with pytest.raises(MappingError, match="column 'x': unit='h' is not known; choose one of: s, ms, us, ns"):
            Column("x", "x", unit="h")
