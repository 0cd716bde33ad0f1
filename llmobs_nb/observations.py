"""The handle on a store: one ``query`` over a pinned version, tidy DataFrames with filters pushed down, and what it holds."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import windows
from .columns import literal, quote
from .dimensions import find_dimensions
from .engine.duck import connect
from .errors import UsageError
from .schema import SPANS, TABLES
from .status import describe
from .store.place import place_of
from .store.store import Snapshot, Store

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("input", "output", "system_prompt")
# What goes with its trace into a narrower handle.
OF_TRACES = (
    "payloads", "scores", "corrections", "trace_facts", "experiment_items", "queue_items", "comments", "vanished",
)  # fmt: skip
_TRACE = "source, project, trace_id"
_ONE_PER_TRACE = (
    "trace_name", "feature", "tenant_id", "user_id", "user_tier", "session_id", "environment", "release", "locale",
)  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """What a handle lets through: spans that start in [since, until), and spans or traces with certain values."""

    since: datetime | None = None
    until: datetime | None = None
    values: tuple[tuple[str, tuple], ...] = ()


class Observations:
    """Spans, scores and the rest of one store, as of the moment it was opened.

    ``query`` runs SQL over one view per table of ``lm.schema`` (spans, payloads, scores, prompts, queue_items and so on)
    and gives an Arrow table; ``sql`` the same as a DataFrame. ``between`` and ``where`` give a narrower handle.
    Reading never blocks a writer; a handle keeps its version until it is opened again.
    """

    def __init__(self, snapshot: Snapshot, *, memory: str = "2GB", threads: int | None = None, filter: Filter | None = None):
        self._snapshot = snapshot
        self._memory, self._threads = memory, threads
        self._filter = filter or Filter()

    @property
    def store(self) -> str:
        """Where the store is."""
        return self._snapshot.root

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table this handle reads."""
        return dict(self._snapshot.versions)

    @cached_property
    def _con(self):
        con = connect(
            memory=self._memory, threads=self._threads, spill=os.path.join(tempfile.gettempdir(), f"llmobs-{os.getpid()}")
        )
        place_of(self.store).attach(con)
        for name in TABLES:
            con.execute(f"CREATE TEMP VIEW {name} AS {self._view(name)}")
        weakref.finalize(self, con.close)
        return con

    def query(self, sql: str, params: Sequence | Mapping | None = None) -> pa.Table:
        """Run one SQL statement (DuckDB's words, time zone UTC) and give the answer as an Arrow table.

        Raises UsageError with the engine's first line when the statement cannot be run.
        """
        with self._told():
            return self._con.sql(sql, params=params).to_arrow_table() if params else self._con.sql(sql).to_arrow_table()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The engine's refusals as errors of ours."""
        import duckdb

        try:
            yield
        except (duckdb.Error, AttributeError) as error:
            raise place_of(self.store).refusal(error) or UsageError(
                f"query failed: {' '.join(str(error).split())[:300]}; the views are {', '.join(TABLES)}"
            ) from None

    @contextmanager
    def kept(self, name: str, sql: str) -> Iterator[None]:
        """The answer of a statement as a view of that name while the block runs, computed once; it may spill to disk.

        For an analysis that asks many small questions about the same rows. A name that is taken is replaced; UsageError as
        for ``query``.
        """
        with self._told():
            self._con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS {sql}")
        try:
            yield
        finally:
            self._con.execute(f"DROP TABLE IF EXISTS {quote(name)}")

    def sql(self, sql: str, params: Sequence | Mapping | None = None) -> pd.DataFrame:
        """``query`` as a DataFrame; maps become dicts."""
        return self.query(sql, params).to_pandas(maps_as_pydicts="lossy")

    def between(self, since: Any = None, until: Any = None, *, tz: str = "UTC") -> Observations:
        """Spans that start in [since, until); times, ISO text or an age such as ``7d``. Scores go with their trace."""
        lo, hi = _instant(since, tz), _instant(until, tz)
        if lo and hi and lo >= hi:
            raise UsageError(f"since={since!r} is not before until={until!r}; swap them")
        old = self._filter
        lo = max(filter(None, (lo, old.since)), default=None)
        hi = min(filter(None, (hi, old.until)), default=None)
        return self._narrowed(replace(old, since=lo, until=hi))

    def where(self, **values: Any) -> Observations:
        """Spans with these values: a canonical column, or a metadata key (then the whole trace). A list means any of them, None null."""
        for name in values:
            if name not in SPANS and name not in self._snapshot.extra.get("spans", {}) and not self._has_key(name):
                raise UsageError(
                    f"where: {name!r} is neither a column nor a metadata key; choose one of: {', '.join(self._names())}"
                )
        more = tuple((k, tuple(v) if isinstance(v, (list, tuple, set)) else (v,)) for k, v in values.items())
        return self._narrowed(replace(self._filter, values=self._filter.values + more))

    def _narrowed(self, filter: Filter) -> Observations:
        return Observations(self._snapshot, memory=self._memory, threads=self._threads, filter=filter)

    def _has_key(self, name: str) -> bool:
        found = self._con.sql(
            f"SELECT 1 FROM {self._snapshot.relation('spans')} WHERE map_contains(metadata, {literal(name)}) LIMIT 1"
        )
        return bool(found.fetchall())

    def _names(self) -> list[str]:
        return list(self.dimensions()["name"])[:25]

    def _view(self, name: str) -> str:
        base = f"SELECT * FROM {self._snapshot.relation(name)}"
        condition = self._span_condition()
        if name == "spans":
            return f"{base} WHERE {condition}" if condition else base
        if condition and name == "source_totals":
            return f"{base} WHERE {self._comparable()}"
        if not condition or name not in OF_TRACES:
            return base
        dated = self._window("created_at") if "created_at" in TABLES[name] else ""
        if not self._snapshot.files.get("spans"):
            return f"{base} WHERE {dated}" if dated else base
        inside = f"trace_id IN (SELECT trace_id FROM {self._snapshot.relation('spans')} WHERE {condition})"
        return f"{base} WHERE {inside} OR (trace_id IS NULL AND {dated})" if dated else f"{base} WHERE {inside}"

    def _comparable(self) -> str:
        """SQL for the counts of a source that can be compared with what is let through: of spans, on whole days."""
        since, until = (f"TIMESTAMPTZ {literal(t.isoformat())}" if t else None for t in (self._filter.since, self._filter.until))
        parts = ["entity = 'spans'", "false" if self._filter.values else None]
        parts += [f"day >= {since}" if since else None, f"day + 1 <= {until}" if until else None]
        return " AND ".join(p for p in parts if p)

    def _window(self, column: str) -> str:
        parts = []
        if self._filter.since:
            parts.append(f"{column} >= TIMESTAMPTZ {literal(self._filter.since.isoformat())}")
        if self._filter.until:
            parts.append(f"{column} < TIMESTAMPTZ {literal(self._filter.until.isoformat())}")
        return " AND ".join(parts)

    def _span_condition(self) -> str:
        parts = [self._window("start_time")] if self._window("start_time") else []
        # The partition column prunes files; a span's day is that of its first seen start, hence the day of grace.
        if self._filter.since:
            parts.append(f"day >= DATE {literal(self._filter.since.date().isoformat())} - 1")
        if self._filter.until:
            parts.append(f"day <= DATE {literal(self._filter.until.date().isoformat())} + 1")
        parts += [self._value_condition(name, values) for name, values in self._filter.values]
        return " AND ".join(parts)

    def _value_condition(self, name: str, values: tuple) -> str:
        column = name in SPANS or name in self._snapshot.extra.get("spans", {})
        value = quote(name) if column else f"metadata[{literal(name)}]"
        known = [literal(str(v)) for v in values if v is not None]
        some = [f"{value}::VARCHAR IN ({', '.join(known)})"] if known else []
        some += [f"{value} IS NULL"] if None in values else []
        condition = f"({' OR '.join(some)})"
        if column or None in values:
            return condition
        return f"trace_id IN (SELECT trace_id FROM {self._snapshot.relation('spans')} WHERE {condition})"

    @cached_property
    def window(self) -> tuple[datetime, datetime] | None:
        """First start and last end of the spans (of the scores where there is no span); None when empty."""
        for sql in (
            "SELECT min(start_time), max(coalesce(end_time, start_time)) FROM spans",
            "SELECT min(created_at), max(created_at) FROM scores",
        ):
            found = self.query(sql)
            first, last = found.column(0)[0].as_py(), found.column(1)[0].as_py()
            if first is not None:
                return first, max(first, last)
        return None

    def spans(self, *, columns: Sequence[str] | None = None, texts: bool = False, limit: int | None = None) -> pd.DataFrame:
        """One row per span, oldest first. ``texts`` adds input, output and system_prompt; ``columns`` picks some."""
        extra = self._snapshot.extra.get("spans", {})
        names = self._picked(columns, [*SPANS.names, *extra, *TEXTS]) or [n for n in (*SPANS.names, *extra) if n != "own"]
        wanted = [n for n in names if n not in TEXTS]
        with_texts = [n for n in TEXTS if texts or n in names]
        select = ", ".join([*(f"s.{quote(n)}" for n in wanted), *(f"p.{n}" for n in with_texts)])
        join = f" LEFT JOIN payloads p USING ({_TRACE}, span_id)" if with_texts else ""
        return self.sql(f"SELECT {select} FROM spans s{join} ORDER BY s.start_time, s.trace_id, s.span_id{_limit(limit)}")

    def scores(self, *, columns: Sequence[str] | None = None, limit: int | None = None) -> pd.DataFrame:
        """One row per judgement, oldest first."""
        known = [*TABLES["scores"].names, *self._snapshot.extra.get("scores", {})]
        names = self._picked(columns, known) or known
        return self.sql(f"SELECT {', '.join(quote(n) for n in names)} FROM scores ORDER BY created_at, score_id{_limit(limit)}")

    def traces(self, *, texts: bool = False, limit: int | None = None) -> pd.DataFrame:
        """One row per trace, oldest first: when, how long, for whom, how many spans, calls and errors, tokens and cost.

        ``latency_ms`` is the root's, else from first start to last end. ``texts`` adds the root's input and output.
        """
        one = ", ".join(f"any_value({quote(c)}) AS {quote(c)}" for c in _ONE_PER_TRACE)
        text = ", p.input, p.output" if texts else ""
        join = (
            " LEFT JOIN payloads p ON p.source = t.source AND p.project = t.project AND p.trace_id = t.trace_id AND p.span_id = t.root_id"
            if texts
            else ""
        )
        return self.sql(f"""WITH t AS (
            SELECT {_TRACE}, any_value(span_id) FILTER (WHERE is_root) AS root_id, min(start_time) AS start_time,
              max(coalesce(end_time, start_time)) AS end_time,
              coalesce(any_value(latency_ms) FILTER (WHERE is_root), (epoch_us(max(coalesce(end_time, start_time))) - epoch_us(min(start_time))) / 1000.0) AS latency_ms,
              count(*) AS spans, count(*) FILTER (WHERE kind = 'llm') AS llm_calls, count(*) FILTER (WHERE status = 'error') AS errors,
              CASE WHEN bool_or(status = 'error') THEN 'error' ELSE 'ok' END AS status, {one},
              list_sort(list(DISTINCT coalesce(model, model_requested)) FILTER (WHERE coalesce(model, model_requested) IS NOT NULL)) AS models,
              sum(tokens_in)::BIGINT AS tokens_in, sum(tokens_out)::BIGINT AS tokens_out, sum(cost_usd) AS cost_usd
            FROM spans GROUP BY {_TRACE})
            SELECT t.* EXCLUDE (root_id){text} FROM t{join} ORDER BY t.start_time, t.trace_id{_limit(limit)}""")

    def _picked(self, columns: Sequence[str] | None, known: Sequence[str]) -> list[str]:
        for name in columns or ():
            if name not in known:
                raise UsageError(f"columns: {name!r} is not known; choose from: {', '.join(known)}")
        return list(columns or ())

    def dimensions(self) -> pd.DataFrame:
        """One row per thing to slice by: name, kind (column, metadata, tag), values, coverage_rate, top values."""
        return find_dimensions(self.query, extra=self._snapshot.extra.get("spans", {}))

    @cached_property
    def _status(self) -> dict:
        return describe(self.query, self.window, log=Store(self.store).head().get("log", []))

    def status(self) -> dict:
        """What is in there, how complete, what is wrong with it; the shape of ``llmobs status --json``."""
        return self._status

    def erase(self, *, trace_id: str | None = None, user_id: str | None = None, tenant_id: str | None = None) -> dict[str, int]:
        """Remove every row of a trace, user or tenant from the files, old versions included; rows removed per table.

        Handles opened before must be opened again.
        """
        where = {k: v for k, v in {"trace_id": trace_id, "user_id": user_id, "tenant_id": tenant_id}.items() if v is not None}
        if not where:
            raise UsageError("erase: nothing named; give trace_id, user_id or tenant_id")
        return Store(self.store).erase(where)

    def __repr__(self) -> str:
        counts = {n: len_of(self, n) for n in ("spans", "scores")}
        window = self.window
        span = f"{window[0]:%Y-%m-%d %H:%M} to {window[1]:%Y-%m-%d %H:%M} UTC" if window else "empty"
        return f"<Observations {self.store}: {counts['spans']:,} spans, {counts['scores']:,} scores, {span}>"

    def _repr_html_(self) -> str:
        from .status import to_html

        return to_html(self.status(), self.store)


def len_of(obs: Observations, table: str) -> int:
    """Rows of one table in a handle."""
    return obs.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py()


def _limit(limit: int | None) -> str:
    if limit is None:
        return ""
    if limit < 0:
        raise UsageError(f"limit={limit!r} is negative; give a count of rows, or None for all")
    return f" LIMIT {int(limit)}"


def _instant(value: Any, tz: str) -> datetime | None:
    return None if value is None else windows.parse_since(value, tz=tz)


def open_store(store: str | os.PathLike | None = None, *, memory: str = "2GB", threads: int | None = None) -> Observations:
    """Open a store as a handle pinned to its newest version. ``store`` defaults to $LLMOBS_STORE, then ``.llmobs``."""
    return Observations(Store(default_store(store)).snapshot(), memory=memory, threads=threads)


def default_store(store: str | os.PathLike | None = None) -> str:
    """The store to use when none is named."""
    return os.fspath(store) if store is not None else os.environ.get("LLMOBS_STORE") or ".llmobs"


def load(
    data: Any = (),
    *,
    scores: Any = None,
    series: Any = None,
    changes: Any = None,
    mapping: Any = None,
    store: str | os.PathLike | None = None,
    format: str = "auto",
    prices: Any = None,
    memory: str = "2GB",
    threads: int | None = None,
) -> Observations:
    """Files, folders, globs or DataFrames as a handle. Without ``store`` it lives as long as the handle's process.

    ``data`` is one or more paths, or a DataFrame of spans (of the mapping's table, where a mapping names one); ``scores``,
    ``series`` and ``changes`` are DataFrames or paths beside it. ``mapping`` is a dict such as ``{"trace_id": "req",
    "latency_ms": {"path": "took", "unit": "s"}}`` or a YAML file. Raises InputError when nothing can be kept.
    """
    from .ingest.run import ingest
    from .sources.mapping import read_mapping

    told = read_mapping(mapping) if mapping is not None else None
    paths: list[str] = []
    frames: list[tuple[str, Any]] = []
    for table, value in ((told.table if told else "spans", data), ("scores", scores), ("series", series), ("changes", changes)):
        if value is None:
            continue
        if hasattr(value, "columns") and not isinstance(value, (str, os.PathLike)):
            frames.append((table, value))
        elif isinstance(value, (str, os.PathLike)):
            paths.append(os.fspath(value))
        else:
            paths += [os.fspath(v) for v in value]
    root = os.fspath(store) if store is not None else _temporary()
    ingest(paths, Store(root), frames=frames, mapping=told, format=format, prices=prices, threads=threads)
    return open_store(root, memory=memory, threads=threads)


def demo(*, memory: str = "2GB") -> Observations:
    """The demo data that ships with the package, as a handle."""
    from .demodata import data_folder

    return load(data_folder(), memory=memory)


def _temporary() -> str:
    import atexit

    root = tempfile.mkdtemp(prefix="llmobs-")
    atexit.register(shutil.rmtree, root, True)
    return root


__all__ = ["Observations", "default_store", "demo", "load", "open_store"]
