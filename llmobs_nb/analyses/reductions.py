"""Small answers of the engine, as several analyses ask for them: rows with aware times, and what stretch of time the data cover."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(obs, sql: str) -> list[dict]:
    """The rows of a small answer; timestamps as aware datetimes."""
    table = obs.query(sql)
    columns = [_values(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def data_range(obs) -> tuple[datetime | None, datetime | None]:
    """First and last start of a span of the product; of a judgement, where there are no spans."""
    for sql in (
        "SELECT min(start_time) AS a, max(start_time) AS b FROM spans WHERE purpose IS NULL",
        "SELECT min(created_at) AS a, max(created_at) AS b FROM scores",
    ):
        (row,) = rows(obs, sql)
        if row["a"] is not None:
            return row["a"], row["b"]
    return None, None


def last_start_before(obs, at: datetime) -> datetime | None:
    """The last start of a span of the product before a moment; the last judgement, where there are no spans before it."""
    for table, time in (("(SELECT * FROM spans WHERE purpose IS NULL) s", "start_time"), ("scores", "created_at")):
        (row,) = rows(obs, f"SELECT max({time}) AS latest FROM {table} WHERE {time} < {moment(at)}")
        if row["latest"] is not None:
            return row["latest"]
    return None


def moment(at: datetime) -> str:
    """A time as SQL."""
    return f"TIMESTAMPTZ '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"


def _values(column: pa.ChunkedArray) -> list:
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    micros = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if v is None else _EPOCH + timedelta(microseconds=v) for v in micros]
