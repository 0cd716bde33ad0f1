"""A static notebook as one HTML file: no script, no address, readable in light, dark, print and with JavaScript off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import nbformat

from ..html import Html, details, tag
from ..text import LIMIT, clean, safe
from .sanitize import sanitize

HERE = Path(__file__).parent
TEXT_LIMIT = 20_000
HTML_LIMIT = 8_000_000
_HEADING = re.compile(r"^#\s+(.+)$", re.M)


def export(notebook: nbformat.NotebookNode, *, title: str, error: tuple[str, str] | None = None) -> str:
    """The page of a frozen notebook; ``error`` (name, text) of a run that failed stands on top."""
    exporter = _exporter()
    for name, made in {"shown": _shown, "prose": _prose, "code": _code}.items():
        exporter.register_filter(name, made)
    resources = {"page_title": _title(notebook, title), "failure": _failure(error) if error else "", "made": _made(notebook)}
    body, _ = exporter.from_notebook_node(notebook, resources=resources)
    return body


def _exporter():
    from nbconvert.exporters import TemplateExporter

    class ReportExporter(TemplateExporter):
        file_extension = ".html"
        output_mimetype = "text/html"

    return ReportExporter(template_name="base", template_file="report.html.j2", extra_template_paths=[str(HERE)])


def _title(notebook: nbformat.NotebookNode, default: str) -> Html:
    first = next((m for c in notebook.cells if c.cell_type == "markdown" for m in [_HEADING.search(c.source)] if m), None)
    return _text(first.group(1) if first else default.replace("_", " "))


def _made(notebook: nbformat.NotebookNode) -> Html:
    when = str(notebook.metadata.get("papermill", {}).get("end_time") or "")[:16].replace("T", " ")
    return _text(f"Made by llmobs_nb{f' on {when} UTC' if when else ''}. Numbers behind it: result.json and claims.json.")


def _text(text: object, limit: int | None = LIMIT) -> Html:
    """Escaped text; nothing here typesets formulas, so dollars stay as they are."""
    return Html(safe(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;"))


def _failure(error: tuple[str, str]) -> Html:
    name, text = error
    words = [tag("b", "This report could not be finished. "), _text(f"{name}: {text}")]
    return tag("div", *words, class_="failure", role="alert")


def _prose(source: str) -> str:
    """A markdown cell; HTML in it is reduced like any other."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    renderer = IPythonRenderer(escape=False, allow_harmful_protocols=False, exclude_anchor_links=True)
    return sanitize(MarkdownWithMath(renderer=renderer).render(clean(source)))


def _code(source: str) -> Html:
    return _text(source, TEXT_LIMIT)


def _shown(output: Mapping) -> str:
    """One output of a code cell as HTML; the richest form that needs no script."""
    kind = output["output_type"]
    if kind == "error":
        return _traceback(output)
    if kind == "stream":
        text = tag("pre", _text(output["text"], TEXT_LIMIT))
        return details("messages", text) if output.get("name") == "stderr" else text
    return _data(output.get("data", {}))


def _traceback(output: Mapping) -> Html:
    told = tag("p", tag("b", _text(output.get("ename", "Error"))), _text(f": {output.get('evalue', '')}"))
    lines = _text("\n".join(output.get("traceback", ())), TEXT_LIMIT)
    return tag("div", told, details("where", tag("pre", lines)), class_="failure")


def _data(data: Mapping) -> str:
    if "text/html" in data:
        return _html("".join(data["text/html"]))
    if "text/markdown" in data:
        return tag("pre", _text("".join(data["text/markdown"]), TEXT_LIMIT))
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            alt = _text("".join(data.get("text/plain", "picture")), 200)
            return sanitize(f'<img src="data:{kind};base64,{"".join(data[kind]).strip()}" alt="{alt}">')
    text = "".join(data.get("text/plain", ""))
    return tag("pre", _text(text, TEXT_LIMIT)) if text else ""


def _html(text: str) -> str:
    if len(text) > HTML_LIMIT:
        return tag("p", f"[an output of {len(text):,} characters was left out]")
    return f"<div>{sanitize(clean(text))}</div>"
