"""The incident widgets: the waterfall of a trace and the slice explorer, their static twins and what their state reads back."""

import re
import shutil
import subprocess
from dataclasses import replace

import fixtures_incident as fx
import pandas as pd
import pytest

from llmobs_nb import views
from llmobs_nb.analyses.incident.result import frame
from llmobs_nb.errors import UsageError
from llmobs_nb.views import waterfall_spans, waterfall_widget
from llmobs_nb.views.bundle import WIDGET_MIME

ROOT = waterfall_spans.Step(0, "answer", "chain", 0.0, 1.0, "1.00 s", "n/a", "n/a", False)


def words_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def spans(*rows):
    """A result with these spans of one trace: id, parent, start, latency."""
    full = [("t", i, parent, i, "chain", start, latency, None, None, "ok") for i, parent, start, latency in rows]
    return fx.incident(spans=frame("spans", full))


def order(result):
    return [(s.name, s.depth) for s in waterfall_spans.steps(result, "t")[0]]


# --- the order of spans


def test_a_step_has_its_stretch_of_the_whole_and_its_numbers_in_words():
    shown, total = waterfall_spans.steps(fx.incident(), "trace-0")
    assert total == 4
    assert shown[0] == ROOT
    assert [(s.name, s.depth) for s in shown] == [("answer", 0), ("search", 1), ("model call", 1), ("look up", 2)]
    call = shown[2]
    assert (call.left, call.width) == pytest.approx((0.2, 0.7))
    assert (call.latency, call.tokens, call.cost, call.failed) == ("700 ms", "1,903", "$0.0123", True)


def test_children_follow_their_parent_in_the_order_of_time():
    result = spans(("late", "root", 50, 10), ("root", None, 0, 100), ("early", "root", 5, 10), ("inner", "early", 6, 1))
    assert order(result) == [("root", 0), ("early", 1), ("inner", 2), ("late", 1)]


def test_orphans_and_circles_are_shown_once_each():
    result = spans(("a", "b", 0, 1), ("b", "a", 1, 1), ("self", "self", 2, 1), ("orphan", "gone", 3, 1))
    assert sorted(order(result)) == [("a", 0), ("b", 1), ("orphan", 0), ("self", 0)]


def test_a_chain_of_thousands_is_cut_and_says_so():
    rows = [(f"s{i}", f"s{i - 1}" if i else None, i, 1) for i in range(5000)]
    shown, total = waterfall_spans.steps(spans(*rows), "t")
    assert (len(shown), total) == (waterfall_spans.MAX_SPANS, 5000)
    assert max(s.depth for s in shown) == waterfall_spans.MAX_DEPTH
    assert "the first 300 of 5,000 spans" in words_of(views.waterfall(spans(*rows)).html)


@pytest.mark.parametrize("rows", [[("a", None, None, None)], [("a", None, 5, 0)], [("a", None, 0, -3), ("b", "a", None, 2)]])
def test_missing_and_impossible_times_give_shares_that_are_numbers(rows):
    shown, _ = waterfall_spans.steps(spans(*rows), "t")
    assert all(0 <= s.left <= 1 and (s.width is None or s.width >= 0) for s in shown)


def test_times_are_counted_from_the_start_of_the_trace():
    shown, _ = waterfall_spans.steps(spans(("a", None, 1_000_000, 100), ("b", "a", 1_000_050, 50)), "t")
    assert [(s.left, s.width) for s in shown] == [(0, 1), (0.5, 0.5)]


# --- the waterfall


def test_the_waterfall_has_three_forms_and_its_choice_reads_back():
    view = views.waterfall(fx.incident())
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html", WIDGET_MIME}
    assert view.widget.trace_id == "trace-0" == view.params["trace_id"]
    view.widget.trace_id = "trace-1"
    assert view.params == {"trace_id": "trace-1"}
    again = views.waterfall(fx.incident(), **view.params)
    assert again.widget.trace_id == "trace-1"
    assert again.text == "trace-1: 1 span, still open; 2 traces to choose from"


def test_the_widget_sends_words_and_shares_only():
    widget = views.waterfall(fx.incident()).widget
    assert [(t["id"], t["label"], len(t["steps"])) for t in widget.traces] == [
        ("trace-0", "trace-0: 4 spans, 1.00 s", 4),
        ("trace-1", "trace-1: 1 span, still open", 1),
    ]
    assert widget.traces[1]["steps"][0]["width"] is None
    assert widget.get_state()["trace_id"] == "trace-0"


def test_the_static_twin_shows_every_trace_without_a_script():
    html = views.waterfall(fx.incident()).html
    text = words_of(html)
    for told in ("trace-0: 4 spans, 1.00 s", "trace-1: 1 span, still open", "1,903", "0.0123", "✗ error", "… open"):
        assert told in text
    assert html.count("<details") == 1 and "<details" in html.split("trace-1")[0]
    bars = re.findall(r"linear-gradient\(to right,transparent ([\d.]+)%,\S+ \S+ \S*?([\d.]+)%,transparent", html)
    assert bars[:3] == [("0.0", "100.0"), ("1.0", "16.0"), ("20.0", "90.0")]


def test_hostile_names_reach_the_widget_as_clean_text():
    widget = views.waterfall(fx.hostile()).widget
    told = repr([(t["label"], t["steps"]) for t in widget.traces])
    assert not re.search("\\\\x00|\\\\x1b|\u202e|\\\\u202e|abcdefgh12345678", told)
    assert "(none)" in told


def test_a_waterfall_of_a_trace_that_is_not_there_names_the_others():
    with pytest.raises(UsageError, match=r"trace_id='x' is not known; choose one of: trace-0, trace-1"):
        views.waterfall(fx.incident(), trace_id="x")


def test_a_result_without_spans_has_no_widget():
    view = views.waterfall(fx.empty())
    assert view.widget is None and "No spans were kept" in view.html


def test_of_many_traces_the_chosen_one_is_always_offered():
    rows = [(f"t{i}", "a", None, "a", "llm", 0.0, 1.0, None, None, "ok") for i in range(40)]
    view = views.waterfall(fx.incident(spans=frame("spans", rows)), trace_id="t39")
    offered = [t["id"] for t in view.widget.traces]
    assert len(offered) == waterfall_widget.MAX_TRACES and offered[:2] == ["t39", "t0"]
    assert view.html.count("<details") == waterfall_widget.MAX_TRACES - 1


def test_the_script_of_the_widget_loads_nothing_and_writes_no_html():
    code = waterfall_widget._ESM
    assert not re.search(
        r"https?:|\bimport\b|\bfetch\b|innerHTML|insertAdjacent|outerHTML|eval\(|document\.write|Function\(", code
    )
    assert code.rstrip().endswith("export default { render };")
    for key in ("ArrowDown", "ArrowUp", "Home", "End", "tabIndex", "aria-live", "aria-label"):
        assert key in code


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript engine here")
def test_the_script_of_the_widget_is_a_valid_module(tmp_path):
    path = tmp_path / "waterfall.mjs"
    path.write_text(waterfall_widget._ESM)
    done = subprocess.run(["node", "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the explorer


def menus(view):
    row, _ = view.widget.children
    return {m.description: m for m in row.children}


def shown(view):
    return words_of(view.widget.children[1].value)


def test_the_explorer_starts_with_everything():
    view = views.slice_explorer(fx.incident())
    assert view.params == {"metric": "score:helpfulness:judge", "attribute": "all traffic", "value": "all traffic"}
    assert view.kwargs() == {"metric": "score:helpfulness:judge", "where": {}, "tz": "UTC"}
    assert "0.79 (0.77 to 0.81, n 620) before" in shown(view) and "tenant_id = t-01" in shown(view)
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html", WIDGET_MIME}


def test_a_choice_narrows_the_table_and_reads_back_as_arguments():
    view = views.slice_explorer(fx.incident())
    menus(view)["attribute"].value = "tenant_id"
    assert view.params == {"metric": "score:helpfulness:judge", "attribute": "tenant_id", "value": "t-01"}
    assert "tenant_id = t-01" in shown(view) and "auth = sso" not in shown(view)
    assert view.kwargs()["where"] == {"tenant_id": "t-01"}


def test_a_slice_of_two_attributes_gives_both():
    view = views.slice_explorer(fx.incident(), attribute="auth + feature")
    assert view.kwargs()["where"] == {"auth": "sso", "feature": "search, maps"}


def test_values_follow_the_attribute_and_can_be_chosen():
    slices = fx.slices()
    slices = pd.concat([slices, slices.iloc[[1]].assign(slice="tenant_id=t-02", after=0.11)])
    view = views.slice_explorer(fx.incident(slices=slices))
    choices = menus(view)
    choices["attribute"].value = "tenant_id"
    assert [label for label, _ in choices["value"].options] == ["t-01", "t-02"]
    choices["value"].value = "t-02"
    assert view.kwargs()["where"] == {"tenant_id": "t-02"}
    assert "0.11" in shown(view)
    choices["attribute"].value = "auth"
    assert view.kwargs()["where"] == {"auth": "sso"}
    again = views.slice_explorer(fx.incident(slices=slices), **view.params)
    assert shown(again) == shown(view)


def test_another_metric_has_no_table_but_its_arguments():
    view = views.slice_explorer(fx.incident())
    menus(view)["metric"].value = "output_chars"
    assert view.kwargs()["metric"] == "output_chars"
    assert "run the analysis again with lm.incident(obs, **explorer.kwargs())" in shown(view)


def test_the_arguments_keep_the_filter_and_the_times_of_the_result():
    given = {"metric": "auto", "tz": "Europe/Berlin", "onset": "2026-10-26", "before": None, "where": {"environment": "prod"}}
    view = views.slice_explorer(fx.incident(parameters=given), attribute="auth")
    assert view.kwargs() == {
        "metric": "score:helpfulness:judge",
        "where": {"environment": "prod", "auth": "sso"},
        "tz": "Europe/Berlin",
        "onset": "2026-10-26",
    }


def test_the_arguments_fit_the_analysis():
    import inspect

    from llmobs_nb.analyses.incident import incident

    view = views.slice_explorer(
        fx.incident(parameters={"tz": "UTC", "onset": "2026-10-26", "before": "2026-10-01", "after": "x"})
    )
    inspect.signature(incident).bind("observations", **view.kwargs())


def test_the_static_twin_of_the_explorer_is_the_slice_table():
    view = views.slice_explorer(fx.incident())
    assert "auth = sso ▶ picked" in words_of(view.html) and "-0.39 to -0.29" in words_of(view.html)
    assert view.html in views.slices(fx.incident()).html


@pytest.mark.parametrize("make", [fx.empty, fx.hostile, lambda: replace(fx.incident(), slices=frame("slices"))])
def test_an_explorer_of_nothing_or_of_hostile_names_stands(make):
    view = views.slice_explorer(make())
    assert view.widget is not None
    for attribute in [value for _, value in menus(view)["attribute"].options]:
        menus(view)["attribute"].value = attribute
        assert not re.search("[\x00\x1b\u202e]|<script", view.widget.children[1].value)
        assert set(view.kwargs()) >= {"metric", "where"}


def test_wrong_choices_name_the_right_ones():
    with pytest.raises(UsageError, match=r"metric='x' is not known; choose one of: score:helpfulness:judge, output_chars"):
        views.slice_explorer(fx.incident(), metric="x")
    with pytest.raises(UsageError, match=r"attribute='x' is not known; choose one of: all traffic, auth, tenant_id"):
        views.slice_explorer(fx.incident(), attribute="x")
    with pytest.raises(UsageError, match=r"value='x' is not known; choose one of: t-01"):
        views.slice_explorer(fx.incident(), attribute="tenant_id", value="x")


# --- the notebook


def test_the_cells_of_the_notebook_run_and_ask_what_the_parameters_say(monkeypatch):
    import llmobs_nb as lm
    from llmobs_nb.reports import templates

    asked, kept = [], []
    monkeypatch.setattr(lm, "open", lambda store: store, raising=False)
    monkeypatch.setattr(lm, "remember", kept.append, raising=False)
    monkeypatch.setattr(lm, "incident", lambda obs, **given: asked.append((obs, given)) or fx.incident(), raising=False)
    book = templates.read(templates.find("incident_root_cause"))
    room: dict = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            exec(cell.source, room)
    given = {"metric": "auto", "onset": None, "before": "", "after": "", "tz": "UTC", "where": {}, "expected": ""}
    assert asked == [(".llmobs", given)]
    assert kept == [room["result"]]
    assert room["explorer"].kwargs()["metric"] == "score:helpfulness:judge"
