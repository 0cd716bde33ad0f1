"""The spans of a trace as a waterfall: a widget to choose the trace and walk its spans by key, and plain HTML without it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..errors import choose
from ..html import Head, Html, badge, details, paragraph, stack, table, tag
from .bundle import View
from .claimed import claimed, quoting, unclaimed
from .theme import label
from .waterfall_spans import Step, steps, traces

if TYPE_CHECKING:
    from anywidget import AnyWidget

MAX_TRACES = 12
_OK, _FAILED = "rgba(0,114,178,.75)", "rgba(213,94,0,.9)"
_HEAD = (
    Head("span"),
    Head("kind"),
    Head("when", hint="from the start of the trace to its end"),
    *(Head(name, number=True) for name in ("latency", "tokens", "cost")),
    Head("status"),
)
_ESM = """
const OK = "rgba(0,114,178,.75)", FAILED = "repeating-linear-gradient(45deg,#d55e00 0 4px,#8a3d00 4px 7px)";

function make(tag, text, style) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (style) node.style.cssText = style;
  return node;
}

function bar(step) {
  const track = make("div", "", "height:.9em;min-width:12em;background:rgba(127,127,127,.15);");
  const left = Math.min(100 * step.left, 99.4), width = step.width === null ? 0.6 : Math.max(100 * step.width, 0.6);
  const look = step.width === null ? "transparent" : step.failed ? FAILED : OK;
  const frame = step.width === null ? "border-left:2px dashed rgba(127,127,127,.9);" : "";
  track.append(make("div", "", `height:100%;margin-left:${left}%;width:${Math.min(width, 100 - left)}%;background:${look};${frame}`));
  return track;
}

function words(step) {
  const state = step.failed ? ", failed" : step.width === null ? ", still open" : "";
  return `${step.name} (${step.kind}): ${step.latency}, ${step.tokens} tokens, ${step.cost}${state}`;
}

function row(step, at) {
  const line = make("tr");
  line.tabIndex = at === 0 ? 0 : -1;
  line.setAttribute("aria-label", words(step));
  const name = make("td", step.name, `padding:.15em .6em .15em ${0.4 + 1.1 * step.depth}em;`);
  const place = make("td", "", "width:45%;padding:.15em .4em;");
  place.append(bar(step));
  const cells = [name, make("td", step.kind), place];
  for (const text of [step.latency, step.tokens, step.cost]) {
    cells.push(make("td", text, "text-align:right;white-space:nowrap;padding:.15em .6em;"));
  }
  cells.push(make("td", step.failed ? "\\u2717 error" : step.width === null ? "\\u2026 open" : "", "white-space:nowrap;"));
  line.append(...cells);
  return line;
}

function head() {
  const line = make("tr");
  for (const [text, side] of [["span", "left"], ["kind", "left"], ["when", "left"], ["latency", "right"], ["tokens", "right"],
                              ["cost", "right"], ["status", "left"]]) {
    const cell = make("th", text, `text-align:${side};padding:.15em .6em;border-bottom:2px solid rgba(127,127,127,.85);`);
    cell.scope = "col";
    line.append(cell);
  }
  const top = make("thead");
  top.append(line);
  return top;
}

function render({ model, el }) {
  const menu = make("select", "", "max-width:30em;"), name = make("label", "trace ", "display:inline-block;margin:.3em 0;");
  const grid = make("table", "", "border-collapse:collapse;width:100%;font-size:.92em;"), body = make("tbody");
  const told = make("div", "", "min-height:1.4em;padding:.3em 0;opacity:.85;");
  told.setAttribute("aria-live", "polite");
  name.append(menu);
  grid.append(head(), body);
  const scroll = make("div", "", "max-height:32em;overflow:auto;");
  scroll.append(grid);
  el.append(name, scroll, told);

  function draw() {
    const all = model.get("traces"), chosen = all.find((t) => t.id === model.get("trace_id"));
    menu.replaceChildren(...all.map((t) => { const o = make("option", t.label); o.value = t.id; return o; }));
    menu.value = model.get("trace_id");
    body.replaceChildren(...(chosen ? chosen.steps.map(row) : []));
    told.textContent = chosen ? chosen.note : "No spans to show.";
  }

  function walk(event) {
    const rows = [...body.children], at = rows.indexOf(document.activeElement);
    const root = el.getRootNode(), here = at >= 0 ? at : rows.indexOf(root.activeElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || here < 0 || !rows[to]) return;
    event.preventDefault();
    event.stopPropagation();
    rows[here].tabIndex = -1;
    rows[to].tabIndex = 0;
    rows[to].focus();
  }

  function said(event) {
    const line = event.target.closest("tr");
    for (const other of body.children) other.style.outline = other === line ? "2px solid #0072b2" : "";
    if (line) told.textContent = line.getAttribute("aria-label");
  }

  function choose() {
    model.set("trace_id", menu.value);
    model.save_changes();
  }

  menu.addEventListener("change", choose);
  body.addEventListener("keydown", walk);
  body.addEventListener("focusin", said);
  body.addEventListener("click", (event) => event.target.closest("tr")?.focus());
  model.on("change:trace_id", draw);
  draw();
  return () => model.off("change:trace_id", draw);
}

export default { render };
"""


def waterfall(result, *, trace_id: str | None = None) -> View:
    """The spans of one trace as bars with latency, tokens and cost; its widget offers the others.

    ``trace_id`` is one of ``result.spans`` (the first without it); ``view.params`` says which one is shown, after a click as
    well. Without spans the view says so and has no widget.
    """
    known = traces(result)
    if not known:
        return View(paragraph("No spans were kept for a waterfall."), "no spans")
    chosen = known[0] if trace_id is None else choose("trace_id", trace_id, known)
    others = [t for t in _offered(result, chosen) if t != chosen]
    static = stack(_static(result, chosen), *(details(_head(result, t), _static(result, t)) for t in others))
    text = f"{_title(result, chosen)}; {len(known)} {'trace' if len(known) == 1 else 'traces'} to choose from"
    return View(static, text, widget=lambda view: _widget(result, view), params={"trace_id": chosen})


def _offered(result, chosen: str) -> list[str]:
    """The first twelve traces, the chosen one always among them."""
    first = traces(result)[:MAX_TRACES]
    return first if chosen in first else [chosen, *first[:-1]]


def _title(result, trace_id: str) -> str:
    shown, total = steps(result, trace_id)
    length = "still open" if shown[0].width is None else shown[0].latency
    return f"{label(trace_id, 60)}: {total:,} {'span' if total == 1 else 'spans'}, {length}"


def _head(result, trace_id: str) -> Html:
    """The title with the claims of its numbers."""
    ids = [f"spans.{trace_id}", f"span.{trace_id}.*"]
    return quoting("span", claimed("span", _title(result, trace_id), ids=ids), texts=[label(trace_id, 60)])


def _note(shown: list[Step], total: int) -> str:
    return f"the first {len(shown):,} of {total:,} spans" if total > len(shown) else ""


def _static(result, trace_id: str) -> Html:
    shown, total = steps(result, trace_id)
    rows = table([_row(s) for s in shown], _HEAD, caption=_head(result, trace_id))
    all_of_them = claimed("span", f"{total:,}", ids=[f"spans.{trace_id}"])
    note = paragraph("the first ", unclaimed(len(shown)), " of ", all_of_them, " spans", small=True)
    return stack(rows, note if total > len(shown) else "")


def _row(step: Step) -> list[object]:
    name = unclaimed(step.name, style=f"padding-left:{1.1 * step.depth:.1f}em;")
    status = badge("error", "✗", line="double", colour="#d55e00") if step.failed else "… open" if step.width is None else ""
    numbers = (claimed("span", getattr(step, k), ids=[f"{step.claim}.{k}"]) for k in ("latency", "tokens", "cost"))
    return [name, unclaimed(step.kind), _bar(step), *numbers, status]


def _bar(step: Step) -> Html:
    """The stretch of a span as a gradient, which notebooks keep; the cells beside it say the same in numbers."""
    left = 100 * min(max(step.left, 0.0), 0.994)
    right = min(left + max(100 * (step.width or 0.0), 0.6), 100.0)
    colour = "rgba(127,127,127,.9)" if step.width is None else _FAILED if step.failed else _OK
    stops = f"transparent {left:.1f}%,{colour} {left:.1f}%,{colour} {right:.1f}%,transparent {right:.1f}%"
    return tag("div", style=f"min-width:14em;height:.9em;background:linear-gradient(to right,{stops});", title=step.latency)


def _widget(result, view: View) -> AnyWidget:
    """The widget, its choice written back into the view."""
    told = []
    for trace in _offered(result, view.params["trace_id"]):
        shown, total = steps(result, trace)
        drawn = [{k: v for k, v in asdict(s).items() if k != "claim"} for s in shown]
        told.append({"id": trace, "label": _title(result, trace), "steps": drawn, "note": _note(shown, total)})
    widget = _widget_class()(traces=told, trace_id=view.params["trace_id"])
    widget.observe(lambda change: view.params.update(trace_id=change["new"]), names="trace_id")
    return widget


def _widget_class() -> type[AnyWidget]:
    import anywidget
    from traitlets import List, Unicode

    class Waterfall(anywidget.AnyWidget):
        """``traces`` is what is drawn, ``trace_id`` the one that is shown; both are in step with the browser."""

        _esm = _ESM
        traces = List().tag(sync=True)
        trace_id = Unicode().tag(sync=True)

    return Waterfall
