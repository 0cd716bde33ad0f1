"""Where the template notebooks are, and what parameters they take."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from ..errors import InputError, UsageError, choose
from ..text import terminal

_PACKAGE = Path(__file__).resolve().parents[1]
_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a template: its name, type (str, int, float, bool), default, and one line of help."""

    name: str
    type: str
    default: object
    help: str = ""
    optional: bool = False

    def accept(self, value: object) -> object:
        """``value`` in the parameter's type; text (from a command line) is read as that type, anything else must fit."""
        if value is None or (isinstance(value, str) and self.type != "str" and value.lower() in ("none", "")):
            return self._nothing(value)
        if isinstance(value, str):
            return self._read(value)
        fits = {"str": Path, "int": int, "float": (int, float), "bool": bool}[self.type]
        if not isinstance(value, fits) or isinstance(value, bool) != (self.type == "bool"):
            raise self._wrong(value)
        return _TYPES[self.type](value)

    def _nothing(self, value: object) -> None:
        if not self.optional:
            raise self._wrong(value)

    def _read(self, text: str) -> object:
        try:
            return _WORDS[text.lower()] if self.type == "bool" else _TYPES[self.type](text)
        except (KeyError, ValueError):
            raise self._wrong(text) from None

    def _wrong(self, value: object) -> UsageError:
        wanted = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}[self.type]
        return UsageError(f"parameter {self.name}={terminal(repr(value), 80)} is not {wanted}; the default is {self.default!r}")


def folder() -> Path:
    """The folder of the template notebooks: inside an installed package, beside it in a working copy."""
    packaged = _PACKAGE / "_notebooks"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "notebooks"


def names() -> list[str]:
    """The templates by name, in order."""
    return sorted(p.stem for p in folder().glob("*.ipynb"))


def find(name: str | Path) -> Path:
    """The notebook file of a template; a path to a notebook of your own is taken as it is."""
    path = Path(name)
    if path.suffix == ".ipynb":
        if path.is_file():
            return path
        raise InputError(f"notebook {terminal(path)} is not there; give a file, or one of: {', '.join(names())}")
    return folder() / f"{choose('report', str(name), names())}.ipynb"


def copy(name: str, into: str | Path) -> Path:
    """Copy a template into a folder and return the new file. Raises UsageError when it is there already."""
    source = find(name)
    target = Path(into) / source.name
    if target.exists():
        raise UsageError(f"notebook {terminal(target)} is there already; remove it, or give another folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    except OSError as error:
        raise UsageError(f"notebook {terminal(target)} cannot be written ({error.strerror}); give another folder") from error
    return target


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook as a node, any version brought to 4."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise InputError(f"{terminal(path)} is not a notebook ({terminal(error, 120)}); give an .ipynb file") from error


def parameters(notebook: nbformat.NotebookNode) -> dict[str, Parameter]:
    """What the cell tagged ``parameters`` declares, lines like ``days: int = 7  # how far back``; {} without such a cell."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    return _declared(cells[0].source) if cells else {}


def _declared(source: str) -> dict[str, Parameter]:
    helps = _comments(source)
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            words = [w.strip() for w in ast.unparse(node.annotation).strip("'\"").split("|")]
            kind = next((w for w in words if w in _TYPES), "str")
            default = ast.literal_eval(node.value)
            optional = "None" in words
            found[node.target.id] = Parameter(node.target.id, kind, default, helps.get(node.lineno, ""), optional)
    return found


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def checked(given: Mapping[str, object], declared: Mapping[str, Parameter], name: str) -> dict[str, object]:
    """The given parameters in their declared types; an unknown name or a wrong type is an error that names the choices."""
    for key in given:
        if key not in declared:
            menu = ", ".join(f"{p.name} ({p.type})" for p in declared.values()) or "none"
            raise UsageError(f"parameter {terminal(key, 60)!r} is not known to {name}; choose from: {menu}")
    return {key: declared[key].accept(value) for key, value in given.items()}


def pairs(text: str) -> dict[str, str]:
    """``{"feature": "chat", "tier": "pro"}`` from ``feature=chat, tier=pro``; {} from nothing."""
    parts = [p.strip() for p in text.split(",") if p.strip()]
    for part in parts:
        if "=" not in part:
            raise UsageError(f"where={terminal(text, 120)!r}: {terminal(part, 60)!r} has no '='; write name=value, name=value")
    return {name.strip(): value.strip() for name, _, value in (p.partition("=") for p in parts)}
