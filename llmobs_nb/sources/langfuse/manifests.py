"""A Langfuse blob export on disk: its manifests say which files are committed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable

from ..base import Head


def is_manifest_path(path: str) -> bool:
    """Whether a file stands where a blob export keeps its manifests."""
    folder, name = os.path.split(path)
    return os.path.basename(folder) == "manifests" and name.endswith(".json")


def is_manifest(head: Head) -> bool:
    """Whether an input is a manifest by its content."""
    files = head.first.get("files")
    listed = isinstance(files, list) and all(isinstance(f, dict) and "key" in f for f in files)
    return listed and bool({"window", "exportSource", "maxTimestamp"} & head.first.keys())


def committed(paths: Iterable[str], note: Callable[[str], None]) -> list[str]:
    """The files to read of a folder's ``paths``: where manifests stand, only those they list and that are there.

    Files of an export that no manifest lists belong to a window that was not finished; they are left out, listed ones that
    are not there are missed, and ``note`` is told of both. An export of which no listed file is found is read whole.
    """
    paths = list(paths)
    roots: dict[str, list[str]] = {}
    for path in paths:
        if is_manifest_path(path):
            roots.setdefault(os.path.dirname(os.path.dirname(path)), []).append(path)
    data = [p for p in paths if not is_manifest_path(p)]
    for root in sorted(roots, key=len):
        inside = [p for p in data if _under(p, root)]
        kept = _of_export(root, roots[root], inside, note)
        data = [p for p in data if not _under(p, root)] + kept
    return list(dict.fromkeys(data))


def of_manifest(path: str, note: Callable[[str], None]) -> list[str]:
    """The files that one manifest lists and that are there."""
    root = os.path.dirname(os.path.dirname(path))
    found, missing = _found(root, _listed([path], note))
    _tell_missing(root, missing, note)
    return found


def _under(path: str, root: str) -> bool:
    return os.path.normpath(path).startswith(os.path.normpath(root) + os.sep)


def _of_export(root: str, manifests: list[str], inside: list[str], note: Callable[[str], None]) -> list[str]:
    found, missing = _found(root, _listed(manifests, note))
    if not found:
        note(f"blob export {root!r}: none of the files that its manifests list is there; every file is read")
        return inside
    _tell_missing(root, missing, note)
    kept = {os.path.normpath(p) for p in found}
    left = [p for p in inside if os.path.normpath(p) not in kept]
    if left:
        named = ", ".join(os.path.relpath(p, root) for p in left[:3])
        note(f"blob export {root!r}: {_files(len(left))} in no manifest, left out ({named}); name a file itself to read it")
    return found


def _tell_missing(root: str, missing: list[str], note: Callable[[str], None]) -> None:
    if missing:
        named = ", ".join(missing[:3])
        note(f"blob export {root!r}: {_files(len(missing))} listed in a manifest but not there ({named}); download again")


def _files(n: int) -> str:
    return "1 file is" if n == 1 else f"{n:,} files are"


def _listed(manifests: list[str], note: Callable[[str], None]) -> list[str]:
    """The object keys of some manifests, each once; one that cannot be read is told."""
    keys: dict[str, None] = {}
    for manifest in sorted(manifests):
        try:
            with open(manifest, encoding="utf-8") as stream:
                found = [str(f["key"]) for f in json.load(stream)["files"]]
        except (OSError, ValueError, KeyError, TypeError):
            note(f"manifest {manifest!r} cannot be read; the files it lists may be left out: download it again")
            continue
        keys.update(dict.fromkeys(found))
    return list(keys)


def _found(root: str, keys: list[str]) -> tuple[list[str], list[str]]:
    """Local files of object keys, and the keys that have none."""
    where = {key: _locate(root, key) for key in keys}
    return list(dict.fromkeys(p for p in where.values() if p)), [k for k, p in where.items() if not p]


def _locate(root: str, key: str) -> str | None:
    """The local file of an object key: the download may have kept all, some or none of the key's folders."""
    parts = key.split("/")
    for at in range(len(parts)):
        path = os.path.normpath(os.path.join(root, *parts[at:]))
        if _under(path, root) and os.path.isfile(path):
            return path
    return None
