"""Demo data: a believable LLM product over eight weeks, made by a seeded generator, with one incident in it.

``data_folder()`` is the shipped copy (an interchange folder); ``generate()`` and ``write()`` make it or another one.
"""

from pathlib import Path

from ..errors import InputError

__all__ = ["data_folder", "generate", "write"]


def data_folder() -> Path:
    """The folder with the shipped demo data: ``_data`` inside an installed package, else ``data`` beside the package."""
    package = Path(__file__).parents[1]
    for folder in (package / "_data", package.parent / "data"):
        if (folder / "spans.parquet").is_file():
            return folder
    raise InputError("the demo data is not beside the package; write it with: python -m llmobs_nb.demodata data")


def __getattr__(name: str):
    if name in ("generate", "write"):
        from . import build

        return getattr(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
