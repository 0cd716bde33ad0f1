"""A prompt before and after as HTML: the passage that came or went, and both texts line by line. The texts are hostile."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from ..html import LINE, Html, details, escape, stack, tag
from ..text import safe
from . import incident_words as words
from .claimed import quoting, unclaimed
from .common_words import moment, share, tz_of

LIMIT = 20_000
MAX_LINES = 400
_AROUND = 2
_LOOKS = {
    "+": ("ins", "background:rgba(0,114,178,.20);border-left:4px solid #0072b2;text-decoration:none;"),
    "-": ("del", "background:rgba(213,94,0,.20);border-left:4px double #d55e00;text-decoration:none;"),
    " ": ("span", "border-left:4px solid transparent;"),
}


def diff_html(cause, result) -> Html:
    """The diff of one cause: who has the passage since when, the passage, and below it the whole prompt on a click.

    A line begins with ``+`` or ``-`` as well as having a colour. Controls, bidi marks and secrets are gone from the texts;
    of a text only the first 20,000 characters and 400 lines are compared.
    """
    diff = cause.diff
    came = words.sign(diff) == "+"
    whose = f"{share(diff.share_rate)} of the traces of {words.where(cause.where)} {'have' if came else 'lack'} this passage"
    head = quoting("p", f"{whose} since {moment(diff.since, tz_of(result))}:", texts=[words.where(cause.where)])
    passage = _block(_line(words.sign(diff), text) for text in _lines(diff.passage))
    whole = details("The prompt before and after, line by line", _block(_compared(_lines(diff.before), _lines(diff.after))))
    return stack(head, passage, whole if diff.before or diff.after else "")


def _lines(text: object) -> list[str]:
    lines = safe(text, LIMIT).split("\n")
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], f"… [{len(lines) - MAX_LINES:,} lines more]"]


def _block(lines) -> Html:
    style = f"border:1px solid {LINE};border-radius:4px;padding:.5em;white-space:pre-wrap;overflow-wrap:anywhere;max-width:100%;"
    return unclaimed(*lines, name="pre", style=style)


def _line(mark: str, text: str) -> Html:
    name, style = _LOOKS[mark]
    return tag(name, f"{mark} ", escape(text, None), "\n", style=f"display:block;padding:0 .4em;min-height:1.3em;{style}")


def _compared(before: list[str], after: list[str]) -> Iterator[Html]:
    """Lines that went and came between those that stayed; long stretches that stayed are counted, not shown."""
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    steps = matcher.get_opcodes()
    for at, (what, i, j, k, m) in enumerate(steps):
        if what == "equal":
            yield from _stayed(before[i:j], first=at == 0, last=at == len(steps) - 1)
        else:
            yield from (_line("-", t) for t in before[i:j])
            yield from (_line("+", t) for t in after[k:m])


def _stayed(lines: list[str], *, first: bool, last: bool) -> Iterator[Html]:
    head, tail = 0 if first else _AROUND, 0 if last else _AROUND
    if len(lines) <= head + tail + 1:
        yield from (_line(" ", t) for t in lines)
        return
    yield from (_line(" ", t) for t in lines[:head])
    yield tag("i", f"  … {len(lines) - head - tail:,} lines as before\n", style="display:block;opacity:.75;")
    yield from (_line(" ", t) for t in lines[len(lines) - tail :] if tail)
