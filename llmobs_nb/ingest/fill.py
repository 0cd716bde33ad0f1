"""What is cheaper on Arrow than in SQL: canonical columns that metadata names, hashes of texts, one spelling of providers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ..prices.names import normalise

# Canonical column <- metadata keys that name it by themselves, the first that is there.
FROM_METADATA = {
    "feature": ("feature",),
    "tenant_id": ("tenant_id", "tenant"),
    "user_tier": ("user_tier", "tier"),
    "locale": ("locale",),
    "user_id": ("user_id",),
    "session_id": ("session_id",),
    "environment": ("environment",),
    "release": ("release",),
    "app_version": ("app_version",),
    "prompt_version": ("prompt_version",),
    "retrieval_index_version": ("retrieval_index_version", "index_version"),
}

_MODEL_PATH = r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/([^/]+)$"


def filled(rows: pa.Table) -> pa.Table:
    """Spans with everything below filled where the source gave nothing, and models without the path of their host."""
    return with_short_models(with_provider(with_hashes(from_metadata(rows))))


def from_metadata(rows: pa.Table) -> pa.Table:
    """Canonical columns taken from metadata keys of their name."""
    maps = rows["metadata"].combine_chunks()
    maps = maps.chunk(0) if isinstance(maps, pa.ChunkedArray) else maps
    there = set(pc.unique(maps.keys).to_pylist())
    for column, keys in FROM_METADATA.items():
        for key in keys:
            if key in there:
                told = pc.map_lookup(maps, key, "first")
                told = pc.if_else(pc.equal(told, ""), None, told)
                rows = _set(rows, column, pc.coalesce(rows[column], told))
    return rows


def with_hashes(rows: pa.Table) -> pa.Table:
    """Hashes of input and output: as logged, else XXH3 (128 bit) of the UTF-8 text."""
    for name in ("input", "output"):
        column = f"{name}_hash"
        if rows[column].null_count == rows.num_rows:
            rows = _set(rows, column, pa.array([text_hash(t) for t in _raw(rows[name])], pa.string()))
        elif rows[column].null_count:
            made = pa.array([text_hash(t) for t in _raw(rows[name])], pa.string())
            rows = _set(rows, column, pc.coalesce(rows[column], made))
    return rows


def text_hash(raw: bytes | None) -> str | None:
    """The hash of a text's bytes; None for none."""
    return None if raw is None else xxhash.xxh3_128_hexdigest(raw)


def _raw(column: pa.ChunkedArray) -> list[bytes | None]:
    return column.cast(pa.binary()).to_pylist()


def with_provider(rows: pa.Table) -> pa.Table:
    """The provider in one spelling, told from the model's name where the source gave none."""
    models = pc.coalesce(rows["model"], rows["model_requested"])
    pairs = pa.table({"p": rows["provider"], "m": models}).group_by(["p", "m"]).aggregate([]).to_pylist()
    known = {(r["p"], r["m"]): normalise(r["p"], r["m"]).provider or r["p"] for r in pairs}
    if all(p == named for (p, _), named in known.items()):
        return rows
    named = [known[key] for key in zip(rows["provider"].to_pylist(), models.to_pylist(), strict=True)]
    return _set(rows, "provider", pa.array(named, pa.string()))


def with_short_models(rows: pa.Table) -> pa.Table:
    """Models named by a path (``projects/…/publishers/google/models/gemini-2.5-flash``) by their own name.

    The path stays as what was asked for, where the source does not say that itself.
    """
    paths = pc.fill_null(pc.match_substring_regex(rows["model"], _MODEL_PATH), False)
    if not pc.any(paths).as_py():
        return rows
    asked = pc.coalesce(rows["model_requested"], pc.if_else(paths, rows["model"], None))
    short = pc.replace_substring_regex(rows["model"], _MODEL_PATH, r"\1")
    return _set(_set(rows, "model_requested", asked), "model", short)


def _set(rows: pa.Table, name: str, values) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)
