"""A user's own price table: dated rows from CSV, YAML or plain dicts, checked on the way in."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import InputError, UsageError, choose
from .names import Name, provider_name, short

PRICES = ("input_usd_per_mtok", "output_usd_per_mtok", "cache_read_usd_per_mtok", "cache_write_usd_per_mtok")
COLUMNS = ("provider", "model_pattern", "valid_from", "valid_to", *PRICES, "currency", "source")


@dataclass(frozen=True)
class Override:
    """One row of a user's table: USD per million tokens, valid on the days from ``valid_from`` to ``valid_to``, both included.

    ``provider`` null means any; ``model_pattern`` is a shell pattern (``gpt-4o*``) over the name as logged or as normalised.
    """

    model_pattern: str
    input: Decimal
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    provider: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    source: str | None = None

    def covers(self, name: Name, raw: str | None, day: date) -> bool:
        """Whether the row prices this model on this day."""
        if self.provider is not None and self.provider != name.provider:
            return False
        if (self.valid_from and day < self.valid_from) or (self.valid_to and day > self.valid_to):
            return False
        return any(fnmatchcase(m, self.model_pattern) for m in (name.model, (raw or "").strip().lower()) if m)


def read(overrides: str | Path | Iterable[Mapping] | None) -> list[Override]:
    """The rows of a user's table in file order: a path to .csv, .yaml or .yml, or mappings with the names in ``COLUMNS``."""
    if overrides is None:
        return []
    if not isinstance(overrides, str | Path):
        return [_row(row, f"price override {n}") for n, row in enumerate(overrides, 1)]
    path = Path(overrides)
    readers = {".csv": _csv, ".yaml": _yaml, ".yml": _yaml}
    reader = readers[choose("price file type", path.suffix.lower(), readers)]
    try:
        rows = reader(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"price file {str(path)!r} cannot be read ({error}); give a readable .csv or .yaml") from error
    return [_row(row, f"{path.name}, price row {n}") for n, row in enumerate(rows, 1)]


def digest(rows: Iterable[Override]) -> str:
    """Eight hex digits that change when any row of the table changes."""
    text = json.dumps([[str(v) for v in vars(row).values()] for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _csv(path: Path) -> list[dict]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _yaml(path: Path) -> list[dict]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"price file {str(path)!r} is not YAML ({str(error).splitlines()[0]}); mend it or use .csv") from error
    data = data.get("prices") if isinstance(data, dict) else data
    if not isinstance(data, list):
        raise InputError(f"price file {str(path)!r} holds no list of rows; write a list, or 'prices:' with a list under it")
    return data


def _row(row: Mapping, where: str) -> Override:
    if not isinstance(row, Mapping):
        raise UsageError(f"{where}: {short(str(row))} is not a row; give columns out of: {', '.join(COLUMNS)}")
    row = {key: value for key, value in row.items() if not _blank(value)}
    for key in row:
        choose(f"{where}: column", key, COLUMNS)
    for key in ("model_pattern", "input_usd_per_mtok"):
        if key not in row:
            raise UsageError(f"{where}: {key} is missing; every row needs model_pattern and input_usd_per_mtok")
    choose(f"{where}: currency", str(row.get("currency", "USD")).upper(), ["USD"])
    start, stop = (_date(row.get(key), key, where) for key in ("valid_from", "valid_to"))
    if start and stop and start > stop:
        raise UsageError(f"{where}: valid_from {start} is after valid_to {stop}; swap them")
    provider = str(row.get("provider", "*"))
    return Override(
        str(row["model_pattern"]).strip().lower(),
        *(_money(row.get(key), key, where) for key in PRICES),
        provider=None if provider.strip() == "*" else provider_name(provider),
        valid_from=start,
        valid_to=stop,
        source=str(row["source"]) if "source" in row else None,
    )


def _blank(value: object) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _money(value: object, key: str, where: str) -> Decimal | None:
    if value is None:
        return None
    try:
        price = Decimal(str(value).strip())
    except InvalidOperation:
        price = Decimal("nan")
    if not price.is_finite() or price < 0:
        raise UsageError(f"{where}: {key}={short(str(value))} is not a price; give USD per million tokens, 0 or more, like 2.50")
    return price


def _date(value: object, key: str, where: str) -> date | None:
    if value is None or type(value) is date:
        return value
    try:
        return value.date() if isinstance(value, datetime) else date.fromisoformat(str(value).strip())
    except ValueError:
        raise UsageError(f"{where}: {key}={short(str(value))} is not a date; write it like 2026-01-31") from None
