"""One report: a template notebook, run, frozen, exported, with its result beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat

from .. import errors
from ..errors import InputError, StoreError
from ..text import mask_secrets, terminal
from . import templates
from .delivery import CLAIMS, RESULT
from .export import export
from .freeze import freeze
from .proof import prove
from .run import Run, run


@dataclass(frozen=True)
class ReportFiles:
    """What a report left on disk. The JSON files are None when the run failed; ``error`` then says why, in one line.

    ``warning`` names numbers of the page that come from no claim; what was checked stands under ``checked`` in result.json.
    ``exit_code`` is 0 when the report is whole, whatever its verdict; 3 for wrong use or unusable input, 4 for the rest.
    """

    ipynb: Path
    html: Path
    result_json: Path | None
    claims_json: Path | None
    exit_code: int = 0
    error: str | None = None
    warning: str | None = None


def report(
    name: str | Path,
    *,
    out: str | Path,
    store: str | Path | None = None,
    parameters: Mapping[str, object] | None = None,
    quiet: bool = False,
) -> ReportFiles:
    """Run the template ``name`` (or a notebook file) over ``store`` and write NAME.ipynb, NAME.html, result.json, claims.json.

    ``parameters`` are checked against the notebook's ``parameters`` cell first. The notebook runs in the folder ``out``, and
    a local store is given to it relative to that folder, so it can be opened there and run again. A run that fails is
    exported all the same, with its error on top.
    """
    path = templates.find(name)
    notebook = templates.read(path)
    folder = _folder(out)
    given = templates.checked(_given(parameters, store, folder), templates.parameters(notebook), path.stem)
    files = [folder / f for f in (f"{path.stem}.ipynb", f"{path.stem}.html", RESULT, CLAIMS)]
    if files[0].exists() and files[0].samefile(path):
        raise InputError(f"out={terminal(out)} holds {path.name} itself; give another folder")
    for old in files:
        old.unlink(missing_ok=True)
    done = run(notebook, files[0], parameters=given, deliver_to=folder, quiet=quiet)
    _rewrite(done.notebook, path.name, files[0])
    page = export(freeze(done.notebook), title=path.stem, error=done.error)
    files[1].write_text(page, encoding="utf-8")
    made = _files(done, *files)
    return replace(made, warning=_proved(page, made)) if made.result_json else made


def _proved(page: str, made: ReportFiles) -> str | None:
    """The warning that some number of the page comes from no claim, told on stderr as well."""
    warning = prove(page, made.result_json, made.claims_json)
    if warning:
        print(f"llmobs: warning: {warning}", file=sys.stderr, flush=True)
    return warning


def _folder(out: str | Path) -> Path:
    folder = Path(out).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out={terminal(out)} cannot be made a folder ({error.strerror}); give another one") from error
    return folder


def _given(parameters: Mapping[str, object] | None, store: str | Path | None, folder: Path) -> dict[str, object]:
    given = dict(parameters or {})
    if store is not None:
        given.setdefault("store", store)
    if "store" in given:
        given["store"] = _located(str(given["store"]), folder)
    return given


def _located(store: str, folder: Path) -> str:
    """A local store as seen from ``folder``; an address as it is."""
    if "://" in store:
        return store
    if not Path(store).exists():
        raise StoreError(f"store {terminal(store)} is not there; make one with llmobs ingest PATH --store {terminal(store)}")
    try:
        return os.path.relpath(store, folder)
    except ValueError:  # another drive
        return os.path.abspath(store)


def _rewrite(notebook: nbformat.NotebookNode, template: str, out: Path) -> None:
    """The notebook again, without the paths of the machine it ran on and with credentials masked.

    Code is left as it was written, so that it runs again; the values given to this run are masked.
    """
    notebook.metadata.get("papermill", {}).update({"input_path": template, "output_path": out.name, "parameters": {}})
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = mask_secrets(cell.source)
        if cell.cell_type == "code":
            cell.outputs = nbformat.from_dict(_masked(cell.outputs))
    notebook.metadata = nbformat.from_dict(_masked(notebook.metadata))
    nbformat.write(notebook, out)


def _masked(value: object) -> object:
    """``value`` with credentials masked in every text but pictures."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {k: v if k.startswith("image/") else _masked(v) for k, v in value.items()}
    return [_masked(v) for v in value] if isinstance(value, list) else value


def _files(done: Run, ipynb: Path, html: Path, result: Path, claims: Path) -> ReportFiles:
    if done.error is None and result.exists():
        return ReportFiles(ipynb, html, result, claims)
    name, text = done.error or ("UsageError", "the notebook delivered no result; end it with lm.reports.deliver(result)")
    known = getattr(errors, name, None)
    code = known.exit_code if isinstance(known, type) and issubclass(known, errors.LlmobsError) else 4
    kept = (result, claims) if done.error is None and result.exists() else (None, None)
    return ReportFiles(ipynb, html, *kept, exit_code=code, error=terminal(f"{name}: {text}", 500))
