"""HTML builders: everything is escaped, nothing depends on what notebooks strip, pieces read without CSS."""

import re
from html.parser import HTMLParser

import pytest

from llmobs_nb import html
from llmobs_nb.html import Head, Html

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e\x00 sk-abcdefgh12345678"


class Reader(HTMLParser):
    """Tags, text, and whether every tag was closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.stack, self.balanced = [], "", [], True
        self.feed(text)
        self.close()
        self.balanced &= not self.stack

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("img", "source", "br"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= bool(self.stack) and self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


PIECES = {
    "table": html.table([[HOSTILE, HOSTILE]], [HOSTILE, Head(HOSTILE, number=True, hint=HOSTILE)], caption=HOSTILE),
    "empty": html.table([], ["a", "b"], empty=HOSTILE),
    "badge": html.badge(HOSTILE, HOSTILE),
    "details": html.details(HOSTILE, HOSTILE),
    "bar": html.bar(0.5, HOSTILE),
    "bullets": html.bullets([HOSTILE]),
    "heading": html.heading(HOSTILE),
    "paragraph": html.paragraph(HOSTILE, small=True),
    "figure": html.figure(html.image(b"png", HOSTILE, dark=b"dark"), HOSTILE),
    "interval": html.interval(-1, 0, 1, limit=2, margin=0.5, title=HOSTILE),
}


@pytest.mark.parametrize("name", PIECES)
def test_hostile_text_is_inert(name):
    page = Reader(PIECES[name])
    assert "script" not in page.tags
    assert page.balanced
    assert not re.search("[\x00\x1b\u202e]|abcdefgh", PIECES[name])


@pytest.mark.parametrize("name", PIECES)
def test_nothing_that_notebooks_strip_or_that_fails_on_dark(name):
    assert not re.search(r"<style|<svg|var\(|currentcolor|[;\"\s]color:|url\(", PIECES[name].lower())


@pytest.mark.parametrize("name", sorted(set(PIECES) - {"interval", "figure"}))
def test_it_says_its_text_without_css(name):
    assert "alert(1)" in Reader(PIECES[name]).text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (1.5, "1.5"),
        (Html("<b>x</b>"), "<b>x</b>"),
        ("a & b < c", "a &amp; b &lt; c"),
        ("$1 to $2", "<span>$</span>1 to <span>$</span>2"),
        (r"\(x\)", r"<span>\</span>(x<span>\</span>)"),
    ],
)
def test_escape(value, shown):
    assert html.escape(value) == shown


def test_escape_shortens():
    assert html.escape("x" * 301) == "x" * 300 + "… [1 characters more]"


def test_an_attribute_cannot_be_left():
    assert html.tag("p", title='" onclick="x') == '<p title="&quot; onclick=&quot;x"></p>'


def test_tag_leaves_out_none_and_trailing_underscores():
    assert html.tag("p", "a", open_=None, class_="c") == '<p class="c">a</p>'


def test_table_is_a_table_for_screen_readers():
    page = html.table([["errors", "2"]], ["what", Head("n", number=True)], caption="c")
    assert re.sub(r' style="[^"]*"', "", page) == (
        "<div><table><caption>c</caption><thead><tr>"
        '<th scope="col">what</th><th scope="col">n</th></tr></thead>'
        '<tbody><tr><th scope="row">errors</th><td>2</td></tr></tbody></table></div>'
    )
    assert "text-align:right" in page


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="zip"):
        html.table([["a"]], ["x", "y"])


def test_empty_table_spans_all_columns():
    assert 'colspan="3"' in html.table([], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("share", "width"), [(0.25, "25.0%"), (2, "100.0%"), (-1, "0.0%"), (None, "0.0%"), (float("nan"), "0.0%")]
)
def test_bar_width(share, width):
    assert f"transparent {width}" in html.bar(share, "x")


def test_interval_stops_run_from_left_to_right():
    stops = [float(s) for s in re.findall(r"([\d.]+)%", html.interval(-0.5, 0.2, 5, limit=1, margin=0.1))]
    assert stops == sorted(stops)
    assert stops[0] == 0 and stops[-1] == 100
    assert 25.0 in stops  # -0.5 of a strip from -1 to 1


def test_image_has_words_and_a_dark_twin():
    picture = html.image(b"\x89PNG", "two <lines>", dark=b"dark")
    assert 'alt="two &lt;lines&gt;"' in picture
    assert re.findall(r'media="([^"]*)"', picture) == ["screen and (prefers-color-scheme: dark)"]
    assert re.findall(r'(src|srcset)="(data:image/png;base64,[^"]*)"', picture) == [
        ("srcset", "data:image/png;base64,ZGFyaw=="),
        ("src", "data:image/png;base64,iVBORw=="),
    ]


def test_no_bullets_without_items():
    assert html.bullets([]) == ""


def test_it_shows_itself_in_a_notebook():
    assert Html("<b>x</b>")._repr_html_() == "<b>x</b>"
