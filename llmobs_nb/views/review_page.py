"""A review queue without JavaScript: how far it is, what was said, and the first traces to read."""

from __future__ import annotations

from ..html import LINE, Head, Html, bar, bullets, details, escape, heading, paragraph, stack, table, tag
from ..text import terminal
from .parts import left_out, trace_name

MAX_TRACES = 10
MAX_ROWS = 100
_ROWS = (Head("trace"), Head("verdict"), Head("categories"), Head("ratings"), Head("note"), Head("others"))
_TEXT = f"white-space:pre-wrap;overflow-wrap:anywhere;padding:.4em .5em;border:1px solid {LINE};border-radius:.3em;margin:.15em 0 .6em;"
_SIDE = "flex:1 1 19em;min-width:16em;padding-right:.8em;"


def page(queue) -> Html:
    """The whole queue as HTML."""
    traces = list(queue.items)
    rows = [_row(queue, trace) for trace in traces[:MAX_ROWS]]
    queue.read(traces[:MAX_TRACES])
    read = [_trace(queue, trace) for trace in traces[:MAX_TRACES]]
    rest = len(traces) - len(read)
    more = paragraph(f"{rest} more traces can be read where the queue is opened live", small=True) if rest > 0 else ""
    return stack(
        _head(queue), table(rows, _ROWS, empty="no trace"), left_out(len(traces) - len(rows)), heading("To read"), *read, more
    )


def _head(queue) -> Html:
    now = queue.progress
    told = f"{now.done} of {now.total} traces done by {terminal(queue.reviewer, 80)}"
    failed = [f"{terminal(t, 80)} is not saved: {why}" for t, (_, why) in queue.unsaved.items()]
    return stack(bar(now.done / now.total if now.total else None, told), bullets(failed[:20]))


def _row(queue, trace: str) -> list[object]:
    said, others = queue.mine(trace), ", ".join(queue.done_by(trace))
    if said is None:
        return [trace_name(trace), "", "", "", "", others]
    rated = ", ".join(f"{name} {value}" for name, value in said.ratings.items())
    return [trace_name(trace), said.verdict, ", ".join(said.categories), rated, said.note, others]


def _trace(queue, trace: str) -> Html:
    told = queue.content(trace)
    asked = stack(_text("Question", told["input"]), _text("Answer", told["output"]))
    found = [_text(", ".join(p for p in (c["id"] or "document", c["score"]) if p), c["text"]) for c in told["contexts"]]
    prompt = (
        [details("System prompt", tag("div", escape(told["system_prompt"], None), style=_TEXT))] if told["system_prompt"] else []
    )
    scores = [[s["name"], s["value"], s["rater"], s["comment"]] for s in told["scores"]]
    judged = stack(table(scores, ["score", "value", "by", "reason"], empty="no scores"), table(told["facts"], ["about", ""]))
    sides = [tag("div", side, style=_SIDE) for side in (asked, stack(*found, *prompt), judged)]
    return details(trace_name(trace, told["url"]), tag("div", *sides, style="display:flex;flex-wrap:wrap;"))


def _text(title: str, text: str) -> Html:
    return stack(tag("b", title), tag("div", escape(text, None) if text else "(nothing)", style=_TEXT))
