"""JSON values out of a byte stream, whatever the layout, one at a time, with memory for one value.

Layouts: one value a line; pretty-printed or concatenated values; one array; one object that wraps an array
(``{"data": [...], "meta": …}``). A value that cannot be read is given as :class:`Bad` with its text, and reading goes on
at the next one.
"""

from __future__ import annotations

import json
import lzma
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from .base import Bad

WRAPPERS = (
    "data", "items", "runs", "traces", "observations", "scores", "spans", "events", "requests", "feedback",
    "resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "post", "patch", "logs", "results",
)  # fmt: skip
# A value with one of these is a record itself, whatever lists it holds (a console span has "events").
RECORD_KEYS = frozenset(
    (
        "id",
        "trace",
        "traceId",
        "trace_id",
        "info",
        "trace_info",
        "version",
        "context",
        "context.span_id",
        "span_id",
        "span_kind",
        "request_id",
        "call_id",
    )
)
_RECORD_KEYS = frozenset(k.encode() for k in RECORD_KEYS)
MAX_VALUE = 256 << 20
HEAD_BYTES = 1 << 20
RAW_KEPT = 1 << 20
MAX_DEPTH = 500
CHUNK_BYTES = 1 << 20
_TOKEN = re.compile(rb'"(?:[^"\\\n]++|\\[^\n])*+"|["{}\[\]\n]')
_INSIDE = re.compile(rb'(?:[^"\\\n]++|\\[^\n])*+')
_BETWEEN = b" \t\r\n,[]\xef\xbb\xbf"
# What a damaged file or archive raises while it is read.
DAMAGE = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def values(stream: BinaryIO, layout: str) -> Iterator[tuple[int, Any] | Bad]:
    """Every JSON value of the stream as ``(line, value)``, wrapped and listed ones one by one; Bad for what is none."""
    reader = _lines(stream) if layout == "lines" else _pieces(stream)
    for item in reader:
        if isinstance(item, Bad):
            yield item
            continue
        line, raw = item
        value = parse(raw)
        if isinstance(value, Bad):
            yield Bad(line, value.reason, value.raw)
        else:
            for inner in unwrapped(value):
                yield line, inner


def unwrapped(value: Any) -> Iterator[Any]:
    """The elements of a list or of an object that only wraps lists; else the value itself."""
    if isinstance(value, dict) and wrapper_of(value) is not None:
        value = [inner for key in WRAPPERS if isinstance(value.get(key), list) for inner in value[key]]
    if isinstance(value, list):
        yield from value
    else:
        yield value


def wrapper_of(value: dict) -> str | None:
    """The key under which an object merely wraps a list of records; None where it is a record itself."""
    if not RECORD_KEYS.isdisjoint(value):
        return None
    return next((k for k in WRAPPERS if isinstance(value.get(k), list)), None)


def parse(raw: bytes) -> Any:
    """One JSON value; Bad when it is none, or nested too deep to be worked on.

    NaN and infinities read as null, lone surrogates as U+FFFD, numbers that overflow a double as their text; integers of
    any size stay exact.
    """
    reason = ""
    if b"0" * 20 not in raw.translate(_DIGITS):
        try:
            return _shallow(orjson.loads(raw), raw)
        except orjson.JSONDecodeError as error:
            reason = str(error)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Bad(0, f"not UTF-8: {error.reason} at byte {error.start}", raw_text(raw))
    try:
        return _shallow(_mended(json.loads(text, strict=False, parse_constant=lambda _: None, parse_float=_float)), raw)
    except (ValueError, RecursionError) as error:
        return Bad(0, f"not JSON: {reason or error}", raw_text(raw))


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _shallow(value: Any, raw: bytes) -> Any:
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return value
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for v in level if isinstance(v, (dict, list)) for inner in (v.values() if isinstance(v, dict) else v)]
        if not level:
            return value
    return Bad(0, f"nested more than {MAX_DEPTH} deep", raw_text(raw))


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(v) for v in value]
    if isinstance(value, dict):
        return {_mended(k): _mended(v) for k, v in value.items()}
    return value


def raw_text(raw: bytes) -> str:
    """Bytes as text that can be stored: what is not UTF-8 is escaped, what is beyond a megabyte is counted."""
    text = raw[:RAW_KEPT].decode("utf-8", "backslashreplace")
    return text if len(raw) <= RAW_KEPT else f"{text} … ({len(raw) - RAW_KEPT} more bytes, see the file)"


def layout_of(start: bytes) -> str:
    """``parquet``, ``lines``, ``pieces`` (array, wrapper, pretty-printed or concatenated), ``csv`` or ``empty``.

    ``start`` is the whole input, or its first ``HEAD_BYTES``.
    """
    if start.startswith(b"PAR1"):
        return "parquet"
    body = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not body:
        return "empty"
    if body[:1] == b"[":
        return "pieces"
    if body[:1] != b"{":
        return "lines" if _later_line_is_object(body) else "csv"
    first, newline, _ = body.partition(b"\n")
    if isinstance(parse(first), dict):
        return "lines" if wrapper_of(parse(first)) is None or newline else "pieces"
    if not newline:
        return "pieces" if _head_wrapper(body) or len(start) < HEAD_BYTES else "lines"
    return "lines" if _later_line_is_object(body) and first.rstrip()[-1:] != b"{" else "pieces"


def _head_wrapper(body: bytes) -> bool:
    keys = "|".join(WRAPPERS).encode()
    return re.match(rb'\{\s*"(?:' + keys + rb')"\s*:\s*\[', body) is not None


def _later_line_is_object(body: bytes) -> bool:
    return any(isinstance(parse(line), dict) for line in body.split(b"\n")[1:6] if line[:1] == b"{")


def _chunks(stream: BinaryIO) -> Iterator[bytes | Exception]:
    """Megabytes of a stream; where it is damaged, what stands before and then the error."""
    read = getattr(stream, "read1", stream.read)  # read() would lose what stands before the damage
    while True:
        parts: list[bytes] = []
        try:
            while sum(map(len, parts)) < CHUNK_BYTES and (part := read(CHUNK_BYTES)):
                parts.append(part)
        except DAMAGE as error:
            yield b"".join(parts)
            yield error
            return
        if not parts:
            return
        yield b"".join(parts)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes] | Bad]:
    number, left, damage = 1, [b""], ""
    for chunk in _chunks(stream):
        if isinstance(chunk, Exception):
            damage = f"the stream is damaged from here: {chunk}"
            break
        first, *more = chunk.split(b"\n")
        left.append(first)
        if sum(map(len, left)) > MAX_VALUE:
            yield Bad(number, f"longer than {MAX_VALUE >> 20} MB", raw_text(b"".join(left)))
            left = [b""]
        for line in more:
            yield from _line(number, b"".join(left))
            number, left = number + 1, [line]
    last = b"".join(left)
    if damage and not isinstance(parse(last), dict):
        yield Bad(number, damage, raw_text(last))
        return
    yield from _line(number, last)
    if damage:
        yield Bad(number + 1, damage, "")


def _line(number: int, line: bytes) -> Iterator[tuple[int, bytes]]:
    line = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
    if line:
        yield number, line


def _pieces(stream: BinaryIO) -> Iterator[tuple[int, bytes] | Bad]:
    """Raw objects at the outermost level that holds records: elements of the array or wrapper, or the values themselves."""
    splitter = _Splitter()
    for chunk in _chunks(stream):
        if isinstance(chunk, Exception):
            yield from splitter.rest(f"the stream is damaged from here: {chunk}", damaged=True)
            return
        yield from splitter.feed(chunk)
    yield from splitter.rest("not JSON: the value is cut off")


class _Splitter:
    """Cuts a stream into JSON objects by their braces; keeps the bytes of the unfinished one only.

    ``base`` is the depth at which records open: 0 for values side by side, 1 inside an array, 2 inside the array of a
    wrapper object, -1 in the rest of a wrapper, where nothing is a record.
    """

    def __init__(self):
        self.buffer = b""
        self.at = 0
        self.line = 1
        self.depth = 0
        self.base = 0
        self.begin: tuple[int, int] | None = None
        self.gap = 0
        self.keys: list[bytes] = []
        self.string: int | None = None

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes] | Bad]:
        self.buffer += chunk
        while self._outside() and (match := _TOKEN.search(self.buffer, self.at)) is not None:
            self.at = match.end()
            token = self.buffer[match.start() : match.start() + 1]
            if token == b"\n":
                self.line += 1
            elif token == b'"':
                self._quoted(*match.span())
            elif token in b"{[":
                yield from self._open(token, match)
            elif self.depth > 0:
                yield from self._close(match)
        yield from self._trim()

    def _quoted(self, start: int, end: int) -> None:
        """Note a string, whole or only begun: those at the outermost level may be keys."""
        if end - start == 1:
            self.string = start
        elif self.depth == 1 and end - start < 40:
            self.keys.append(self.buffer[start + 1 : end - 1])

    def _outside(self) -> bool:
        """Whether no string is open: one that is goes on to its quote, or to the end of its line; else to the next chunk."""
        if self.string is None:
            return True
        self.at = _INSIDE.match(self.buffer, self.at).end()
        ahead = self.buffer[self.at : self.at + 2]
        if ahead in (b"", b"\\"):
            return False
        start, self.string = self.string, None
        if ahead[:1] != b"\n":
            self.at += 1
        if ahead[:1] == b'"':
            self._quoted(start, self.at)
        return True

    def _open(self, token: bytes, match) -> Iterator[Bad]:
        if token == b"[" and self.depth == 0:
            self.base = 1
        elif token == b"[" and self.depth == 1 and self._wraps():
            self.base, self.begin, self.gap = 2, None, match.end()
        elif token == b"{" and self.depth == self.base and self.begin is None:
            yield from self._stray(match.start())
            self.begin = (match.start(), self.line)
        self.depth += 1

    def _wraps(self) -> bool:
        """Whether the array that opens is what the outermost object wraps."""
        whole = self.base == 0 and self.begin is not None
        record = _RECORD_KEYS.intersection(self.keys)
        return (
            (whole or self.base == -1) and not record and bool(self.keys) and self.keys[-1].decode("utf-8", "replace") in WRAPPERS
        )

    def _close(self, match) -> Iterator[tuple[int, bytes] | Bad]:
        end = match.end()
        self.depth -= 1
        if self.begin is None and self.base > 0 and self.depth == self.base - 1:
            yield from self._stray(match.start())
        if self.begin is not None and self.depth == self.base:
            start, line = self.begin
            self.begin, self.gap = None, end
            yield line, self.buffer[start:end]
        elif self.begin is None and self.base == self.depth > 0:
            yield Bad(self.line, "not a record but list", raw_text(self.buffer[self.gap : end].strip(b" \t\r\n,")))
        if self.base == 2 and self.depth == 1:
            self.base = -1
        if self.depth == 0:
            self.base, self.keys = 0, []
        if self.begin is None and self.depth <= max(self.base, 0):
            self.gap = end

    def _stray(self, start: int) -> Iterator[Bad]:
        stray = self.buffer[self.gap : start].strip(_BETWEEN)
        if stray and self.base >= 0:
            yield Bad(self.line, "not JSON: text between values", raw_text(stray))

    def _trim(self) -> Iterator[Bad]:
        keep = self.begin[0] if self.begin is not None else self.gap
        self.buffer = self.buffer[keep:]
        if len(self.buffer) > MAX_VALUE:
            yield Bad(self.line, f"longer than {MAX_VALUE >> 20} MB", raw_text(self.buffer))
            self.__init__()
            return
        self.at -= keep
        self.gap -= keep
        if self.string is not None:
            self.string -= keep
        if self.begin is not None:
            self.begin = (0, self.begin[1])
            self.gap = 0

    def rest(self, reason: str, *, damaged: bool = False) -> Iterator[Bad]:
        left = self.buffer[self.begin[0] if self.begin is not None else max(self.gap, 0) :].strip(_BETWEEN)
        if damaged or (left and self.base >= 0) or self.depth > 0:
            yield Bad(self.begin[1] if self.begin is not None else self.line, reason, raw_text(left))


def sample(stream: BinaryIO, layout: str, most: int = 5) -> list:
    """The first few values of a stream, for recognising it."""
    found = []
    for item in values(stream, layout):
        if not isinstance(item, Bad):
            found.append(item[1])
            if len(found) >= most:
                break
    return found
