"""A user's mapping: where their columns stand, who their raters are.

.. code-block:: yaml

    table: spans              # spans (default), scores or series; only for data of no known format
    source: myapp             # what the source column says
    columns:
      trace_id: request.id    # dotted path into the record, or the name of a column that has dots itself
      latency_ms: {path: took, unit: s}
      kind: {default: llm}    # the same for every row
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
from ..schema import ARROW, RATERS, draft_fields
from .base import Shape

_KEYS = ("table", "source", "columns", "raters")
_TABLES = ("spans", "scores", "series")
_OPTIONS = ("path", "also", "type", "unit", "values", "other", "default")
_COMPUTED = ("day", "own", "is_root", "source", "cost_list_usd", "cost_source", "price_version", "price_reason")
_RESERVED = ("filename", "file_row_number")
_RENAMED = {("spans", "cost_usd"): "cost_recorded_usd", ("scores", "value"): "value_text"}
_NUMBERS = ("double", "int")


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
    raw = _load(os.fspath(value)) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(raw, Dict):
        raise MappingError(f"mapping={raw!r} is neither a dict nor a YAML file; give {{column: path}}, or the file's path")
    if not set(raw) & set(_KEYS):
        raw = {"columns": raw}
    for key in raw:
        choose("mapping key", key, _KEYS, MappingError)
    table = choose("mapping table", raw.get("table", "spans"), _TABLES, MappingError)
    columns = _columns(raw.get("columns") or {}, table)
    return Mapping(columns, _raters(raw.get("raters") or {}), table, _source(raw.get("source")))


def _load(path: str) -> dict:
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            raw = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"mapping file {path!r} cannot be read: {error}; check the path") from None
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise MappingError(f"mapping file {path!r} is not YAML: {told}; write lines of name: path") from None
    if not isinstance(raw, dict):
        raise MappingError(f"mapping file {path!r} holds no keys; write a 'columns:' part with lines of name: path")
    return raw


def _source(value) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise MappingError(f"mapping source={value!r} is not a name; write a word such as myapp")
    return value


def _raters(raters) -> dict[str, str]:
    if not isinstance(raters, Dict):
        raise MappingError(f"mapping raters={raters!r} is not a list of score name: rater; raters are: {', '.join(RATERS)}")
    for name, rater in raters.items():
        choose(f"rater of score {name!r}", rater, RATERS, MappingError)
    return {str(k): v for k, v in raters.items()}


def _columns(columns, table: str) -> tuple[Column, ...]:
    if not isinstance(columns, Dict):
        raise MappingError(f"mapping columns={columns!r} is not a list of name: path; write one line per column")
    made = [_column(_name(name, table), value, table) for name, value in columns.items()]
    seen: dict[str, str] = {}
    for column in made:
        if seen.setdefault(column.name.lower(), column.name) != column.name or [c.name for c in made].count(column.name) > 1:
            raise MappingError(f"mapping column {column.name!r} stands twice; keep one of them")
    return tuple(made)


def _name(name, table: str) -> str:
    """The column a user means, or a MappingError where it cannot be theirs to fill."""
    if name in _COMPUTED:
        raise MappingError(f"mapping column {name!r} is always computed; leave it out")
    name = _RENAMED.get((table, name), name)
    known = draft_fields(table)
    if name in known:
        return name
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_") or name in _RESERVED:
        raise MappingError(
            f"mapping column {name!r} is not a name for a column; use letters, digits and underscores, a letter first"
        )
    if name.lower() in known:
        raise MappingError(f"mapping column {name!r} differs only in case from {name.lower()!r}; write {name.lower()!r}")
    if table == "series":
        raise MappingError(
            f"mapping column {name!r} is none of series ({', '.join(known)}); leave it out: what is not named becomes a dimension"
        )
    return name


def _column(name: str, value, table: str) -> Column:
    options = dict(value) if isinstance(value, Dict) else {"path": value}
    for option in options:
        choose(f"option of mapping column {name!r}", option, _OPTIONS, MappingError)
    paths = [options.pop("path", None), *_listed(options.pop("also", ()))]
    places = [place for path in paths if path is not None for place in _places(name, path)]
    if not places and options.get("default") is None:
        raise _no_path(name, value)
    options |= _typed(name, options, table)
    if "values" in options:
        options["values"] = _renames(name, options["values"])
    if options.get("other") is not None:
        options["other"] = str(options["other"])
    return Column(name, places[0] if places else None, also=tuple(places[1:]), **options)


def _listed(value) -> list:
    return list(value) if isinstance(value, list) else [value] if isinstance(value, str) else list(value or ())


def _places(name: str, path) -> list[tuple]:
    """Where a path may point: a dotted one first to a column of that very name; a digit is a key, or a place in a list."""
    if isinstance(path, str) and path.strip():
        steps = path.split(".")
        places = [(path,), tuple(steps), (steps[0], *(int(s) if s.isdigit() else s for s in steps[1:]))]
        return list(dict.fromkeys(places))
    if isinstance(path, (list, tuple)) and path and isinstance(path[0], str) and all(type(k) in (str, int) for k in path):
        return [tuple(path)]
    raise _no_path(name, path)


def _no_path(name: str, value) -> MappingError:
    return MappingError(f"mapping column {name!r}: {value!r} is no path; write a dotted path, or {{path: …, unit: …}}")


def _typed(name: str, options: dict, table: str) -> dict:
    """The options with a type that fits the column, its unit and its default."""
    known = draft_fields(table).get(name)
    given = options.get("type")
    if given is not None:
        choose(f"type of mapping column {name!r}", given, ARROW, MappingError)
    if known and given not in (None, known.type):
        raise MappingError(f"mapping column {name!r}: type={given!r} does not fit, it is {known.type}; leave the type out")
    kind = known.type if known else given or ("double" if "unit" in options else "text")
    if "unit" in options and kind not in _NUMBERS:
        unit = options["unit"]
        raise MappingError(f"mapping column {name!r}: unit={unit!r} needs a number, the column is {kind}; leave the unit out")
    out = {} if known or kind == "text" else {"type": kind}
    if options.get("default") is not None:
        out["default"] = _default(name, options["default"], kind)
    return out


def _default(name: str, value, kind: str) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if kind in _NUMBERS:
        try:
            float(text)
        except ValueError:
            raise MappingError(f"mapping column {name!r}: default={value!r} is not a number; the column is {kind}") from None
    elif kind not in ("text", "json", "bool", "timestamp"):
        raise MappingError(f"mapping column {name!r}: default={value!r} cannot be given for a {kind}; leave it out")
    return text


def _renames(name: str, values) -> dict[str, str]:
    if not isinstance(values, Dict):
        raise MappingError(
            f"mapping column {name!r}: values={values!r} is not a list of their word: our word; write {{words: …}}"
        )
    return {_word(k): _word(v) for k, v in values.items()}


def _word(value) -> str:
    """A word as it stands in data: YAML reads yes, no and on as booleans."""
    return str(value).lower() if isinstance(value, bool) else str(value)
