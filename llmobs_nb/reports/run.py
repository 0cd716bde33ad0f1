"""Run a notebook with parameters, in this very Python, and keep what it made even when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from ..errors import InterruptError
from ..text import mask_secrets, safe
from .delivery import FOLDER

_OURS = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """A notebook that has run: the node with its outputs, and the error that stopped it (name and text) if one did."""

    notebook: nbformat.NotebookNode
    error: tuple[str, str] | None = None


def run(notebook: nbformat.NotebookNode, out: Path, *, parameters: Mapping[str, object], deliver_to: Path, quiet: bool) -> Run:
    """Run ``notebook`` with papermill and write it, with outputs and widget state, to ``out``.

    The kernel is the running interpreter, whatever kernels are installed; it starts in the folder of ``out``. Progress goes
    to stderr. A cell that fails stops the run; the notebook so far is kept.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    error = None
    with tempfile.TemporaryDirectory(prefix="llmobs-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of papermill and its client; the notebook's own are its outputs
        manager = _this_python({FOLDER: str(deliver_to), "IPYTHONDIR": scratch})
        try:
            papermill.execute_notebook(
                notebook, str(out), parameters=dict(parameters), progress_bar=False, cwd=str(out.parent),
                kernel_manager_class=manager, on_cell_start=_progress(out.stem, len(notebook.cells) + bool(parameters), quiet),
            )  # fmt: skip
        except papermill.PapermillExecutionError as failed:
            error = (failed.ename, safe(failed.evalue))
        except DeadKernelError:
            error = ("DeadKernelError", "the Python that ran the notebook died, most likely for lack of memory")
        except KeyboardInterrupt:
            raise InterruptError(f"{out.stem} was interrupted; run it again, what it had made so far is in {out.name}") from None
    return Run(nbformat.read(out, as_version=4), error)


def _this_python(environment: Mapping[str, str]) -> type:
    """A kernel manager that starts the interpreter that is running now, with these variables added."""
    import zmq
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec
    from traitlets import default

    spec = KernelSpec(**get_kernel_dict())

    class ThisPython(AsyncKernelManager):
        @default("transport_encryption")
        def _encrypted(self):
            return "auto" if zmq.has("curve") else "disabled"

        @property
        def kernel_spec(self):
            return spec

        async def start_kernel(self, **options):
            options["env"] = {**os.environ, **options.get("env", {}), **_path(), **environment}
            return await super().start_kernel(stderr=subprocess.DEVNULL, **options)

    return ThisPython


def _path() -> dict[str, str]:
    """The kernel must find the package that started it, also from a working copy that is not installed."""
    if _OURS.name in ("site-packages", "dist-packages"):
        return {}
    return {"PYTHONPATH": os.pathsep.join([str(_OURS), *filter(None, [os.environ.get("PYTHONPATH")])])}


def _progress(name: str, cells: int, quiet: bool) -> Callable | None:
    if quiet:
        return None
    started = time.monotonic()

    def started_cell(cell, cell_index: int) -> None:
        if cell.cell_type == "code":
            at = f"{name}: cell {cell_index + 1} of {cells}, {time.monotonic() - started:.0f} s"
            print(mask_secrets(at), file=sys.stderr, flush=True)

    return started_cell
