"""Which addresses become links, in a view and in a report: hostile ones lose the link and keep the text."""

import html
import re

import fixtures_incident as fx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs_nb.reports.sanitize import sanitize
from llmobs_nb.views.links import link, link_attributes
from llmobs_nb.views.theme import DARK, LIGHT

SCRIPTS = [
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "\tjavascript:alert(1)", "java\tscript:alert(1)",
    "java\nscript:alert(1)", "java\rscript:alert(1)", "java&#9;script:alert(1)", "java&Tab;script:alert(1)", "java&NewLine;script:alert(1)",
    "&#106;avascript:alert(1)", "&#x6A;avascript&#58;alert(1)", "&#0000106avascript:alert(1)", "javascript&colon;alert(1)",
    "&amp;#106;avascript:alert(1)", "\x01javascript:alert(1)", "java\x00script:alert(1)", "javascript\x00:alert(1)", "&#1;javascript:alert(1)",
    "javascript://h.example/%0aalert(1)", "javascript:/*https://h.example*/alert(1)", "javascript%3Aalert(1)", "\u202ejavascript:alert(1)", "ｊavascript:alert(1)",
    "vbscript:x", "livescript:x", "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=", "data:image/png;base64,aGk=",
    "blob:https://h.example/x", "view-source:https://h.example", "jar:https://h.example!/x", "feed:https://h.example", "filesystem:https://h.example/x",
]  # fmt: skip
ELSEWHERE = [
    "file:///etc/passwd",
    "ftp://h/x",
    "ws://h/x",
    "mailto:a@h",
    "tel:1",
    "about:blank",
    "x-app://h",
    "httpx://h/x",
    "httpss://h/x",
]
NO_HOST = [
    "", "x", "/x", "#x", "?x", "//h.example/x", "\\\\h.example\\x", "/\\h.example", "://h.example", "http", "http:", "http:/", "http://", "https://", "http:///h/x", "https://?x",
    "https://#x", "https://:80/", "http:h/x", "http:/h/x", "http:\\\\x", "http:\\x", "http:/\\h", "http:\\/h", "https&colon;h", "https:%2f%2fh/x",
]  # fmt: skip
BROKEN = [
    "ht\ttps://h/x", "ht\ntps://h/x", "http&Tab;s://h/x", "https&#9;://h/x", "https:/&#10;/h/x", "https:\t//h/x", " https://h/x", "https://h/x ", "&#32;https://h/x", "https://h/a b",
    "https://h/\tx", "https://h/&#10;x", "https://h\t.example/", "https://h\u00a0/", "https://h/\u3000x", "https://h/\u2028x", "https://h/\x7f", "https://h/\x85x", "https://h/\u202ex",
    "https://h/\ud800x", "https://h/\x1b[31mx", "https://h\\.example/", "https://good.example\\@evil.example/", "https://good.example/\\x", "https://[bad/", "https://h]/",
    "https://[::1/", "https://h:port/", "https://h:99999/", "https://h:0/", "https://h%2eexample/", "https://good.example%2fevil/", "https://h%00/", "https://good\u2100evil/",
    "https://<b>/", "https://h>/", "https://.../", "https://-/", "https://h:/", "https://h:80:80/", "https://[]/", "https://[h]/", "https://h!/", "https://h*(a)/", "https://h\u200cx!/",
]  # fmt: skip
LOGINS = ["https://user:pass@h/x", "https://user@h/x", "https://:pass@h/x", "https://@h/x", "https://:@h/x", "https://good.example@evil/", "https://a%40h@evil/", "https://h%40evil/"]  # fmt: skip
SECRETS = ["https://h/?api_key=abcdefgh12345678", "https://h/sk-abcdefgh12345678", "https://h/#access_token=abcdefgh12345678"]


@pytest.mark.parametrize("address", SCRIPTS + ELSEWHERE + NO_HOST + BROKEN + LOGINS + SECRETS)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_what_is_no_plain_web_address_is_no_link_in_a_report(address, quote):
    assert sanitize(f"<a class=x href={quote}{address}{quote} title=t onclick=x>te<b>x</b>t</a>") == "te<b>x</b>t"


@pytest.mark.parametrize("address", SCRIPTS + ELSEWHERE + NO_HOST + BROKEN + LOGINS + SECRETS)
def test_what_is_no_plain_web_address_is_no_link_in_a_view(address):
    assert link(html.unescape(address), "<t>") == "&lt;t&gt;"


@pytest.mark.parametrize("missing", [None, float("nan"), 7, b"https://h/x"])
def test_what_is_no_text_is_no_link(missing):
    assert link(missing, "t") == "t" and link_attributes(missing) == {}


@pytest.mark.parametrize(
    "url",
    [fx.URL, "http://localhost:3000/t/1?x=1&y=2#a", "https://[::1]:3000/t", "https://münchen.example/ü", "https://h/\"<x>'"],
)
def test_a_plain_web_address_is_a_link_that_tells_the_page_nothing(url):
    made = link(url, "trace-<0>")
    around = 'target="_blank" rel="noopener noreferrer nofollow"'
    assert made == f'<a href="{html.escape(url)}" {around}>trace-&lt;0&gt;</a>'


HOSTS = r"[a-z0-9]{1,9}(\.[a-z]{2,5}){0,2}(:[1-9][0-9]{1,3})?"
PATHS = r"(/[A-Za-z0-9_.~-]{0,9}){0,4}(\?[a-z]=[0-9]{1,5})?"


@given(st.sampled_from(["http", "https"]), st.from_regex(HOSTS, fullmatch=True), st.from_regex(PATHS, fullmatch=True))
def test_a_report_keeps_a_plain_address_as_it_is(scheme, host, path):
    address = f"{scheme}://{host}{path}"
    assert re.findall(r'href="([^"]*)"', sanitize(link(address, "t"))) == [address]


# --- a report rewrites every link


def opened(href, more=""):
    """The start of a link as a report has it: underlined, in the blue of the charts on light and on dark."""
    style = f"color:light-dark({LIGHT.this},{DARK.this});text-decoration:underline"
    return f'<a href="{href}" target="_blank" rel="noopener noreferrer nofollow" style="{style}"{more}>'


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("<a href='https://h.example/p?x=1&amp;y=%20#z'>t</a>", opened("https://h.example/p?x=1&amp;y=%20#z") + "t</a>"),
        ("<A HREF=http://localhost:3000/t>t</A>", opened("http://localhost:3000/t") + "t</a>"),
        ("<a href=https://[::1]:3000/t>t</a>", opened("https://[::1]:3000/t") + "t</a>"),
        ("<a href='HTTPS&colon;//h/t'>t</a>", opened("HTTPS://h/t") + "t</a>"),
        ("<a href='https://h/\"><script>1</script>'>t</a>", opened("https://h/&quot;&gt;&lt;script&gt;1&lt;/script&gt;") + "t</a>"),
        ("<a target=_self rel=opener ping=https://e onclick=x style='position:fixed' download href=https://h>t</a>", opened("https://h") + "t</a>"),
        ("<a title='api_key=hunter2222 \"' href=https://h>t</a>", opened("https://h", ' title="api_key=… &quot;"') + "t</a>"),
        ("<a href=https://h>api_key=hunter2222 &lt;b></a>", opened("https://h") + "api_key=… &lt;b&gt;</a>"),
        ("<a href=https://h href=javascript:x>t</a>", opened("https://h") + "t</a>"),
        ("<a href=javascript:x href=https://h>t</a>", "t"),
        ("<a href=https://h>t", opened("https://h") + "t</a>"),
        ("<a href='https://h'/>t", opened("https://h") + "</a>t"),
        ("<a href=https://h><b>t</a>u</b>", opened("https://h") + "<b>t</b></a>u"),
        ("<a href=https://g>t<a href=https://h>u</a>v</a>", opened("https://g") + "t</a>" + opened("https://h") + "u</a>v"),
        ("<a href=https://g>t<a href=javascript:x>u</a>v</a>", opened("https://g") + "t</a>uv"),
        ("<script><a href=https://h>t</a></script>u", "u"),
        ("<a name=x>t</a>", "t"),
        ("<a href>t</a>", "t"),
    ],
)  # fmt: skip
def test_a_link_to_a_web_page_stays_one_and_has_nothing_of_its_own(raw, kept):
    assert sanitize(raw) == kept
    assert sanitize(kept) == kept
