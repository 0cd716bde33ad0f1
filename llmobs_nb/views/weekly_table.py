"""The KPI table: families folded with their counts, what moved first, each number with its interval, each verdict in three cues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import units
from ..html import STRONG, Head, Html, badge, details, join, stack, table, tag
from ..text import terminal
from . import weekly_words as words
from .claimed import claimed
from .common_words import cue
from .parts import BLUE, ORANGE, left_out, strip, two_lines, verdict_badge
from .theme import is_number, label

OPEN_UP_TO = 24
COLOURS = {"better": BLUE, "worse": ORANGE, "met": BLUE, "missed": ORANGE}
_FADED = "opacity:.85;display:inline-block;"
_STRIP = "dark is its interval, blue its value, the line is zero, the faint zone the margin"
_HEAD = (
    Head("KPI"),
    Head("verdict", hint="better or worse beyond doubt, the same within the margin, or too few data to tell"),
    Head("change", number=True, hint=f"this minus last, its 95 % interval, and both as a picture: {_STRIP}"),
    Head("this", number=True, hint="its 95 % interval below it"),
    Head("last", number=True, hint="what it is compared with, and its 95 % interval below it"),
    Head("baseline", number=True, hint="the time before, or the pinned baseline, and its 95 % interval below it"),
    Head("n", number=True, hint="this, and last below it"),
)


def kpi_html(result, slice: str) -> Html:
    """The KPIs of one slice: what moved, then every family; open where something moved or where there are few KPIs."""
    rows = words.kpi_rows(result, slice=slice)
    if not rows:
        return table([], _HEAD, caption=caption(result, slice), empty="no KPI could be computed")
    few = len(rows) <= OPEN_UP_TO
    groups = words.by_family(rows)
    folded = (
        details(
            _summary(name, slice, part),
            table([_row(r) for r in words.moved_first(part)], _HEAD),
            is_open=few or bool(words.moved(part)),
        )
        for name, part in groups.items()
    )
    return stack(tag("p", tag("small", caption(result, slice))), *folded)


def moved_html(result) -> Html:
    """What moved beyond doubt, the worse first, of all traffic and of slices; nothing where nothing did."""
    rows = words.moved(result.kpis.to_dict("records"))
    if not rows:
        return Html("")
    shown = table([_row(r, sliced=True) for r in rows[: words.MAX_MOVED]], _HEAD)
    rest = left_out(len(rows) - words.MAX_MOVED, "more that moved")
    return stack(shown, claimed("div", rest, ids=["page.moved.left_out"]))


def sliced_html(result, others: Sequence[str]) -> Html:
    """The other slices in one closed table, for readers without the widget; what moved first."""
    if not others:
        return Html("")
    rows = words.moved_first([r for s in others for r in words.kpi_rows(result, slice=s)])
    shown = table([_row(r, sliced=True) for r in rows[: words.MAX_SLICE_ROWS]], _HEAD)
    told = claimed("span", f"By slice ({len(others)}): {words.counts_text(rows)}", ids=["page.slices.*"])
    rest = claimed("div", left_out(len(rows) - words.MAX_SLICE_ROWS, "more rows"), ids=["page.slices.*"])
    return details(told, shown, rest)


def counts_html(rows: Sequence[dict], ids: Iterable[str]) -> Html:
    """How many KPIs have each verdict, as badges; verdicts that nobody has are left out."""
    marks = []
    for verdict, n in words.counts(rows).items():
        icon, told, line = cue(words.VERDICTS, verdict)
        marks.append(badge(f"{n} {told}", icon, line=line, colour=COLOURS.get(verdict, STRONG)))
    return claimed("p", "All traffic: ", join(marks, " "), ids=ids, style="margin:.3em 0;line-height:1.9;")


def caption(result, slice: str) -> str:
    """Which weeks and what traffic a table is about."""
    what = "all traffic" if slice == "all" else terminal(slice)
    return f"{terminal(result.week.label)} against {terminal(result.against.label)}, {what}"


def level(row: dict, side: str) -> str:
    """A level of a row with the digits that its interval deserves."""
    return units.quantity(row[f"{side}_value"], row["unit"], low=row[f"{side}_low"], high=row[f"{side}_high"])


def _summary(name: str, slice: str, rows: Sequence[dict]) -> Html:
    told = f" ({units.count(len(rows))}): {words.counts_text(rows)}"
    return claimed("span", tag("b", words.family_title(name)), told, ids=[words.family_claim(name, slice, "*")])


def _row(row: dict, *, sliced: bool = False) -> list[object]:
    ids = [f"kpi.{row['name']}.{row['slice']}.*"]
    between = _limits(row, "change")
    name = tag("samp", terminal(row["label"]), style="font-family:inherit;", title=row.get("how"))
    if sliced and row["slice"] != "all":
        name = join([name, tag("samp", label(row["slice"], 60), style="font-size:.85em;opacity:.85;")], "<br>")
    counts = join([units.count(row["this_n"]), tag("small", units.count(row["last_n"]), style="opacity:.8;")], "<br>")
    drawn = strip(row["change_low"], row["change_value"], row["change_high"], margin=row["margin"], title=between)
    cells = [
        _verdict(row),
        join([part for part in (two_lines(_change(row, "change"), between), drawn) if part], "<br>"),
        *(two_lines(level(row, side), _between(row, side)) for side in ("this", "last", "baseline")),
        counts,
    ]
    return [name, *(claimed("div", cell, ids=ids) for cell in cells)]


def _between(row: dict, side: str) -> str:
    """The interval of a level; an exact count has none."""
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    return units.MISSING if low == high else units.interval(low, high, row["unit"])


def _change(row: dict, part: str) -> str:
    """A change, or a part of one, with its sign."""
    value, low, high = (row.get(f"{part}_{k}") for k in ("value", "low", "high"))
    return units.change(value, row["unit"], row["change_kind"], low=low, high=high)


def _limits(row: dict, part: str) -> str:
    return units.interval(row.get(f"{part}_low"), row.get(f"{part}_high"), row["unit"], kind=row["change_kind"])


def _verdict(row: dict) -> Html:
    """The verdict; below it why it cannot be told and what could have been seen, the mix where it differs, the objective."""
    lines = [verdict_badge(words.VERDICTS, row["verdict"], COLOURS)]
    if row["verdict"] == "cannot_tell":
        lines += [_small(words.why(row)), _small(words.detectable(row))]
    if words.mix_matters(row):
        inside, mix = ((_change(row, part), _limits(row, part)) for part in ("within", "mix"))
        lines.append(_small(f"at the same traffic {inside[0]} ({inside[1]}), by traffic mix {mix[0]} ({mix[1]})"))
    if is_number(row.get("slo")):
        lines.append(join([verdict_badge(words.SLO, row["slo_verdict"], COLOURS), _small(words.objective(row))], " "))
    return join([part for part in lines if part], "<br>")


def _small(text: str) -> Html:
    return tag("small", text, style=_FADED + "min-width:11em;max-width:17em;") if text else Html("")
