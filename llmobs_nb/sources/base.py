"""What every file source speaks: an input to read, records and bad records to give, a format that recognises and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from ..columns import Column


class Record(NamedTuple):
    """One row of one canonical table, still in the source's words: ``shape`` picks the columns that read ``data``.

    ``data`` must be plain JSON (dict, list, str, int, float, bool, None). ``line`` is where it began, from 1.
    """

    shape: str
    line: int
    data: dict


class Bad(NamedTuple):
    """One piece of input that could not be read; ``raw`` is the text as it stood."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Shape:
    """One record shape of a source: the table it fills, the columns that read it, those that no row can be kept without."""

    table: str
    columns: Sequence[Column]
    required: Sequence[str] = ()


@dataclass
class Input:
    """One file or archive member to read. ``open()`` gives plain bytes whatever the compression.

    ``named``: the user gave this very file; others were found in a folder, a glob or an archive.
    """

    name: str
    path: str
    open: Callable[[], BinaryIO]
    plain: bool = False
    size: int = 0
    named: bool = False


@dataclass
class Head:
    """What a format may look at to recognise an input: its name, its first bytes, its first JSON values, its CSV header."""

    name: str
    start: bytes
    layout: str
    values: list
    header: list[str] = field(default_factory=list)

    @property
    def first(self) -> dict:
        """The first JSON object, or an empty dict."""
        return next((v for v in self.values if isinstance(v, dict)), {})

    def has(self, *keys: str) -> bool:
        """Whether the first object has all these keys."""
        return all(k in self.first for k in keys)


@dataclass(frozen=True)
class Format:
    """A file format of one source.

    ``name`` is what ``--format`` takes (``vendor.thing``); ``source`` goes to the ``source`` column; ``sniff`` looks at a
    :class:`Head`; ``read`` gives records and bad ones; ``shapes`` says how to read each shape. ``lines`` names the shape
    of inputs whose every JSON line (or Parquet row) is one record as it stands: those take the fast path, where the engine
    reads the file itself. ``lines_when`` narrows that to the heads for which it holds. ``widened`` may add columns that
    only the file's own header tells. ``notes`` says, in whole sentences, what a reader of the file must know.
    """

    name: str
    source: str
    about: str
    sniff: Callable[[Head], bool]
    read: Callable[[Input, Head], Iterator[Record | Bad]]
    shapes: Mapping[str, Shape]
    lines: str | None = None
    lines_when: Callable[[Head], bool] = lambda head: True
    widened: Callable[[Head, Shape], Shape] = lambda head, shape: shape
    notes: Callable[[Head], Sequence[str]] = lambda head: ()
