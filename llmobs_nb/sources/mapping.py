"""A user's mapping: where their columns stand, who their raters are.

.. code-block:: yaml

    table: spans              # spans (default), scores or series; only for data of no known format
    source: myapp             # what the source column says
    columns:
      trace_id: request.id    # dotted path into the record
      latency_ms: {path: took, unit: s}
      team: metadata.team     # a name that is not canonical becomes a new column
    raters:
      thumbs: user            # score name -> human, judge, user, code
"""

from __future__ import annotations

import os
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field

from ..columns import Column
from ..errors import MappingError, choose
from ..schema import RATERS, draft_fields
from .base import Shape

_KEYS = ("table", "source", "columns", "raters")
_TABLES = ("spans", "scores", "series")
_OPTIONS = ("path", "also", "type", "unit", "values", "other", "default")
_FIXED = ("day", "own", "is_root", "source")


@dataclass(frozen=True)
class Mapping:
    """What a user says about their data; see the module's page for the file's form."""

    columns: tuple[Column, ...] = ()
    raters: Dict[str, str] = field(default_factory=dict)
    table: str = "spans"
    source: str | None = None

    def applied(self, shape: Shape) -> Shape:
        """A shape with the user's columns instead of, or beside, the source's own."""
        if shape.table != self.table or not self.columns:
            return shape
        ours = {c.name for c in self.columns}
        return Shape(shape.table, [*(c for c in shape.columns if c.name not in ours), *self.columns], shape.required)


def read_mapping(value) -> Mapping:
    """A mapping from a dict or a YAML file. Raises MappingError that names the key, the choices and the cure."""
    if isinstance(value, Mapping):
        return value
    raw = _load(os.fspath(value)) if isinstance(value, (str, os.PathLike)) else dict(value)
    if not set(raw) & set(_KEYS):
        raw = {"columns": raw}
    for key in raw:
        choose("mapping key", key, _KEYS, MappingError)
    table = choose("mapping table", raw.get("table", "spans"), _TABLES, MappingError)
    columns = raw.get("columns") or {}
    if not isinstance(columns, dict):
        raise MappingError(f"mapping columns={columns!r} is not a list of name: path; write one line per column")
    raters = raw.get("raters") or {}
    if not isinstance(raters, dict):
        raise MappingError(f"mapping raters={raters!r} is not a list of score name: rater; raters are: {', '.join(RATERS)}")
    for name, rater in raters.items():
        choose(f"rater of score {name!r}", rater, RATERS, MappingError)
    return Mapping(tuple(_column(n, v, table) for n, v in columns.items()), {str(k): v for k, v in raters.items()}, table, raw.get("source"))


def _load(path: str) -> dict:
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            raw = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"mapping file {path!r} cannot be read: {error}; check the path") from None
    except yaml.YAMLError as error:
        raise MappingError(f"mapping file {path!r} is not YAML: {' '.join(str(error).split())}; write lines of name: path") from None
    if not isinstance(raw, dict):
        raise MappingError(f"mapping file {path!r} holds no keys; write a 'columns:' part with lines of name: path")
    return raw


def _column(name, value, table: str) -> Column:
    name = str(name)
    if name in _FIXED:
        raise MappingError(f"mapping column {name!r} is always computed; leave it out")
    if isinstance(value, (str, list, tuple)):
        return Column(name, value if isinstance(value, str) else tuple(value))
    if not isinstance(value, dict) or not value:
        raise MappingError(f"mapping column {name!r}: {value!r} is no path; write a dotted path, or {{path: …, unit: …}}")
    for option in value:
        choose(f"option of mapping column {name!r}", option, _OPTIONS, MappingError)
    options = dict(value)
    if "values" in options:
        options["values"] = {str(k): str(v) for k, v in dict(options["values"]).items()}
    if "default" in options:
        options["default"] = str(options["default"])
    known = draft_fields(table).get(name)
    if known and options.get("type", known.type) != known.type:
        raise MappingError(f"mapping column {name!r}: type={options['type']!r} does not fit, it is {known.type}; leave the type out")
    return Column(name, **options)

