"""The review widget: what Python answers the page, its static twin, and the page itself in a browser where there is one."""

import re
import shutil
import subprocess
from functools import partial

import pytest
import reviewkit as kit
import storekit

from llmobs_nb.analyses.review import labels, queue
from llmobs_nb.errors import UsageError
from llmobs_nb.store.store import Store
from llmobs_nb.views import review_script
from llmobs_nb.views.bundle import WIDGET_MIME
from llmobs_nb.views.review_widget import review

CHROMIUM = shutil.which("chromium")
TRAITS = ("reviewer", "rubric", "rows", "items", "at", "categories", "suggested", "progress", "status")


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    return kit.store(tmp_path_factory.mktemp("shop") / "store")


@pytest.fixture
def shop(stocked, root):
    return shutil.copytree(stocked, root)


def words_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def send(widget, **message):
    """A message as the browser sends it; the answer."""
    widget._handle_custom_msg(message, [])
    return widget.status


def stored(root, name="review:verdict"):
    return {r["trace_id"]: r for r in storekit.rows(root, "scores") if r["name"] == name}


# --- messages


def test_the_view_has_three_forms_and_says_where_it_stands(shop):
    view = review(kit.queue(shop))
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html", WIDGET_MIME}
    assert view.text == "<ReviewQueue 0 of 6 done by ana>" and view.params == {"trace_id": "t000"}
    view.widget.at = 3
    assert view.params == {"trace_id": "t003"}
    assert review(kit.queue(shop), **view.params).widget.at == 3
    with pytest.raises(UsageError, match=r"trace_id='x' is not known; choose one of: t000, t001"):
        review(kit.queue(shop), trace_id="x")


def test_a_label_is_in_the_store_when_the_page_is_told_so(shop):
    widget = review(kit.queue(shop, rubric=("tone",))).widget
    told = send(
        widget, do="label", trace_id="t000", seq=1, verdict="fail", note="see #page", categories=["too long"], ratings={"tone": 2}
    )
    assert (told["kind"], told["trace_id"], told["seq"]) == ("saved", "t000", 1)
    assert re.fullmatch(r"Saved in the store at \d\d:\d\d:\d\d UTC\.", told["text"])
    assert stored(shop)["t000"]["comment"] == "see #page" and stored(shop, "review:tone")["t000"]["value"] == 2
    row = widget.rows[0]
    assert (row["state"], row["verdict"], row["categories"], row["ratings"]) == (
        "saved",
        "fail",
        ["too long", "page"],
        {"tone": 2},
    )
    assert widget.categories == ["too long", "page"]
    assert widget.progress == {"done": 1, "total": 6, "unsaved": 0, "others": 0}


def test_what_is_not_saved_is_shown_kept_and_tried_again(shop, monkeypatch):
    widget = review(kit.queue(shop)).widget
    monkeypatch.setattr(queue, "save", partial(labels.save, wait_seconds=0.05))
    with Store(shop).writing():
        told = send(widget, do="label", trace_id="t001", seq=4, verdict="fail", note="keep me")
        assert told["kind"] == "kept" and "is being written by process" in told["text"] and "press s to try again" in told["text"]
        assert send(widget, do="retry")["kind"] == "kept"
    assert (widget.rows[1]["state"], widget.rows[1]["note"], widget.progress["unsaved"]) == ("kept", "keep me", 1)
    assert "keep me" not in words_of(review(kit.queue(shop)).html)
    assert send(widget, do="retry")["text"] == "Saved in the store: 1 that were kept."
    assert stored(shop)["t001"]["comment"] == "keep me" and widget.rows[1]["state"] == "saved"


def test_what_another_did_is_shown_as_done_on_refresh(shop):
    widget = review(kit.queue(shop)).widget
    kit.queue(shop, reviewer="ben").label("t002", "fail", note="secret opinion", categories=["too long"])
    assert widget.rows[2]["others"] == []
    assert send(widget, do="refresh")["text"] == "Others have labelled 1 of these 6 traces."
    assert widget.rows[2]["others"] == ["ben"] and widget.rows[2]["verdict"] == ""
    assert widget.categories == ["too long"]
    assert "secret opinion" not in repr(widget.get_state())


def test_a_word_given_at_another_desk_is_not_overwritten_and_mine_can_be_discarded(shop):
    widget = review(kit.queue(shop)).widget
    kit.queue(shop).label("t000", "pass", note="elsewhere")
    told = send(widget, do="label", trace_id="t000", seq=1, verdict="fail")
    assert told["kind"] == "kept" and "ana has said pass at" in told["text"]
    assert send(widget, do="discard", trace_id="t000")["text"] == "Discarded: this is what the store has."
    assert (widget.rows[0]["verdict"], widget.rows[0]["note"]) == ("pass", "elsewhere")


@pytest.mark.parametrize(
    "message",
    [
        {"do": "label", "trace_id": "zz", "verdict": "pass"},
        {"do": "label", "trace_id": "t000", "verdict": "great"},
        {"do": "label", "trace_id": "t000"},
        {"do": "label", "trace_id": ["t000"], "verdict": "pass"},
        {"do": "label", "trace_id": "t000", "verdict": "pass", "categories": 7},
        {"do": "label", "trace_id": "t000", "verdict": "pass", "ratings": {"tone": "<b>"}},
        {"do": "label", "trace_id": "t000", "verdict": "pass", "ratings": [1]},
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(shop, message):
    widget = review(kit.queue(shop, rubric=("tone",))).widget
    told = send(widget, **message)
    assert told["kind"] == "refused" and told["text"].startswith("Not saved: ")
    assert stored(shop) == {} and widget.progress["unsaved"] == 0


@pytest.mark.parametrize("message", [None, 3, "x", [], {}, {"do": "erase"}])
def test_a_message_of_another_kind_is_not_heard(shop, message):
    widget = review(kit.queue(shop)).widget
    widget._handle_custom_msg(message, [])
    assert widget.status == {}


def test_the_traces_around_the_shown_one_are_at_hand_and_a_suggestion_for_it(shop):
    widget = review(kit.queue(shop, count=12)).widget
    send(widget, do="label", trace_id="t000", seq=1, verdict="fail", categories=["wrong refund"])
    widget.at = 3
    assert list(widget.items) == ["t002", "t003", "t004", "t005"]
    assert widget.suggested == {"t003": ["wrong refund"]}
    widget.at = 99
    assert list(widget.items) == ["t010", "t011"]


def test_it_starts_with_the_first_trace_that_nobody_has_labelled(shop):
    kit.queue(shop).label("t000", "pass")
    kit.queue(shop, reviewer="ben").label("t001", "pass")
    assert review(kit.queue(shop)).params == {"trace_id": "t002"}


def test_nothing_hostile_reaches_the_page_but_as_clean_text(root):
    made = kit.trace(0, source_url="javascript:alert(1)")
    storekit.put(root, **made)
    view = review(kit.queue(root, count=1))
    told = repr(view.widget.get_state(["rows", "items"]))
    assert not re.search("\\\\x1b|\x1b|\u202e|\\\\u202e|abcdefgh12345678|javascript:", told)
    assert view.widget.items["t000"]["href"] is None
    assert not re.search("<script|<img|javascript:|\x1b", view.html)


def test_only_a_plain_address_becomes_a_link_that_tells_nobody_where_it_was_clicked(shop):
    href = review(kit.queue(shop)).widget.items["t000"]["href"]
    assert href == {"href": "https://shop.example/t000", "target": "_blank", "rel": "noopener noreferrer nofollow"}


# --- the static twin


def test_the_static_twin_says_what_was_said_and_lets_read(shop):
    desk = kit.queue(shop, count=12, rubric=("tone",))
    desk.label("t000", "fail", note="bad <b>page</b>", categories=["too long"], ratings={"tone": 2})
    html = review(desk).html
    text = words_of(html)
    for told in (
        "1 of 12 traces done by ana",
        "t000 fail too long tone 2 bad",
        "How about the refund",
        "Page 1: password reset",
        "doc-1, 0.90",
    ):
        assert told in text
    assert "&lt;b&gt;page" in html and "2 more traces can be read where the queue is opened live" in text
    assert html.count("You answer customers.") == 10


# --- the script


def test_the_script_loads_nothing_and_writes_no_html():
    code = review_script.SCRIPT
    banned = r"https?:|\bimport\b|\bfetch\b|XMLHttp|innerHTML|insertAdjacent|outerHTML|eval\(|document\.write|Function\(|localStorage|sendBeacon"
    assert not re.search(banned, code) and not re.search(r"url\(|@import|https?:", review_script.STYLE)
    assert code.rstrip().endswith("export default { render };")


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript engine here")
def test_the_script_is_a_valid_module(tmp_path):
    path = tmp_path / "review.mjs"
    path.write_text(review_script.SCRIPT)
    done = subprocess.run(["node", "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- in a browser

_BOOT = """async ([code, state]) => {
  const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const heard = {}, changed = {};
  let now = state;
  const take = (next) => {
    const old = now;
    now = next;
    for (const name of Object.keys(next)) if (JSON.stringify(old[name]) !== JSON.stringify(next[name])) for (const f of heard["change:" + name] || []) f();
  };
  const model = { get: (name) => (name in changed ? changed[name] : now[name]), set: (name, value) => { changed[name] = value; }, off() {},
    on: (name, f) => { (heard[name] ||= []).push(f); }, send: async (message) => take(await python("send", message)),
    save_changes: async () => { for (const f of heard["change:at"]) f(); const next = await python("at", changed.at); delete changed.at; take(next); } };
  module.default.render({ model, el: document.getElementById("el") });
}"""


@pytest.fixture
def page():
    sync = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with sync.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page()
        browser.close()


def opened(page, widget):
    """The widget on a page, its messages answered by Python; what it asked the network for and what went wrong."""

    def python(what, value):
        if what == "at":
            widget.at = value
        else:
            send(widget, **value)
        return {name: getattr(widget, name) for name in TRAITS}

    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.expose_function("python", python)
    page.set_content(f"<style>{review_script.STYLE}</style><div id=el></div>")
    page.evaluate(_BOOT, [review_script.SCRIPT, {name: getattr(widget, name) for name in TRAITS}])
    page.locator(".llmobs-review").focus()
    return asked, wrong


def until(page, text):
    page.wait_for_function(
        "(text) => document.querySelector('.llmobs-review').innerText.includes(text)", arg=text, timeout=20_000
    )


def test_a_label_made_by_key_in_a_browser_is_in_the_store(shop, page):
    widget = review(kit.queue(shop, count=12, rubric=("tone",))).widget
    asked, wrong = opened(page, widget)
    keys = page.keyboard
    keys.press("n")
    keys.type("jump to the wrong #page")
    keys.press("Escape")
    until(page, "Not saved yet: give a verdict with p, f or u.")
    assert stored(shop) == {}
    keys.press("f")
    until(page, "✓ saved")
    assert (stored(shop)["t000"]["label"], stored(shop)["t000"]["comment"]) == ("fail", "jump to the wrong #page")
    keys.press("r")
    keys.press("4")
    keys.press("Escape")
    for _ in range(3):
        keys.press("j")
    until(page, "trace 4 of 12")
    until(page, "Suggested:")
    keys.press("g")
    keys.press("f")
    until(page, "trace 4 of 12 ✓ saved")
    keys.press("k")
    keys.press("1")
    keys.press("u")
    until(page, "trace 3 of 12 ✓ saved")
    assert stored(shop, "review:tone")["t000"]["value"] == 4
    assert {r["trace_id"] for r in storekit.rows(shop, "scores") if r["name"] == "review:category" and r["label"] == "page"} == {
        "t000", "t002", "t003",
    }  # fmt: skip
    keys.press("?")
    until(page, "take the first suggested category")
    assert page.evaluate("window.hacked === undefined && !document.querySelector('img, script')")
    assert wrong == [] and all(url.startswith("blob:") for url in asked)


def test_every_control_has_a_name_and_keys_stay_in_the_widget(shop, page):
    opened(page, review(kit.queue(shop, rubric=("tone",))).widget)
    page.evaluate("window.heard = 0; document.addEventListener('keydown', () => { window.heard += 1; })")
    for key in ("n", "x", "Escape", "?", "j"):
        page.keyboard.press(key)
    assert page.evaluate("window.heard") == 0
    assert page.locator("[data-lm-suppress-shortcuts=true]").count() == 1
    nameless = """[...document.querySelectorAll('button, input, textarea, select, progress, [role=region]')].filter((n) => !(n.innerText
      || n.getAttribute('aria-label') || n.closest('label'))).length"""
    assert page.evaluate(nameless) == 0
    assert (
        page.evaluate("[...document.querySelectorAll('button[aria-pressed]')].map((n) => n.ariaPressed).join()")
        == "false,false,false"
    )
    page.locator(".llmobs-review button").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
