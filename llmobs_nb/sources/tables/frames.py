"""A DataFrame (or Arrow table) as the Arrow table that the engine reads."""

from __future__ import annotations

import os
from collections import Counter

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError
from ..tabular import first_line

_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def arrow_of(frame, name: str) -> pa.Table:
    """Columns of a DataFrame as Arrow ones; an index with a name is a column too.

    Cells of mixed kinds become text, dicts and lists become JSON text, durations become milliseconds, NaN, NaT and None a
    null. Raises InputError when two columns bear one name or the rows are no table.
    """
    table = _table(frame, name)
    twice = [n for n, count in Counter(n.lower() for n in table.column_names).items() if count > 1]
    if twice:
        raise InputError(f"{name} has more than one column {twice[0]!r} (case aside); rename one")
    columns = [_plain(table.column(n)) for n in table.column_names]
    return pa.Table.from_arrays(columns, names=table.column_names)


def read_table(path: str, *, column: str | None = None):
    """A CSV, JSON-lines or Parquet file (by its ending) as a DataFrame, or one column of it as a list of text.

    Raises InputError for another ending, a file that cannot be read, and a column that is not there.
    """
    import pandas as pd

    readers = {
        ".csv": lambda: pd.read_csv(path, dtype={"trace_id": str, "span_id": str, "session_id": str, "rater_id": str}),
        ".jsonl": lambda: pd.read_json(path, lines=True, dtype=False),
        ".parquet": lambda: pd.read_parquet(path),
    }
    ending = os.path.splitext(path)[1].lower()
    if ending not in readers:
        raise InputError(f"file {path!r} ends with none of {', '.join(readers)}; save the table as one of them")
    try:
        frame = readers[ending]()
    except (OSError, ValueError) as error:
        raise InputError(f"file {path!r} cannot be read as {ending}: {first_line(error)[:200]}; check it") from None
    if column is None:
        return frame
    if column not in frame:
        raise InputError(f"file {path!r} has no column {column!r}, only {', '.join(map(str, frame.columns[:8]))}; name it so")
    return [str(v) for v in frame[column].dropna()]


def _table(frame, name: str) -> pa.Table:
    import pandas as pd

    if isinstance(frame, pa.Table):
        return frame
    if not isinstance(frame, pd.DataFrame) and hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    try:
        frame = pd.DataFrame(frame)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no table ({error}); give a DataFrame") from None
    named = [n for n in frame.index.names if n is not None and n not in frame.columns]
    frame = frame.reset_index(named) if named else frame
    arrays = [_array(frame.iloc[:, at]) for at in range(frame.shape[1])]
    return pa.Table.from_arrays(arrays, names=[_label(c) for c in frame.columns])


def _label(name) -> str:
    return ".".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)


def _array(series) -> pa.Array | pa.ChunkedArray:
    values = series.dropna()
    if series.dtype == object and values.map(lambda v: isinstance(v, (dict, list, tuple, set)) or hasattr(v, "tolist")).any():
        return pa.array([_text(v) for v in series], pa.string())
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array([_text(v) for v in series], pa.string())


def _text(value) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list, tuple, set)) or hasattr(value, "tolist"):
        return orjson.dumps(list(value) if isinstance(value, set) else value, default=str, option=_JSON).decode()
    return None if value is None or value != value else str(value)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1000.0)
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    return column
