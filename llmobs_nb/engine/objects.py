"""Objects of a store as files for DuckDB: an fsspec file system over Arrow's, so that no extension is needed."""

from __future__ import annotations

from typing import Any

from fsspec.implementations.arrow import ArrowFSWrapper


class Objects(ArrowFSWrapper):
    """Files named by whole URLs (``s3://bucket/key``). A name is never written
    twice, so what was found out about one stays true."""

    cachable = False
    protocol = ""

    def __init__(self, arrow: Any, scheme: str):
        super().__init__(arrow)
        self.protocol, self.known = scheme, {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.partition("://")[2] or path

    def unstrip_protocol(self, name: str) -> str:
        return name if "://" in name else f"{self.protocol}://{name}"

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> list[str]:
        """The path itself: names of ours hold no pattern."""
        return [path]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return self._make_entry(self._found(self._strip_protocol(path)))

    def modified(self, path: str):
        return self._found(self._strip_protocol(path)).mtime

    def _found(self, key: str):
        if key not in self.known:
            found = self.fs.get_file_info(key)
            self._make_entry(found)  # raises FileNotFoundError
            self.known[key] = found
        return self.known[key]
