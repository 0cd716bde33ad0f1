"""Where bytes come from: paths, globs, folders and archives become inputs; what an input's layout is."""

from __future__ import annotations

import glob
import gzip
import io
import os
import shutil
import struct
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

from ..errors import InputError
from .base import Input
from .langfuse import manifests

SKIPPED_FOLDERS = {"_delta_log", "__pycache__", "__MACOSX", ".git", ".llmobs", "node_modules"}
SKIPPED_ENDINGS = (".crc", ".lock", ".md", ".txt", ".py", ".ipynb", ".html", ".png")
SKIPPED_NAMES = ("license", "readme", "truth.json", "_success")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip"}


def expand(paths: Sequence[str | os.PathLike], *, note: Callable[[str], None] = lambda text: None) -> list[Input]:
    """Every input behind files, globs and folders, each once, sorted by name within what was named.

    A folder gives its files, subfolders included, but for hidden ones and prose; where manifests of a Langfuse blob export
    stand in it, of that export only the files they list. A zip gives its members. ``note`` is told what was left out.
    Raises InputError for a path that does not exist or cannot be read, and when nothing is left.
    """
    found: dict[str, Input] = {}
    for path in paths:
        for file in _files(os.fspath(path), note):
            for item in _inputs_of(file, named=file == os.fspath(path)):
                item.named = item.name == os.fspath(path)
                found.setdefault(item.name, item)
    if not found:
        named = ", ".join(os.fspath(p) for p in paths) or "nothing"
        raise InputError(f"no file to read in {named}; name a file, a glob or a folder that holds exports")
    return list(found.values())


def _files(path: str, note: Callable[[str], None]) -> list[str]:
    if os.path.isdir(path):
        return manifests.committed([os.path.join(path, name) for name in sorted(_walk(path))], note)
    if os.path.exists(path):
        return manifests.of_manifest(path, note) if manifests.is_manifest_path(path) else [path]
    matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not matches:
        raise InputError(f"path {path!r} does not exist; name a file, a glob or a folder that holds exports")
    return manifests.committed([f for m in matches for f in (_files(m, note) if os.path.isdir(m) else [m])], note)


def _walk(folder: str) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("."))
        for name in names:
            if not _skipped(name):
                yield os.path.relpath(os.path.join(root, name), folder)


def _skipped(name: str) -> bool:
    """Whether a file's name says that it holds no records."""
    low = name.lower()
    return low.startswith((".", *SKIPPED_NAMES)) or low.endswith(SKIPPED_ENDINGS)


def _inputs_of(path: str, *, named: bool) -> Iterator[Input]:
    """A file's inputs; one that cannot be opened, and was only found on the way, says so when it is read."""
    try:
        yield from _inputs(path)
    except InputError as error:
        if named:
            raise
        yield Input(name=path, path=path, open=partial(_refuse, str(error)))


def _refuse(message: str) -> BinaryIO:
    raise InputError(message)


def _inputs(path: str) -> Iterator[Input]:
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path!r} is no regular file; write its content to a file first")
    try:
        with open(path, "rb") as stream:
            magic = stream.read(4)
        size = os.path.getsize(path)
    except OSError as error:
        raise InputError(f"file {path!r} cannot be read: {error.strerror or error}; check the path and its permissions") from None
    packing = _MAGIC.get(magic[:2]) or _MAGIC.get(magic)
    if packing == "zip":
        yield from _members(path)
        return
    yield Input(name=path, path=path, open=lambda: _unpack(open(path, "rb"), packing), plain=packing is None, size=size)  # noqa: SIM115


def _members(path: str) -> Iterator[Input]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise InputError(f"archive {path!r} cannot be read: {error}; write it again or name its files one by one") from None
    for member in sorted(members, key=lambda m: m.filename):
        folders, name = os.path.split(member.filename)
        if _skipped(name) or not SKIPPED_FOLDERS.isdisjoint(folders.split("/")):
            continue
        opener = _member_opener(path, member.filename)
        yield Input(name=f"{path}!{member.filename}", path=path, open=opener, size=member.file_size)


def _member_opener(path: str, member: str):
    def opened() -> BinaryIO:
        with zipfile.ZipFile(path) as archive:
            raw = archive.open(member)
        buffered = io.BufferedReader(raw)
        magic = buffered.peek(4)[:4]
        return _unpack(buffered, _MAGIC.get(magic[:2]) or _MAGIC.get(magic))

    return opened


def _unpack(stream: BinaryIO, packing: str | None) -> BinaryIO:
    if packing == "gzip":
        return _Unzipped(stream)
    if packing == "zstd":
        import pyarrow as pa

        return io.BufferedReader(_Readable(pa.CompressedInputStream(stream, "zstd"), stream), 1 << 16)
    return stream


def unpacked(item: Input) -> None:
    """Give a packed input a plain file, for readers that must seek; it is gone with the input."""
    handle, path = tempfile.mkstemp(prefix="llmobs-")
    weakref.finalize(item, os.unlink, path)
    with item.open() as stream, open(handle, "wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    item.path, item.plain, item.size = path, True, os.path.getsize(path)


class _Unzipped(gzip.GzipFile):
    """A gzip stream that closes the file it reads."""

    def __init__(self, inner: BinaryIO):
        self._inner = inner
        super().__init__(fileobj=inner)

    def close(self) -> None:
        super().close()
        self._inner.close()


class _Readable(io.RawIOBase):
    """An Arrow input stream as a raw Python one."""

    def __init__(self, inner, beneath: BinaryIO):
        self._inner, self._beneath = inner, beneath

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._beneath.close()
        super().close()
