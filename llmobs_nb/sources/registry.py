"""Every file format there is, and which of them an input is."""

from __future__ import annotations

import importlib
from functools import cache

from ..errors import InputError, choose
from . import jsonstream, tabular
from .base import Format, Head, Input
from .files import unpacked

# Most telling first: a format earlier in the list wins where two recognise the same input.
VENDORS = ("canonical", "langfuse", "langsmith", "otel", "phoenix", "mlflow", "litellm", "helicone", "logs", "tables")


@cache
def formats() -> dict[str, Format]:
    """Every format by name, in the order in which they are tried."""
    found = {}
    for vendor in VENDORS:
        module = importlib.import_module(f".{vendor}.export", __package__)
        found.update({f.name: f for f in module.FORMATS})
    return found


def names() -> list[str]:
    """What ``--format`` takes: ``auto``, a vendor, or one of a vendor's formats."""
    return ["auto", *VENDORS, *formats()]


def head_of(item: Input) -> Head:
    """What can be told of an input from its beginning; raises InputError where it cannot be opened."""
    try:
        start = _beginning(item)
        layout = jsonstream.layout_of(start)
        if layout == "parquet" and not item.plain:
            unpacked(item)
    except jsonstream.DAMAGE as error:
        raise InputError(f"file {item.name!r} cannot be read: {tabular.first_line(error)}; export it again") from None
    if layout == "parquet":
        return Head(item.name, start[:4], layout, [], tabular.parquet_columns(item))
    if layout == "csv":
        return Head(item.name, start, layout, [], tabular.csv_header(start))
    if layout == "empty":
        return Head(item.name, start, layout, [])
    with item.open() as stream:
        return Head(item.name, start, layout, jsonstream.sample(stream, layout))


def _beginning(item: Input) -> bytes:
    """The first bytes; of a damaged file those before the damage. Raises what the damage raises where there are none."""
    start = b""
    with item.open() as stream:
        read = getattr(stream, "read1", stream.read)
        try:
            while len(start) < jsonstream.HEAD_BYTES and (chunk := read(jsonstream.HEAD_BYTES - len(start))):
                start += chunk
        except jsonstream.DAMAGE:
            if not start:
                raise
    return start


def recognise(item: Input, head: Head, wanted: str = "auto") -> Format:
    """The format of an input. ``wanted`` is ``auto``, a vendor or a format's name; raises InputError when none fits."""
    choose("format", wanted, names(), InputError)
    if wanted in formats():
        return formats()[wanted]
    candidates = [f for f in formats().values() if wanted in ("auto", f.name.split(".")[0])]
    for candidate in candidates:
        if candidate.sniff(head):
            return candidate
    if wanted != "auto":
        return max(candidates, key=lambda f: len(f.shapes))
    raise InputError(
        f"file {item.name!r} has a format that is not known ({_seen(head)}); name it with --format, one of: {', '.join(names())}"
    )


def _seen(head: Head) -> str:
    keys = head.header or list(head.first)
    if keys:
        return f"{head.layout}, first record has {', '.join(' '.join(str(k).split())[:30] for k in keys[:6])}"
    return "empty" if head.layout == "empty" else "no JSON, CSV or Parquet"
