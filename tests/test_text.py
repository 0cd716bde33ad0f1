"""Text out of traces: nothing of it acts on a terminal or a page, secrets are masked, long ones are cut with a count."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs_nb.text import clean, mask_secrets, safe, terminal

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (None, ""),
        (3.5, "3.5"),
        ("plain\ttext\nnext", "plain\ttext\nnext"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title", "0;title"),
        ("\x9b31mC1\x9d0;t\x9c", "C1"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("a\x00b\x07c\x7fd\x85e", "abcd\ne"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        (f"a{BIDI}b", "ab"),
        ("a\ud800b", "a\ufffdb"),
        ("pass\u200bword \ufeff", "password "),
        ("日本語 שלום 🎉", "日本語 שלום 🎉"),
    ],
)
def test_what_is_shown(raw, shown):
    assert safe(raw) == shown


@given(st.text())
def test_nothing_that_acts_is_left(text):
    shown = safe(text, None)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"]
    assert not set(shown) & set(BIDI)
    assert "\n" not in terminal(text)
    shown.encode("utf-8")


@given(st.text())
def test_clean_twice_is_clean_once(text):
    assert clean(clean(text)) == clean(text)


SECRETS = [
    ("sk-abcdefgh12345678", "sk-…"),
    ("key sk-proj-AbC_123-xyz987654 end", "key sk-… end"),
    ("pk-lf-12345678-aaaa", "pk-…"),
    ("sk-lf-12345678-aaaa", "sk-…"),
    ("lsv2_pt_0123456789abcdef", "lsv2…"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIA…"),
    ("ghp_abcdefghij0123456789", "ghp_…"),
    ("xoxb-123456789012-abcdef", "xoxb…"),
    ("Authorization: Bearer abc.def-ghi_123", "Authorization: Bearer …"),
    ("https://user:hunter22@example.org/a", "https://…@example.org/a"),
    ("api_key=hunter2222&x=1", "api_key=…&x=1"),
    ('{"password": "hunter22", "a": 1}', '{"password": "…", "a": 1}'),
    ('{\\"client_secret\\": \\"hunter22\\"}', '{\\"client_secret\\": \\"…\\"}'),
    ("OPENAI_API_KEY: hunter22", "OPENAI_API_KEY: …"),
    ("?key=abcdefghijklmnop", "?key=…"),
    ("eyJhbGciOiJI.eyJzdWIi.abc", "eyJh…"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x", "[private key …] x"),
    ("-----BEGIN PRIVATE KEY-----\nMIIE", "[private key …]"),
]


@pytest.mark.parametrize(("raw", "masked"), SECRETS)
def test_secrets_are_masked(raw, masked):
    assert mask_secrets(raw) == masked
    assert safe(raw) == masked


@pytest.mark.parametrize(("raw", "masked"), SECRETS)
def test_masking_again_changes_nothing(raw, masked):
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=500, tokens_in: 1200",
        "task-manager-service-1 and disk-1234567890",
        "sort key=created_at",
        "the secret of a good answer",
        "http://example.org/a@b",
        "sk-short",
        "trace 0af7651916cd43dd8448eb211c80319c",
    ],
)
def test_ordinary_text_stays(text):
    assert mask_secrets(text) == text


def test_an_escape_inside_a_secret_does_not_hide_it():
    assert safe("sk-abc\x1b[0mdefgh\u200b12345678") == "sk-…"


def test_what_is_cut_is_counted():
    assert safe("x" * 120, 100) == "x" * 100 + "… [20 characters more]"
    assert safe("x" * 100, 100) == "x" * 100


def test_ten_megabytes_cost_little():
    text = "x" * 10_000_000
    started = time.perf_counter()
    assert safe(text, 100) == "x" * 100 + "… [9,999,900 characters more]"
    assert terminal(text, 10) == "x" * 10 + "… [9,999,990 characters more]"
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("seen", range(19))
def test_half_a_secret_at_the_edge_of_what_is_read_is_not_shown(seen):
    edge = 2 * 100 + 4_096
    assert "sk" not in safe("\x00" * (edge - seen) + "sk-abcdefgh12345678" + "y" * 50_000, 100)


def test_terminal_is_one_line():
    assert terminal("a\n\n  b\tc\r\nd") == "a b c d"
