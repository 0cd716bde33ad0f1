"""Reports: a notebook is checked, run, frozen and exported; what comes out is one page that cannot act, and strict JSON."""

import dataclasses
import datetime as dt
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import fixtures_incident
import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from llmobs_nb import reports, views
from llmobs_nb.errors import InputError, InterruptError, StoreError, UsageError
from llmobs_nb.reports import delivery, runner, templates
from llmobs_nb.reports import run as runs
from llmobs_nb.reports.export import export
from llmobs_nb.reports.freeze import STATE, VIEW, freeze
from llmobs_nb.reports.sanitize import sanitize
from llmobs_nb.views import bundle

TESTS = Path(__file__).parent
PARAMETERS = """store: str = "."  # the store
days: int = 7  # how many
share: float = 0.5
loud: bool = False
note: str | None = None  # anything
plain = 3"""
HOSTILE_HTML = (
    "<table><tr><td onclick='alert(1)'>cell<script>alert(4)</script><img src='http://a.example/b.png' onerror=alert(1)>"
    "<iframe src='//x'></iframe><svg onload=alert(1)><script>alert(1)</script></svg><style>@import 'http://x';</style>"
    "<a href='javascript:alert(1)'>link</a><p style='color:red;background:url(http://x)'>styled</p></table></div></main>"
)


def notebook(*cells, parameters=PARAMETERS):
    """A notebook with a title, a parameters cell and these code cells."""
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    nb = new_notebook(cells=[new_markdown_cell("# A tiny report\n\nWhat <b>now</b>? <script>alert(9)</script>"), first])
    nb.cells += [new_code_cell(c) for c in cells]
    return nb


def saved(folder, nb, name="tiny"):
    path = folder / f"{name}.ipynb"
    nbformat.write(nb, path)
    return path


class Page(HTMLParser):
    """Tags and attributes of a page, its links, and the text outside styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.links, self.words, self.stack, self.lost = [], [], [], "", [], 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v or "") for k, v in attrs]
        self.links += [dict(attrs)] if tag == "a" else []
        if tag not in ("meta", "img", "source", "br", "hr", "col", "wbr"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.lost += 1

    def handle_data(self, data):
        if "style" not in self.stack:
            self.words += data


OURS = {"href", "target", "rel", "style", "title"}
ADDRESSES = {"action", "archive", "background", "cite", "classid", "codebase", "data", "formaction", "icon", "manifest", "ping"}
ADDRESSES |= {"poster", "profile", "srcdoc", "usemap", "xlink:href", "xmlns"}


def assert_cannot_act(text):
    """No script, no handler, no frame, nothing that is loaded from outside; links lead to web pages only; well formed."""
    page = Page(text)
    assert not set(page.tags) & {"script", "iframe", "object", "embed", "svg", "math", "form", "link", "base", "area"}
    assert not [a for a in page.attributes if a[1].startswith("on") or a[1] in ADDRESSES]
    assert all(v.startswith("data:image/") for _, k, v in page.attributes if k in ("src", "srcset"))
    assert all(tag == "a" for tag, k, _ in page.attributes if k == "href")
    for link in page.links:
        assert set(link) <= OURS and (link["target"], link["rel"]) == ("_blank", "noopener noreferrer nofollow")
        assert re.fullmatch(r"https?://[^\s\\/?#@%]+([/?#][^\s\\]*)?", link["href"], re.I)
    assert not re.search(r"url\(|@import|expression\(", "".join(v for _, k, v in page.attributes if k == "style"))
    assert not page.stack and not page.lost
    return page


# --- a real run


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    (folder / "stored").mkdir()
    nb = notebook(
        f"import sys\nsys.path.insert(0, {str(TESTS)!r})\nimport fixtures_weekly as fx\nfrom llmobs_nb import reports, views",
        "result = fx.weekly()\nviews.weekly(result)",
        "import ipywidgets as w\n"
        "w.VBox([w.IntSlider(value=3, description='size'), w.HTML('<b onclick=x>kept</b><script>alert(3)</script>'),"
        " w.Label('<i>label'), w.Tab([w.Label('inside')], titles=['First tab'])])",
        "print(fx.HOSTILE)\nprint('y' * 10_000_000)\nimport warnings; warnings.warn('careful')",
        "from IPython.display import Javascript, Markdown, display\n"
        f"display({{'text/html': {HOSTILE_HTML!r}}}, raw=True)\ndisplay(Javascript('alert(5)'))\n"
        "display(Markdown('[a](javascript:alert(6))'))",
        "import os\nprint(sys.executable)\nprint('store', store, os.path.isdir(store), 'days', days, 'loud', loud, 'note', note)",
        "reports.deliver(result)",
    )
    out = folder / "out"
    given = {"days": "3", "loud": "yes"}
    made = reports.report(saved(folder, nb), store=folder / "stored", out=out, parameters=given, quiet=True)
    return made


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    source = tmp_path_factory.mktemp("source")
    for old in ("result.json", "claims.json"):
        (folder / old).write_text("{}")
    nb = notebook(
        "print('before')",
        "from llmobs_nb.errors import StoreError\nraise StoreError('store \\x1b[31m<b>x</b>: sk-abcdefgh12345678 is locked')",
        "print('never')",
    )
    return reports.report(saved(source, nb), out=folder, quiet=True)


def test_a_run_leaves_four_files(good):
    assert good.exit_code == 0 and good.error is None
    assert [p.name for p in dataclasses.astuple(good)[:4]] == ["tiny.ipynb", "tiny.html", "result.json", "claims.json"]
    assert all(p.is_file() for p in dataclasses.astuple(good)[:4])
    assert sorted(os.listdir(good.html.parent)) == ["claims.json", "result.json", "tiny.html", "tiny.ipynb"]


def test_the_page_cannot_act_and_says_it(good):
    page = assert_cannot_act(good.html.read_text())
    for words in ("A tiny report", "Errors went from 1.0 % to 2.0 %", "cell", "link", "styled", "careful", "2026-W46"):
        assert words in page.words
    assert page.tags.count("img") == 5  # four charts and the one that lost its address
    policy = [v for t, k, v in page.attributes if t == "meta" and v.startswith("default-src")]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]  # no sandbox: links can be followed


def test_the_page_is_small_and_hides_code(good):
    text = good.html.read_text()
    assert len(text) < 600_000
    assert "9,9" in Page(text).words and "characters more]" in text  # the 10 MB line was cut
    assert text.count('<details class="code">') == 9  # seven cells, the parameters and those given


def test_no_secret_in_any_file(good):
    for path in dataclasses.astuple(good)[:4]:
        assert not re.search("abcdefgh12345678|secretsecret", path.read_text()), path.name


def test_foreign_widgets_are_frozen(good):
    words = Page(good.html.read_text()).words
    for shown in ("size: 3", "kept", "<i>label", "First tab", "inside"):
        assert shown in words


def test_the_notebook_keeps_its_widgets(good):
    nb = nbformat.read(good.ipynb, as_version=4)
    state = nb.metadata.widgets[STATE]["state"]
    views = [o.data[VIEW]["model_id"] for c in nb.cells for o in c.get("outputs", []) if VIEW in o.get("data", {})]
    assert len(views) == 2 and all(v in state for v in views)
    assert nb.metadata.papermill.input_path == "tiny.ipynb" and nb.metadata.papermill.output_path == "tiny.ipynb"


def test_the_kernel_is_this_python_and_gets_the_parameters(good):
    words = Page(good.html.read_text()).words
    assert sys.executable in words
    assert f"store {os.path.join('..', 'stored')} True days 3 loud True note None" in words


def test_result_and_claims_are_delivered(good):
    result = json.loads(good.result_json.read_text())
    assert result["week"] == "2026-W46" and len(result["reading_list"]) == 2
    (claim,) = json.loads(good.claims_json.read_text())
    assert (claim["value"], claim["ci_low"], claim["ci_high"]) == (0.02, 0.01, 0.03)


def test_a_failed_run_is_exported_with_its_error(bad):
    page = assert_cannot_act(bad.html.read_text())
    assert "This report could not be finished. StoreError: store <b>x</b>: sk-… is locked" in page.words
    assert "before" in page.words
    assert bad.exit_code == 3
    assert bad.error == "StoreError: store <b>x</b>: sk-… is locked"


def test_a_failed_run_leaves_no_old_result(bad):
    assert bad.result_json is None and bad.claims_json is None
    assert sorted(os.listdir(bad.html.parent)) == ["tiny.html", "tiny.ipynb"]


@pytest.fixture(scope="module")
def weekly(tmp_path_factory):
    import llmobs_nb as lm

    out = tmp_path_factory.mktemp("weekly")
    return reports.report("weekly_quality_review", store=lm.demo().store, out=out, parameters={"week": "2026-W45"}, quiet=True)


def test_the_weekly_template_runs_on_the_demo(weekly):
    assert weekly.error is None and weekly.exit_code == 0
    page = assert_cannot_act(weekly.html.read_text())
    result = json.loads(weekly.result_json.read_text(), parse_constant=lambda c: pytest.fail(c))
    assert (result["week"], result["against"]) == ("2026-W45", "2026-W44")
    assert page.tags.count("picture") == 5
    assert result["headline"] in page.words
    for kpi in result["kpis"]:
        assert set(kpi) >= {"name", "unit", "slice", "this", "last", "baseline", "change", "verdict", "margin", "q"}
    claims = json.loads(weekly.claims_json.read_text(), parse_constant=lambda c: pytest.fail(c))
    assert {c["id"] for c in claims} >= {"kpi.requests.all.this", "kpi.error_rate.all.change"}
    assert result["checked"]["unclaimed"] == [] and weekly.warning is None
    assert result["checked"]["numbers"] == result["checked"]["claimed"] > 500


# --- what stops before anything runs


@pytest.fixture
def never(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("it ran")

    monkeypatch.setattr(runner, "run", refuse)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dais": 3}, r"parameter 'dais' is not known to tiny; choose from: store \(str\), days \(int\), share \(float\), loud"),
        ({"days": "three"}, r"parameter days='three' is not a whole number; the default is 7"),
        ({"days": 3.5}, r"parameter days=3.5 is not a whole number"),
        ({"days": True}, r"parameter days=True is not a whole number"),
        ({"days": None}, r"parameter days=None is not a whole number"),
        ({"share": "much"}, r"parameter share=.* is not a number; the default is 0.5"),
        ({"loud": "maybe"}, r"parameter loud=.* is not true or false; the default is False"),
    ],
)
def test_parameters_are_checked_first(never, tmp_path, parameters, message):
    with pytest.raises(UsageError, match=message):
        reports.report(saved(tmp_path, notebook()), out=tmp_path / "out", parameters=parameters)


def test_a_store_that_is_not_there(never, tmp_path):
    with pytest.raises(StoreError, match=r"store \S*nowhere is not there; make one with llmobs ingest PATH --store \S*nowhere"):
        reports.report(saved(tmp_path, notebook()), out=tmp_path, store=tmp_path / "nowhere")


def test_an_unknown_report_names_the_templates(never, tmp_path):
    with pytest.raises(UsageError, match=r"report='weekly' is not known; choose one of: .*weekly_quality_review"):
        reports.report("weekly", out=tmp_path)


def test_a_notebook_that_is_not_there_or_is_none(never, tmp_path):
    with pytest.raises(InputError, match=r"notebook \S*no.ipynb is not there; give a file, or one of: .*weekly_quality_review"):
        reports.report(tmp_path / "no.ipynb", out=tmp_path)
    (tmp_path / "text.ipynb").write_text("hello")
    with pytest.raises(InputError, match=r"text.ipynb is not a notebook \(.*\); give an .ipynb file"):
        reports.report(tmp_path / "text.ipynb", out=tmp_path)


def test_out_that_is_a_file(never, tmp_path):
    path = saved(tmp_path, notebook())
    with pytest.raises(InputError, match=r"out=\S*tiny.ipynb cannot be made a folder \(File exists\); give another one"):
        reports.report(path, out=path)


def test_the_notebook_is_not_overwritten_by_its_own_report(never, tmp_path):
    path = saved(tmp_path, notebook())
    with pytest.raises(InputError, match=r"out=\S+ holds tiny.ipynb itself; give another folder"):
        reports.report(path, out=tmp_path)
    assert path.is_file()


def test_an_interrupt_is_passed_on(tmp_path, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("papermill.execute_notebook", stop)
    with pytest.raises(InterruptError, match=r"tiny was interrupted; run it again, what it had made so far is in tiny.ipynb"):
        runs.run(notebook(), tmp_path / "tiny.ipynb", parameters={}, deliver_to=tmp_path, quiet=True)


def test_a_notebook_that_delivers_nothing(tmp_path):
    files = [tmp_path / n for n in ("a.ipynb", "a.html", "result.json", "claims.json")]
    made = runner._files(runs.Run(notebook()), *files)
    assert made.exit_code == 3 and made.result_json is None
    assert made.error == "UsageError: the notebook delivered no result; end it with lm.reports.deliver(result)"


# --- templates and parameters


def test_parameters_are_read_with_type_default_and_help():
    found = templates.parameters(notebook())
    assert list(found) == ["store", "days", "share", "loud", "note"]
    assert found["days"] == templates.Parameter("days", "int", 7, "how many")
    assert found["note"] == templates.Parameter("note", "str", None, "anything", optional=True)
    assert templates.parameters(new_notebook()) == {}


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("days", "12", 12), ("days", 12, 12), ("share", "0.25", 0.25), ("share", 1, 1.0),
        ("loud", "false", False), ("loud", True, True),
        ("store", Path("a/b"), "a/b"), ("store", "", ""), ("note", None, None), ("note", "none", "none"),
    ],
)  # fmt: skip
def test_values_are_read_in_the_type_of_the_parameter(name, value, taken):
    accepted = templates.parameters(notebook())[name].accept(value)
    assert accepted == taken and type(accepted) is type(taken)


def test_templates_ship_without_outputs_and_with_a_parameters_cell():
    assert "weekly_quality_review" in reports.names()
    for name in reports.names():
        nb = templates.read(reports.find(name))
        code = [c for c in nb.cells if c.cell_type == "code"]
        assert not [c for c in code if c.outputs or c.execution_count]
        assert nb.cells[0].source.startswith("# ")
        declared = templates.parameters(nb)
        assert [p["name"] for p in papermill.inspect_notebook(reports.find(name)).values()] == list(declared)
        assert declared["store"].default == ".llmobs" and all(p.help for p in declared.values())
        assert "lm.reports.deliver(result" in code[-1].source


def test_the_packaged_folder_is_preferred(tmp_path, monkeypatch):
    package = tmp_path / "pkg"
    package.mkdir()
    monkeypatch.setattr(templates, "_PACKAGE", package)
    assert templates.folder() == tmp_path / "notebooks"
    (package / "_notebooks").mkdir()
    assert templates.folder() == package / "_notebooks"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [("", {}), ("feature=chat", {"feature": "chat"}), (" a = b , c=d=e ,", {"a": "b", "c": "d=e"})],
)
def test_pairs(text, pairs):
    assert reports.pairs(text) == pairs


def test_pairs_without_a_value():
    with pytest.raises(UsageError, match=r"where='feature': 'feature' has no '='; write name=value, name=value"):
        reports.pairs("feature")


# --- delivery


@dataclasses.dataclass
class Answer:
    document: dict

    def json(self):
        return self.document

    def claims(self):
        return [self.document]


def test_delivery_is_strict_json(tmp_path, monkeypatch):
    monkeypatch.setenv(delivery.FOLDER, str(tmp_path))
    at = dt.datetime(2026, 11, 9, 12, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    numbers = {"nan": float("nan"), "inf": np.inf, "n": np.int64(3), "table": pd.DataFrame({"x": [1.5, None]})}
    reports.deliver(Answer(numbers | {"at": at, "lone": "\ud800", "url": "https://u:pass@host/x"}))
    text = (tmp_path / "result.json").read_text()
    assert json.loads(text, parse_constant=lambda c: pytest.fail(c)) == {
        "nan": None, "inf": None, "n": 3, "at": "2026-11-09T12:00:00+01:00", "lone": "\ud800", "url": "https://…@host/x",
        "table": [{"x": 1.5}, {"x": None}],
    }  # fmt: skip
    assert sorted(os.listdir(tmp_path)) == ["claims.json", "result.json"]


def test_nothing_is_delivered_in_an_interactive_session(tmp_path, monkeypatch):
    monkeypatch.delenv(delivery.FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    assert reports.deliver(Answer({})) is None
    assert os.listdir(tmp_path) == []


# --- freeze, sanitize, export


def widget(models, root):
    """A notebook with one widget output (without HTML of its own) and this state."""
    data = {VIEW: {"model_id": root}, "text/plain": "VBox()"}
    nb = new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", data=data)])])
    nb.metadata["widgets"] = {STATE: {"state": models}}
    return nb


def frozen(models, root="r"):
    outputs = freeze(widget(models, root)).cells[0].outputs
    return [dict(o.data) for o in outputs]


def model(name="", **state):
    return {"model_name": name, "state": state}


def test_freeze_keeps_the_html_of_a_view():
    nb = widget({}, "r")
    nb.cells[0].outputs[0].data["text/html"] = "<b>mine</b>"
    out = freeze(nb)
    assert dict(out.cells[0].outputs[0].data) == {"text/plain": "VBox()", "text/html": "<b>mine</b>"}
    assert "widgets" not in out.metadata and "widgets" in nb.metadata
    assert VIEW in nb.cells[0].outputs[0].data


@pytest.mark.parametrize(
    ("state", "html"),
    [
        (model("HTMLModel", value="<b onclick=x>a</b>"), "<div><b>a</b></div>"),
        (model("LabelModel", value="<a>"), "<div>&lt;a&gt;</div>"),
        (model("DropdownModel", description="pick", _options_labels=["x", "y"], index=1), "pick: <b>y</b>"),
        (model("IntSliderModel", description="n", value=0), "n: <b>0</b>"),
        (model("OutputModel", outputs=[{"data": {"text/html": "<i>o</i><script>1</script>"}}]), "<div><i>o</i></div>"),
        (model("OutputModel", outputs=[{"output_type": "stream", "text": ["<", "z"]}]), "<pre>&lt;z</pre>"),
        (model("OutputModel", outputs=[{"data": {"image/png": "aGk="}}]), 'src="data:image/png;base64,aGk="'),
    ],
)
def test_freeze_rebuilds_other_widgets(state, html):
    (data,) = frozen({"r": model("VBoxModel", children=["IPY_MODEL_c"]), "c": state})
    assert html in data["text/html"] and "text/plain" not in data


@pytest.mark.parametrize(
    "models",
    [
        {},
        {"r": model("VBoxModel", children=[])},
        {"r": model("VBoxModel", children=["IPY_MODEL_r"])},
        {"r": model("HTMLModel", value="")},
        {"r": model("LayoutModel")},
    ],
)
def test_freeze_drops_what_shows_nothing(models):
    assert "".join(re.sub("<[^>]+>", "", d["text/html"]) for d in frozen(models)) == ""


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("<b>x</b>", "<b>x</b>"),
        ("<script>alert(1)</script>a", "a"),
        ("<img src=x onerror=alert(1)>", "<img>"),
        ('<img src="data:image/png;base64,aGk=" alt="a">', '<img src="data:image/png;base64,aGk=" alt="a">'),
        ('<img src="data:image/svg+xml;base64,aGk=">', "<img>"),
        ("<a href='javascript:x'>a</a>", "a"),
        ("<p style='color:red;background:url(x)'>a", '<p style="color:red">a</p>'),
        ("<p style='position:fixed'>a</p>", "<p>a</p>"),
        ("<b><i>a</b>c", "<b><i>a</i></b>c"),
        ("</div></main>a", "a"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("<svg><script>x</script><circle></svg>a", "a"),
        ("<style>b{}</style>a", "a"),
        ("<textarea><b>x</textarea>a", "a"),
        ("<!-- c --><?php x ?>a", "a"),
        ("<details open><summary>s</summary>b</details>", '<details open=""><summary>s</summary>b</details>'),
        ("api_key=hunter2222", "api_key=…"),
    ],
)
def test_sanitize(raw, kept):
    assert sanitize(raw) == kept


@given(st.text(alphabet="<>/=\"' abscriptonlx&;!-", max_size=80))
def test_sanitized_html_never_acts(text):
    assert_cannot_act(sanitize(text))


# --- links


PIECES = [
    "http", "https", "HTTPS", "javascript", "data", ":", "/", "//", "\\", "@", "h.example", "[::1]", "%40", "%0a", "\t", "\n", " ", "\x00", "\x1f",
    "&#58;", "&colon;", "&Tab;", "&#9;", "&sol;", "?", "#", ".", ":80", "\u202e", "\xa0", "ｈ", '"', "'", ">", "<a href=", "</a>",
]  # fmt: skip
STARTS = ["", "https://", "http://h.example", "https://h.example/x", "javascript:"]


@given(st.sampled_from(STARTS), st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from(['"', "'", ""]))
def test_an_address_of_any_pieces_leads_to_a_web_page_or_nowhere(start, pieces, quote):
    made = sanitize(f"<a href={quote}{start}{''.join(pieces)}{quote}>t</a>")
    assert_cannot_act(made)
    assert sanitize(made) == made


def test_the_deep_links_of_a_page_reach_the_report(monkeypatch):
    monkeypatch.setattr(bundle, "png", lambda figure: b"\x89PNG")
    data = {"text/html": views.incident(fixtures_incident.incident()).html}
    cells = [
        new_code_cell("x", outputs=[new_output("display_data", data=data)]),
        new_markdown_cell("[read](https://docs.example/x) [run](javascript:x)"),
    ]
    page = assert_cannot_act(export(new_notebook(cells=cells), title="t"))
    assert [link["href"] for link in page.links] == [fixtures_incident.URL, "https://docs.example/x"]
    assert "run" in page.words


# --- the page


def test_export_without_a_title_or_outputs():
    page = assert_cannot_act(export(new_notebook(cells=[new_code_cell("")]), title="weekly_quality_review"))
    assert "weekly quality review" in page.words


def test_export_leaves_out_an_output_beyond_measure():
    data = {"text/html": "<b>" + "z" * 8_000_001}
    page = export(new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", data=data)])]), title="t")
    assert "[an output of 8,000,004 characters was left out]" in page and "zzz" not in page


def test_export_closes_what_an_output_left_open():
    data = {"text/html": "<table><tr><td>open"}
    cells = [new_code_cell("x", outputs=[new_output("display_data", data=data)]), new_markdown_cell("after")]
    assert_cannot_act(export(new_notebook(cells=cells), title="t"))


def test_importing_reports_loads_nothing_heavy():
    heavy = ("papermill", "nbconvert", "matplotlib", "ipywidgets", "pandas")
    code = f"import sys, llmobs_nb.reports, llmobs_nb.views; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TESTS.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_names_of_the_package():
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'; it has: ReportFiles, deliver"):
        _ = reports.nothing
