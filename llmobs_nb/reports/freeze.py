"""A notebook that has run, made static: widgets become the HTML they showed, and nothing needs a kernel or a script."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import nbformat

from ..html import Html, escape, join, paragraph, tag
from .sanitize import sanitize

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
_ERROR_TAGS = {"papermill-error-cell-tag"}
_TEXTS = {"HTMLModel", "HTMLMathModel", "LabelModel"}


def freeze(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy without widgets: a view that brought its own HTML keeps it, another is rebuilt from its stored state.

    Boxes become their children below each other, HTML and Label their value, an Output what it holds, a control
    ``name: value``. Outputs that are left empty go, and so do the cells papermill adds to mark a failure.
    """
    frozen = copy.deepcopy(notebook)
    models = frozen.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    frozen.cells = [c for c in frozen.cells if not _ERROR_TAGS & set(c.metadata.get("tags", []))]
    for cell in frozen.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if _frozen(out, models)]
    return frozen


def _frozen(output: nbformat.NotebookNode, models: Mapping) -> bool:
    """Whether anything is left of ``output`` once its widget is static (changed in place)."""
    data = output.get("data")
    if data is None or VIEW not in data:
        return True
    view = data.pop(VIEW)
    if "text/html" not in data:
        static = _model(view.get("model_id", ""), models, depth=0)
        data.pop("text/plain", None)
        if static:
            data["text/html"] = static
    return bool(data)


def _model(reference: str, models: Mapping, *, depth: int) -> Html:
    model = models.get(reference.removeprefix("IPY_MODEL_"))
    if model is None or depth > 20:
        return Html("")
    name, state = model.get("model_name", ""), model.get("state", {})
    if "children" in state:
        return _box(state, models, depth)
    if name in _TEXTS:
        text = state.get("value") or ""
        return Html(f"<div>{sanitize(text)}</div>") if name != "LabelModel" else tag("div", text)
    if name == "OutputModel":
        return join(_stored(o) for o in state.get("outputs", ()))
    return _control(state)


def _box(state: Mapping, models: Mapping, depth: int) -> Html:
    titles = state.get("titles") or ()
    parts = []
    for at, child in enumerate(state["children"]):
        inside = _model(child, models, depth=depth + 1)
        if inside:
            parts += [tag("h4", titles[at]) if at < len(titles) and titles[at] else "", inside]
    return tag("div", *parts) if parts else Html("")


def _control(state: Mapping) -> Html:
    """``name: value`` of a menu, slider or box; of a menu the label of what is chosen."""
    value = state.get("value")
    labels, index = state.get("_options_labels"), state.get("index")
    if labels and isinstance(index, int) and 0 <= index < len(labels):
        value = labels[index]
    if value is None or value == "" or isinstance(value, Mapping):
        return Html("")
    return paragraph(f"{state.get('description') or 'value'}: ", tag("b", value))


def _stored(output: Mapping) -> Html:
    """What an Output widget holds: its HTML, else its picture, else its text."""
    data = output.get("data", {})
    if "text/html" in data:
        return Html(f"<div>{sanitize(_joined(data['text/html']))}</div>")
    if "image/png" in data:
        source = Html("data:image/png;base64," + "".join(_joined(data["image/png"]).split()))
        return Html(f'<img src="{source}" alt="picture" style="max-width:100%;">')
    text = data.get("text/plain", output.get("text", ""))
    return tag("pre", escape(_joined(text), 20_000)) if text else Html("")


def _joined(text: object) -> str:
    return "".join(text) if isinstance(text, list) else str(text)
