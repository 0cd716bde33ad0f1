"""Text that came out of a trace is hostile: this makes it safe to show, on one line or many, with secrets masked."""

from __future__ import annotations

import re
from collections.abc import Callable

LIMIT = 2_000
_SLACK = 4_096
_TAIL = 64

_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # operating system command, as in a hidden link
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)"  # device control, private message
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colour, cursor, erase
    r"|\x1b[ -/]*[0-~]"
)
_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # C0 and C1 but tab and newline
    "\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"  # marks, bidi, fillers
    "\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")

_VALUE = r"[^\s\"'\\,;&<>{}\[\]()]"
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.S)
_AUTHORIZATION = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}", re.I)
_URL_LOGIN = re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s/?#@\"'<>]{1,512}@", re.I)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)-lf-[A-Za-z0-9-]{4,}"
    r"|sk-[A-Za-z0-9_-]{8,}|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|lsv2_[A-Za-z0-9_]{6,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|(?:gh[opusr]_|github_pat_|glpat-)[A-Za-z0-9_-]{10,}|hf_[A-Za-z0-9]{20,}"
    r"|xox[a-z]-[A-Za-z0-9-]{6,}|xapp-[A-Za-z0-9-]{6,}"
    r"|AIza[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"
    r")"
)
_NAMES = (
    r"(?:api|access|secret|private|signing|encryption|account|subscription|public|service|license)[_-]?key(?:[_-]?id)?"
    r"|secrets?|passwords?|passwd|pwd|passphrase|credentials?|connection[_-]?string"
    r"|(?:auth|access|refresh|id|session|bearer|api|secret|security)[_-]?token|authorization|cookie"
)
_NAMED = re.compile(rf"((?:{_NAMES})\\*[\"']?\s*(?:=>|[:=])\s*\\*[\"']?)({_VALUE}{{4,}})", re.I)
_SHORT_NAMED = re.compile(rf"(?<![A-Za-z0-9_-])((?:key|token|sig|signature)=)({_VALUE}{{12,}})", re.I)


def mask_secrets(text: str) -> str:
    """``text`` with what looks like a credential replaced by at most its first four characters and ``…``.

    Known prefixes (sk-, pk-lf-, lsv2_, AKIA, ghp_, xox…), bearer and basic tokens, JSON web tokens, logins in URLs,
    private keys, and the values of names like ``api_key=`` or ``"password":``. It finds patterns, it proves nothing.
    """
    text = _PRIVATE_KEY.sub("[private key …]", text)
    text = _URL_LOGIN.sub(r"\1…@", text)
    text = _AUTHORIZATION.sub(r"\1\2…", text)
    text = _TOKEN.sub(lambda m: _mask(m.group()), text)
    text = _NAMED.sub(lambda m: m.group(1) + _kept(m.group(2)), text)
    return _SHORT_NAMED.sub(lambda m: m.group(1) + _kept(m.group(2)), text)


def _mask(secret: str) -> str:
    head = re.match(r"(?:sk|pk|rk)[-_]|[A-Za-z0-9]{1,4}[-_]?", secret)
    return (head.group() if head else "")[:4] + "…"


def _kept(value: str) -> str:
    """A named value: one that is masked already, or a word that says there is none, stays."""
    if value.endswith("…") or value.lower() in {"none", "null", "true", "false", "bearer", "basic"}:
        return value
    return "…"


def clean(text: str) -> str:
    """``text`` without terminal escapes, control characters, bidi controls and lone surrogates; tab and newline stay."""
    text = _BREAKS.sub("\n", _ESCAPES.sub("", text))
    return _SURROGATES.sub("\ufffd", _INVISIBLE.sub("", text))


def safe(text: object, limit: int | None = LIMIT) -> str:
    """``text`` fit for a page, a repr, a log or an error: cleaned, secrets masked, at most ``limit`` characters.

    Missing (None) gives "". What is cut is counted: ``… [1,234 characters more]``. A very long text is looked at
    only as far as it can be shown, so a 10 MB string costs what a short one costs; the count is then that of the raw text.
    ``limit=None`` cuts nothing. It is not HTML-escaped: that is :mod:`llmobs_nb.html`.
    """
    return _shown(text, limit, lambda raw: mask_secrets(clean(raw)))


def terminal(text: object, limit: int | None = 200) -> str:
    """:func:`safe` on one line: runs of white space become one space."""
    return _shown(text, limit, lambda raw: " ".join(mask_secrets(clean(raw)).split()))


def _shown(text: object, limit: int | None, tidy: Callable[[str], str]) -> str:
    raw = "" if text is None else text if isinstance(text, str) else str(text)
    window = raw if limit is None else raw[: limit * 2 + _SLACK]
    shown, unseen = tidy(window), len(raw) - len(window)
    if unseen:  # half a secret at the edge would not be recognised
        unseen += min(_TAIL, len(shown))
        shown = shown[:-_TAIL]
    if limit is not None and len(shown) > limit:
        unseen += len(shown) - limit
        shown = shown[:limit]
    return f"{shown}… [{unseen:,} characters more]" if unseen else shown
