"""The sentences of the page for stakeholders: at most a dozen, each made from claims and naming them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import units
from ..analyses.result import Estimate, claim
from ..text import terminal
from . import stakeholder_numbers as plain
from . import weekly_beside as beside
from . import weekly_signals as signals
from . import weekly_words as words
from .stakeholder_words import saying
from .theme import is_number, label

EACH = 2
# What a stakeholder asks first.
FIRST = ("quality", "reliability", "feedback", "latency", "guardrails", "cost", "retrieval", "outside", "own", "volume")


@dataclass(frozen=True)
class Sentence:
    """One sentence and the ids of the claims whose numbers it holds."""

    text: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """The page: one sentence that sums up, and four parts."""

    lead: Sentence
    improved: tuple[Sentence, ...]
    watch: tuple[Sentence, ...]
    focus: tuple[Sentence, ...]
    unsure: tuple[Sentence, ...]

    @property
    def sections(self) -> dict[str, tuple[Sentence, ...]]:
        """The parts under their headings, in the order of the page."""
        return {
            "What improved": self.improved,
            "What to watch": self.watch,
            "Next focus": self.focus,
            "What we cannot tell yet": self.unsure,
        }


def story(result) -> Story:
    """What the review says, for somebody who does not work with it; an empty part says that there is nothing."""
    rows = important(words.kpi_rows(result))
    by = {v: [r for r in rows if r["verdict"] == v] for v in words.ORDER}
    parts = (
        _improved(result, by["better"]),
        _watch(result, by["worse"]),
        _focus(result, by["worse"]),
        _unsure(result, by["cannot_tell"]),
    )
    return Story(_lead(result, by), *parts)


def important(rows: Iterable[dict]) -> list[dict]:
    """What has a plain name first, then by what a stakeholder asks first."""
    at = {name: i for i, name in enumerate(FIRST)}
    return sorted(rows, key=lambda r: (not saying(r).known, at.get(r["family"], len(at))))


# --- the parts


def _lead(result, by: dict[str, list[dict]]) -> Sentence:
    if not any(by.values()):
        return Sentence(f"Nothing can be compared with last {words.span(result)}.", ())
    told = {"worse": "got worse", "better": "got better", "same": "stayed the same", "cannot_tell": "cannot be told yet"}
    said = [f"{units.count(len(by[v])) if by[v] else 'none'} {word}" for v, word in told.items() if by[v] or v == "worse"]
    text = f"Of {_things(sum(map(len, by.values())))} {', '.join(said)}."
    return Sentence(text, ("page.all.*",))


def _improved(result, better: Sequence[dict]) -> tuple[Sentence, ...]:
    return tuple(_changed(result, r) for r in better[:EACH]) or (Sentence("Nothing improved beyond doubt.", ()),)


def _watch(result, worse: Sequence[dict]) -> tuple[Sentence, ...]:
    told = tuple(_changed(result, r) for r in worse[:EACH])
    classes = result.new_error_classes.to_dict("records")
    if classes:
        first = max(classes, key=lambda r: r["n"])
        text = f"{units.count(first['n'])} requests failed in a way not seen before: {label(first['error_class'], 40)}."
        told = (*told, Sentence(text, (f"new_error.{first['error_class']}",)))
    told += _invented(result)
    return told or (Sentence("Nothing got worse beyond doubt.", ()),)


def _invented(result) -> tuple[Sentence, ...]:
    """That more answers look invented, where that is beyond doubt; nobody checked them."""
    row = signals.risky(result)
    if row is None or row["verdict"] != "worse":
        return ()
    now, before = (plain.amount(e["value"], "rate", (e["ci_low"], e["ci_high"])) for e in (row["this"], row["last"]))
    when = f"last {words.span(result)}"
    text = f"Signs that an answer may be made up stand in {now} of the answers looked at, {before} {when}; nobody has checked these yet."
    return (Sentence(text, ("signals.band.high.this", "signals.band.high.last")),)


def _focus(result, worse: Sequence[dict]) -> tuple[Sentence, ...]:
    firing, n, made = beside.firing(result), len(result.reading_list), beside.promoted(result)
    read = f"The team reads {units.count(n)} conversations"
    why = f"to find out why this got worse: {saying(worse[0]).short.format()}" if worse else "that stood out"
    out = [Sentence(f"{read} {why}.", ("page.traces.all",))] if n else []
    undo = next((r for r in beside.rows_of(result, "versions") if r["rollback"]), None)
    if undo:
        what = "prompt" if undo["axis"] == "prompt_version" else "model"
        text = f"A new version of the {what} {label(undo['name'], 40)} made an important number worse; going back to the one before is worth a try."
        out.append(Sentence(text, ()))
    if firing:
        open_ones = f"{units.count(len(firing))} automatic warnings are open"
        out.append(Sentence(f"{open_ones}; the first is {label(firing[0]['rule'], 40)}.", ("alerts.firing",)))
    if made:
        out.append(Sentence(f"{units.count(made)} failures were turned into test cases.", ("promoted",)))
    return tuple(out[:3]) or (Sentence("Nothing needs attention.", ()),)


def _unsure(result, rows: Sequence[dict]) -> tuple[Sentence, ...]:
    """What matters most and how many more answers would tell; the others are counted."""
    if not rows:
        return (Sentence("Every number could be told.", ()),)
    out = [_open(result, r) for r in [r for r in rows if needed(r)][:EACH]]
    rest = len(rows) - len(out)
    if rest:
        text = f"{_things(rest, 'more ' if out else '')} may have changed or not: the data are too few to say."
        out.append(Sentence(text, ("page.unsure.rest",)))
    return tuple(out)


# --- sentences


def _changed(result, row: dict) -> Sentence:
    said, limits = saying(row), (row["change_low"], row["change_high"])
    moved = plain.change(row["change_value"], _unit(row), limits, said.words, f"last {words.span(result)}")
    return Sentence(f"{_level(row)}, {moved}.", _ids(row, "this", "change"))


def _open(result, row: dict) -> Sentence:
    """A level, between what its change lies, and what would settle it."""
    said, span = saying(row), words.span(result)
    between = plain.between(_unit(row), (row["change_low"], row["change_high"]), said.words)
    more = f"about {units.count(needed(row))} more {said.counted} a {span} would tell"
    return Sentence(f"{_level(row)}, {between} than last {span}; {more}.", _ids(row, "this", "change", "needed"))


def _level(row: dict) -> str:
    value = plain.amount(row["this_value"], row["unit"], (row["this_low"], row["this_high"]))
    return saying(row).told.format(value=value)


def _unit(row: dict) -> str:
    return row["unit"] if row["change_kind"] == "absolute" else "relative"


def _ids(row: dict, *parts: str) -> tuple[str, ...]:
    return tuple(f"kpi.{row['name']}.{row['slice']}.{part}" for part in parts)


def _things(n: int, more: str = "") -> str:
    return f"{units.count(n)} {more}{'number' if n == 1 else 'numbers'}"


# --- the claims that only this page makes


def needed(row: dict) -> int | None:
    """How many more a week would show a change as large as the margin, to two digits; None where it is not known.

    What can be seen shrinks with the root of n, at best: days that differ among themselves ask for more.
    """
    known = all(is_number(row.get(k)) for k in ("detectable", "margin", "change_low", "change_high")) and row["margin"] > 0
    if not known or row["detectable"] <= row["margin"] or not row["this_n"]:
        return None
    more = row["this_n"] * ((row["detectable"] / row["margin"]) ** 2 - 1)
    return int(float(f"{more:.1e}")) or None


def claims(result) -> Iterable[dict]:
    """How many more are needed, and how many are not named."""
    rows = words.kpi_rows(result)
    for row in rows:
        more = needed(row) if row["verdict"] == "cannot_tell" else None
        if more is not None:
            text = f"{terminal(row['label'], 80)}: about so many more a week would show a change as large as the margin"
            how = "n × ((what could be seen / margin)² - 1), two digits; at best, as days differ too"
            yield _exact(f"kpi.{row['name']}.{row['slice']}.needed", text, more, how, int(row["this_n"]))
    found = words.counts(rows)
    named = min(sum(bool(needed(r)) for r in rows if r["verdict"] == "cannot_tell"), EACH)
    yield _exact("page.unsure.rest", "cannot be told, not named", found.get("cannot_tell", 0) - named, "counted")
    yield _exact("page.traces.all", "traces to read", len(result.reading_list), "counted", traces=result.reading_list)


def _exact(id: str, text: str, value: float, how: str, n: int | None = None, traces: Sequence[str] = ()) -> dict:
    e = Estimate(value, value, value, value if n is None else n)
    return claim(id, text, e, unit="count", how=how, traces=traces)
