"""Where a store lives: a local folder, or a prefix in an object store (``s3://bucket/prefix``, ``gs://``, ``az://``).

``Folder`` and ``Bucket`` do the same things; a path is what ``join`` gives, absolute or a whole URL. In an object store
nobody makes folders, and the lock is a ticket (lock.py). No credential is kept here: Arrow and Delta each read the usual
variables of the environment themselves, and what they complain of is told in our words, never in theirs.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ..errors import StoreError
from .lock import LOST_SECONDS, ticket_lock, writer_lock

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_URL = re.compile(r"(s3|gs|az)://([A-Za-z0-9._-]+)((?:/[^/\\%=?#@\0]+)*)/?")
# What a complaint of Arrow or Delta about an object store holds; then what each kind means, the first that fits.
_THEIRS = re.compile(r"AWS Error|Azure\w* Error|google::cloud|Generic (S3|GCS|MicrosoftAzure) error|Path does not exist '")
_NO_BUCKET = "there is no bucket {bucket!r}; make it, or correct --store"
_MEANING = (
    (r"NO_?SUCH_?BUCKET|ContainerNotFound|bucket does not exist", _NO_BUCKET),
    (r"Path does not exist", "an object of it is gone, as after an erasure; open the store again"),
    (r"169\.254\.169\.254|metadata\.google|no ?credentials", "there are no credentials; set {credentials}"),
    (
        r"ACCESS_?DENIED|ACCESS_?KEY|CLIENT_?TOKEN|SIGNATURE|EXPIRED|UNAUTHORIZED|FORBIDDEN|AUTHENTICATION|\b40[13]\b",
        "access is refused; check {credentials}, and what they allow",
    ),
    (r"PermanentRedirect|\b301\b", "its bucket is in another region; set AWS_REGION to that one"),
    (r"NETWORK|RESOLVE|SENDING REQUEST|TIMED ?OUT", "it cannot be reached; check the network, and AWS_ENDPOINT_URL if it is set"),
    (r"", "a request to it failed; run the same again"),
)


class Folder:
    """A store in a local folder."""

    options: dict[str, str] | None = None
    arrow = None

    def __init__(self, root: str):
        self.name, self.root = root, os.path.abspath(root)
        self.spill = self.join("_llmobs", "spill")

    def join(self, *names: str) -> str:
        return os.path.join(self.root, *names)

    def key(self, path: str) -> str:
        """The path as the ``arrow`` file system names it."""
        return path

    def make(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def names(self, folder: str) -> list[str]:
        """What is in a folder. One that is not there raises FileNotFoundError or NotADirectoryError, or is empty."""
        return os.listdir(folder)

    def size(self, path: str) -> int:
        return os.path.getsize(path)

    def remove(self, path: str) -> None:
        os.remove(path)

    def read(self, path: str) -> str:
        """The text of a small file. Raises FileNotFoundError or NotADirectoryError where there is none."""
        return Path(path).read_text(encoding="utf-8")

    def replace(self, path: str, text: str) -> None:
        """Write a small file in one step: a reader sees the old text or the new."""
        self.make(os.path.dirname(path))
        temporary = f"{path}.{uuid.uuid4().hex}"
        with open(temporary, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)

    def lock(self, *, wait_seconds: float) -> contextlib.AbstractContextManager[None]:
        """The one lock of writers."""
        return writer_lock(self.name, wait_seconds=wait_seconds)

    def check_lock(self) -> None:
        """Raises StoreError when the lock may have gone to another; the operating system never lets it."""

    def attach(self, con) -> None:
        """Let a DuckDB connection read and write here."""

    def refusal(self, error: BaseException) -> StoreError | None:
        """An object store's complaint in our words; None for every other error."""
        return None

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Errors that ``refusal`` knows leave as StoreError."""
        try:
            yield
        except Exception as error:
            if told := self.refusal(error):
                raise told from None
            raise


class Bucket(Folder):
    """A store under a prefix of an object store. Raises StoreError when the URL is none of ours."""

    def __init__(self, url: str):
        found = _URL.fullmatch(url)
        if not found or {".", ".."} & set(url.split("/")):
            raise StoreError(
                "the URL given as store cannot be one; give s3://, gs:// or az:// with a bucket and plain names after it"
                " (no login, no ?, #, %, = or backslash): credentials belong in the environment"
            )
        self.name = self.root = url.rstrip("/")
        self.scheme, self.bucket = found[1], found[2]
        self.spill = os.path.join(
            tempfile.gettempdir(), f"llmobs-{os.getpid()}-{uuid.uuid5(uuid.NAMESPACE_URL, self.root).hex[:8]}"
        )
        self.renewed: float | None = None
        if _endpoint().startswith("http://"):
            self.options = {"AWS_ALLOW_HTTP": "true"}

    @cached_property
    def arrow(self):
        from pyarrow import fs

        if self.scheme == "gs":
            return fs.GcsFileSystem()
        if self.scheme == "az":
            return fs.AzureFileSystem(os.environ.get("AZURE_STORAGE_ACCOUNT_NAME"), os.environ.get("AZURE_STORAGE_ACCOUNT_KEY"))
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return fs.S3FileSystem(endpoint_override=_endpoint() or None, region=region, connect_timeout=5)

    def join(self, *names: str) -> str:
        return "/".join((self.root, *names))

    def key(self, path: str) -> str:
        return path.partition("://")[2]

    def make(self, folder: str) -> None:
        pass

    def exists(self, path: str) -> bool:
        with self.telling():
            return self.arrow.get_file_info(self.key(path)).type.value > 0

    def names(self, folder: str) -> list[str]:
        return [path.rpartition("/")[2] for path in self.written(folder)]

    def size(self, path: str) -> int:
        with self.telling():
            return self.arrow.get_file_info(self.key(path)).size

    def remove(self, path: str) -> None:
        with self.telling():
            self.arrow.delete_file(self.key(path))

    def read(self, path: str) -> str:
        """As of a folder. Arrow asks for the size first: where an object was replaced in between, the bytes are no text of it."""
        while True:
            with self.telling(), self.arrow.open_input_file(self.key(path)) as file:
                data = file.read()
            if len(data) == self.size(path):
                return data.decode()

    def replace(self, path: str, text: str) -> None:
        self.check_lock()
        self.put(path, text)

    def put(self, path: str, text: str) -> None:
        """Write an object; in every object store that is one step."""
        with self.telling(), self.arrow.open_output_stream(self.key(path)) as stream:
            stream.write(text.encode())

    def written(self, folder: str) -> dict[str, int]:
        """When each object of a folder was written, in ns by the store's clock, by path."""
        from pyarrow.fs import FileSelector

        with self.telling():
            found = self.arrow.get_file_info(FileSelector(self.key(folder), allow_not_found=True))
        return {f"{self.scheme}://{f.path}": f.mtime_ns for f in found if f.is_file}

    def lock(self, *, wait_seconds: float) -> contextlib.AbstractContextManager[None]:
        return ticket_lock(self, wait_seconds=wait_seconds)

    def check_lock(self) -> None:
        if self.renewed is not None and time.time() - self.renewed > LOST_SECONDS:
            raise StoreError(
                f"store {self.name!r} may have another writer by now: the lock was not renewed in time; run the same again"
            )

    def attach(self, con) -> None:
        from ..engine.objects import Objects

        con.register_filesystem(Objects(self.arrow, self.scheme))

    def refusal(self, error: BaseException) -> StoreError | None:
        if isinstance(error, StoreError) or not _THEIRS.search(str(error)):
            return None
        words = next(words for pattern, words in _MEANING if re.search(pattern, str(error), re.IGNORECASE))
        if isinstance(error, FileNotFoundError):
            if self._has_bucket():
                return None
            words = _NO_BUCKET
        return StoreError(f"store {self.name!r}: {words.format(bucket=self.bucket, credentials=CREDENTIALS[self.scheme])}")

    def _has_bucket(self) -> bool:
        try:
            return self.arrow.get_file_info(self.bucket).type.value > 0
        except OSError:
            return True


def place_of(root: str | Folder) -> Folder:
    """The place that a text names; a Path has made one slash of two."""
    if isinstance(root, Folder):
        return root
    url = re.sub(r"^(s3|gs|az):/(?=[^/])", r"\1://", root)
    return Bucket(url) if "://" in url else Folder(root)


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
