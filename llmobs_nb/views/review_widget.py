"""A review queue on the page: trace, context and scores side by side, labelled by keyboard; its static twin is for readers only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import LlmobsError, choose
from ..text import terminal
from . import review_script
from .bundle import View
from .links import link_attributes
from .review_page import page

if TYPE_CHECKING:
    from anywidget import AnyWidget

AHEAD = 2


def review(queue, *, trace_id: str | None = None) -> View:
    """A review queue to work in; it starts with ``trace_id``, by default with the first trace that nobody has labelled.

    Every label goes into the store before the page says ``saved``; one that could not be saved is shown and kept. Without
    JavaScript there is a table of what was said and the first traces to read. ``view.params`` says which trace is shown.
    """
    known = list(queue.items)
    chosen = _first(queue) if trace_id is None else choose("trace_id", trace_id, known)
    return View(page(queue), repr(queue), widget=lambda view: _widget(queue, view), params={"trace_id": chosen})


def _first(queue) -> str:
    return next((t for t in queue.items if queue.mine(t) is None and not queue.done_by(t)), next(iter(queue.items)))


def _widget(queue, view: View) -> AnyWidget:
    desk = _widget_class()(reviewer=queue.reviewer, rubric=list(queue.rubric))
    Desk(queue, view, desk)
    return desk


class Desk:
    """What Python does for the page: it is the only one that touches the queue, and puts what is true now into the traits."""

    def __init__(self, queue, view: View, widget: AnyWidget):
        self.queue, self.view, self.widget = queue, view, widget
        self.traces = list(queue.items)
        widget.at = self.traces.index(view.params["trace_id"])
        self.show()
        self.read()
        widget.observe(lambda change: self.read(), names="at")
        widget.on_msg(lambda _, message, buffers: self.told(message))

    def show(self) -> None:
        """Labels, progress and categories as they are now."""
        self.widget.rows = [self._row(trace) for trace in self.traces]
        self.widget.categories = list(self.queue.categories)
        self.widget.progress = vars(self.queue.progress)

    def read(self) -> None:
        """The trace that is shown and the next ones, so that going on waits for nothing."""
        at = min(max(self.widget.at, 0), len(self.traces) - 1)
        around = self.traces[max(at - 1, 0) : at + 1 + AHEAD]
        self.queue.read(around)
        self.view.params["trace_id"] = self.traces[at]
        self.widget.items = {trace: self._item(trace) for trace in around}
        self.suggest()

    def suggest(self) -> None:
        """Categories for the trace that is shown."""
        trace = self.view.params["trace_id"]
        self.widget.suggested = {trace: self.queue.suggest(trace)}

    def _item(self, trace: str) -> dict:
        told = self.queue.content(trace)
        return {k: v for k, v in told.items() if k != "url"} | {"href": link_attributes(told["url"]) or None}

    def _row(self, trace: str) -> dict:
        said, kept = self.queue.mine(trace), self.queue.unsaved.get(trace)
        state = "kept" if kept else "saved" if said else ""
        label = (
            {"verdict": said.verdict, "note": said.note, "categories": list(said.categories), "ratings": dict(said.ratings)}
            if said
            else {}
        )
        blank = {"verdict": "", "note": "", "categories": [], "ratings": {}}
        return {
            "id": trace,
            "state": state,
            "reason": kept[1] if kept else "",
            "others": list(self.queue.done_by(trace)),
            **blank,
            **label,
        }

    def told(self, message: object) -> None:
        """One message of the page. What it holds is not trusted: a wrong one is answered, not raised."""
        does = {"label": self._label, "retry": self._retry, "refresh": self._refresh, "discard": self._discard}
        message = message if isinstance(message, Mapping) else {}
        wanted = does.get(message.get("do"))
        if wanted is None:
            return
        try:
            answer = wanted(message)
        except (LlmobsError, TypeError, KeyError, ValueError, AttributeError) as error:
            answer = ("refused", f"Not saved: {terminal(error, 300)}")
        self.show()
        kind, text = answer
        about = {"trace_id": terminal(message.get("trace_id"), None), "seq": message.get("seq")}
        self.widget.status = {"kind": kind, "text": text, **about, "count": self.widget.status.get("count", 0) + 1}

    def _label(self, message: Mapping) -> tuple[str, str]:
        said = {"note": str(message.get("note") or ""), "categories": [str(c) for c in message.get("categories") or ()]}
        ratings = {str(k): v for k, v in dict(message.get("ratings") or {}).items() if k in self.queue.rubric}
        saved = self.queue.label(message["trace_id"], message["verdict"], ratings=ratings, **said)
        self.suggest()
        return self._words(saved)

    def _words(self, saved) -> tuple[str, str]:
        if saved.state == "saved":
            return "saved", f"Saved in the store at {saved.at:%H:%M:%S} UTC."
        return "kept", f"Not saved: {saved.reason}. It is kept: press s to try again."

    def _retry(self, message: Mapping) -> tuple[str, str]:
        done = self.queue.retry()
        failed = [one for one in done.values() if one.state == "kept"]
        return self._words(failed[0]) if failed else ("saved", f"Saved in the store: {len(done)} that were kept.")

    def _refresh(self, message: Mapping) -> tuple[str, str]:
        self.queue.refresh()
        others = sum(bool(self.queue.done_by(trace)) for trace in self.traces)
        return "info", f"Others have labelled {others} of these {len(self.traces)} traces."

    def _discard(self, message: Mapping) -> tuple[str, str]:
        self.queue.discard(message["trace_id"])
        return "info", "Discarded: this is what the store has."


def _widget_class() -> type[AnyWidget]:
    import anywidget
    from traitlets import Dict, Int, List, Unicode

    class Review(anywidget.AnyWidget):
        """``rows`` is what is known of each trace, ``items`` what can be read, ``at`` the one that is shown, ``status`` the last answer."""

        _esm = review_script.SCRIPT
        _css = review_script.STYLE
        reviewer = Unicode().tag(sync=True)
        rubric = List().tag(sync=True)
        rows = List().tag(sync=True)
        items = Dict().tag(sync=True)
        at = Int().tag(sync=True)
        categories = List().tag(sync=True)
        suggested = Dict().tag(sync=True)
        progress = Dict().tag(sync=True)
        status = Dict().tag(sync=True)

    return Review
