"""The tables of the cost page: each row names the claims of its numbers; names from the data are marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import units
from ..html import Head, Html, bar, heading, join, paragraph, stack, table, tag
from ..text import terminal
from . import cost_numbers as numbers
from . import cost_words as words
from .claimed import claimed, said, unclaimed
from .common_words import day_name, moment, with_interval
from .incident_words import where
from .parts import BLUE, ORANGE, left_out, number_heads, trace_name, two_lines, verdict_badge
from .theme import is_number, label

MAX_ROWS = 40
MAX_TRACES = 5
_COLOURS = {"exceeded": ORANGE, "will_exceed": ORANGE, "warning": ORANGE, "within": BLUE}


# --- the ledger


def totals(result) -> Html:
    """What was used, recorded and would be paid at list prices, and how many calls have no price."""
    rows = [
        ("used (recorded where it is, else the list price)", "total_usd", units.money(result.total_usd)),
        ("recorded by the source", "recorded_usd", units.money(result.recorded_usd)),
        ("at list prices of the day", "list_usd", units.money(result.list_usd)),
        ("model calls that used tokens at no known price (in no sum)", "unpriced_spans", units.count(result.unpriced_spans)),
    ]
    return table([[name, claimed("span", text, ids=[id])] for name, id, text in rows], [Head("cost"), *number_heads("all")])


def ledger(result) -> Html:
    """One row a line of the ledger; they exclude each other and add up to the total."""
    head = [Head("line"), *number_heads("cost", "share", "recorded", "list price", "spans")]
    rows = []
    for r in result.lines.to_dict("records"):
        money = [units.money(r[k]) for k in ("cost_usd", "recorded_usd", "list_usd")]
        cells = [money[0], bar(r["share"], units.rate(r["share"])), *money[1:], units.count(r["spans"])]
        rows.append([label(r["told"], 80), *_proved(cells, f"line.{r['line']}.*")])
    return table(rows, head, empty="no line of the ledger has a cost")


def by(result) -> Html:
    """The partition by the keys that were asked for, the largest first; all rows add up to the total."""
    head = [*(Head(label(k, 40)) for k in result.keys), *number_heads("cost", "share", "requests", "one request, 95 % interval")]
    rows = []
    for at, r in enumerate(result.by.head(MAX_ROWS).to_dict("records")):
        one = r["cost_per_request"]
        unit = with_interval(one.value, one.ci_low, one.ci_high, "usd")
        cells = [units.money(r["cost_usd"]), bar(r["share"], units.rate(r["share"])), units.count(r["requests"]), unit]
        rows.append([*(_name(r[k]) for k in result.keys), *_proved(cells, f"by.{at}.*")])
    return stack(table(rows, head, empty="nothing has a cost"), _rest(result.by, "by"))


def spenders(result, key: str) -> Html:
    """The largest values of one column."""
    head = [Head(label(key, 40)), *number_heads("cost", "share")]
    rows = []
    for r in numbers.split(result, key).to_dict("records"):
        name = r["value"] if numbers.is_rest(r["id"]) else _name(r["value"])
        rows.append([name, *_proved([units.money(r["cost_usd"]), bar(r["share"], units.rate(r["share"]))], f"{r['id']}.*")])
    return table(rows, head)


def crossed(result, key: str, value: object) -> Html:
    """What one value of a column is spent on; nothing where no pair holds it."""
    rows = []
    for r in numbers.crossed(result, key, value)[:MAX_ROWS]:
        cells = [units.money(r["cost_usd"]), bar(r["share"], units.rate(r["share"]))]
        rows.append([_name(r["column"]), _name(r["of"]), *_proved(cells, f"pair.{r['at']}.*")])
    head = [Head("column"), Head("value"), *number_heads("cost", "share of all")]
    return table(rows, head, caption=join(["of ", _name(key), " = ", _name(value)])) if rows else Html("")


def pairs(result) -> Html:
    """Two columns crossed, the largest first."""
    rows = []
    for at, r in enumerate(result.pairs.head(MAX_ROWS).to_dict("records")):
        cells = [units.money(r["cost_usd"]), bar(r["share"], units.rate(r["share"]))]
        rows.append([*(_name(r[k]) for k in ("key", "value", "other_key", "other_value")), *_proved(cells, f"pair.{at}.*")])
    head = [Head("column"), Head("value"), Head("with"), Head("value"), *number_heads("cost", "share")]
    return stack(table(rows, head), _rest(result.pairs, "pairs")) if rows else Html("")


def concentration(result) -> Html:
    """How few make most of it, column by column."""
    head = [Head("column"), *number_heads("values", "the largest takes", "the ten largest take", "make four fifths")]
    rows = []
    for r in result.concentration.to_dict("records"):
        cells = [
            units.count(r["values"]),
            *(units.rate(r[k]) for k in ("top_1_share", "top_10_share")),
            units.count(r["for_80_percent"]),
        ]
        rows.append([_name(r["key"]), *_proved(cells, f"concentration.{r['key']}.*")])
    return table(rows, head) if rows else Html("")


def per_unit(result) -> Html:
    """What one request, session, user and good answer costs, with intervals; why where one has no number."""
    rows = []
    for name, e in result.per.items():
        text = two_lines(units.money(e.value, low=e.ci_low, high=e.ci_high), units.interval(e.ci_low, e.ci_high, "usd"))
        cell = text if e.ok else terminal(e.reason or "not estimated", 160)
        rows.append([words.PER.get(name) or label(name), *_proved([cell, units.count(e.n)], f"per.{name}")])
    return table(rows, [Head("cost of"), *number_heads("value, 95 % interval", "n")], empty="no unit cost could be computed")


# --- why it moved


def parts(result) -> Html:
    """The parts of the change, of all and of each feature; each row adds up."""
    moved = result.change
    names = [n for n, _ in numbers.parts(moved)]
    head = [Head("feature"), *number_heads("before", "after", *(words.part(n) for n in names))]
    every = {"feature": None, "before_usd": moved.before_usd, "after_usd": moved.after_usd, **dict(numbers.parts(moved))}
    rows = [_parts_row(tag("b", "all"), every, names, "change.*")]
    for at, r in enumerate(numbers.features(moved)[:MAX_ROWS]):
        rows.append(_parts_row(_name(r["feature"]), r, names, f"change.feature.{at}.*"))
    return stack(table(rows, head), _rest(moved.features, "features"))


def _parts_row(name: Html, row: dict, names: Sequence[str], ids: str) -> list[object]:
    levels = [units.money(row[k]) for k in ("before_usd", "after_usd")]
    return [name, *_proved([*levels, *(units.change(row[n], "usd", "absolute") for n in names)], ids)]


def slices(result) -> Html:
    """The few slices that explain most of the change."""
    rows = []
    for at, r in enumerate(result.change.slices.head(MAX_ROWS).to_dict("records")):
        levels = [units.money(r[k]) for k in ("before_usd", "after_usd")]
        against = two_lines(
            units.relative(r["effect"]), units.interval(r["effect_low"], r["effect_high"], "usd", kind="relative")
        )
        moved = [units.change(r["change_usd"], "usd", "absolute"), units.rate(r["share"]), against, units.count(r["n"])]
        rows.append([_name(where(r["where"]), 120), *_proved([*levels, *moved], f"change.slice.{at}.*")])
    head = [
        Head("slice"),
        *number_heads("before", "after", "change", "of the whole change", "against the rest, 95 % interval", "n"),
    ]
    return stack(heading("Where it moved"), table(rows, head)) if rows else Html("")


def beside(result) -> Html:
    """What goes with the change: output tokens against latency, context fill, turns."""
    rows = []
    for at, r in enumerate(result.change.beside.to_dict("records")):
        cells = [units.quantity(r[k], r["unit"]) for k in ("before", "after")]
        rows.append([label(r["name"], 80), *_proved(cells, f"change.beside.{at}.*")])
    return (
        stack(heading("What goes with it"), table(rows, [Head("what"), *number_heads("before", "after")])) if rows else Html("")
    )


# --- what is wasted, unusual, limited


def waste(result) -> Html:
    """One row a line of waste, with traces to read."""
    head = [Head("line"), *number_heads("cost", "share", "requests"), Head("traces")]
    rows = []
    for r in result.waste.to_dict("records"):
        cells = [units.money(r["cost_usd"]), bar(r["share"], units.rate(r["share"])), units.count(r["requests"])]
        rows.append([label(r["told"], 100), *_proved(cells, f"waste.{r['line']}.*"), _traces(r["traces"])])
    return table(rows, head, empty="no waste was found")


def anomalies(result) -> Html:
    """One row an unusual stretch of hours, the latest as it stands in the result."""
    head = [Head("since"), Head("where"), *number_heads("hours", "cost", "usual", "times", "z"), Head("traces")]
    rows = []
    for at, r in enumerate(result.anomalies.head(MAX_ROWS).to_dict("records")):
        money = [units.money(r[k]) for k in ("cost_usd", "usual_usd")]
        cells = [units.count(r["hours"]), *money, units.number(r["factor"]), units.number(r["z"])]
        where = (
            join([_name(r["scope"]), " ", _name(r["value"])]) if r["value"] is not None and r["value"] == r["value"] else "all"
        )
        rows.append([moment(r["at"], result.tz), where, *_proved(cells, f"anomaly.{at}.*"), _traces(r["traces"])])
    return stack(table(rows, head, empty="no hour or day was unusual"), _rest(result.anomalies, "anomalies"))


def budgets(result) -> Html:
    """One row a budget, how much of it is spent, and its state in a word, a mark and a line."""
    rows = []
    for at, r in enumerate(result.budgets.to_dict("records")):
        cells = [units.money(r["limit_usd"]), units.money(r["spent_usd"]), bar(r["share"], units.rate(r["share"]))]
        mark, told = verdict_badge(words.STATES, r["state"], _COLOURS), claimed("span", said(r["told"]), ids=[f"budget.{at}.*"])
        rows.append([_name(r["name"]), said(r["scope"]), mark, *_proved(cells, f"budget.{at}.*"), told])
    head = [Head("budget"), Head("of"), Head("state"), *number_heads("limit", "spent", "of it"), Head("")]
    return table(rows, head) if rows else Html("")


def backtest(result) -> Html:
    """How the forecast would have done on the months that are known, beside seasonal naive."""
    found = result.forecast
    rows = []
    for r in found.backtest.to_dict("records") if found is not None else ():
        shares = [units.rate(r[k]) for k in ("cover80_rate", "cover95_rate")]
        rows.append(
            [
                label(r["method"]),
                *_proved([units.count(r["origins"]), *shares, units.money(r["pinball_usd"])], f"backtest.{r['method']}.*"),
            ]
        )
    names = ("tries", "inside the 80 % interval", "inside the 95 % interval", "pinball loss (less is better)")
    return table(rows, [Head("method"), *number_heads(*names)]) if rows else Html("")


# --- gaps


def gaps(result) -> Html:
    """Models whose recorded cost is not the list price, with the factor between both."""
    rows = []
    for at, r in enumerate(result.gaps.head(MAX_ROWS).to_dict("records")):
        cells = [units.count(r["spans"]), *(units.money(r[k]) for k in ("recorded_usd", "list_usd")), units.number(r["factor"])]
        rows.append([_name(r["provider"]), _name(r["model"]), *_proved(cells, f"gap.{at}.*")])
    head = [Head("provider"), Head("model"), *number_heads("spans", "recorded", "list price", "recorded / list")]
    return stack(table(rows, head), _rest(result.gaps, "gaps")) if rows else Html("")


def unpriced(result) -> Html:
    """Models without a price and why."""
    rows = []
    for at, r in enumerate(result.unpriced.head(MAX_ROWS).to_dict("records")):
        rows.append(
            [_name(r["model"]), unclaimed(label(r["reason"], 120)), *_proved([units.count(r["spans"])], f"unpriced.{at}.*")]
        )
    return (
        stack(table(rows, [Head("model"), Head("why"), *number_heads("spans")]), _rest(result.unpriced, "unpriced"))
        if rows
        else Html("")
    )


# --- over time


def days(result) -> list[list[object]]:
    """What each day cost, and what the days to come are expected to, for the table behind the chart."""
    rows = [
        [day_name(r["day"]), *_proved([units.money(r["cost_usd"])], f"day.{r['day']}"), "spent"]
        for r in numbers.drawn_days(result)
    ]
    for r in numbers.days_to_come(result.forecast, "days"):
        rows.append([day_name(r["day"]), *_proved([_expected(r)], f"coming.{r['day']}.*"), "expected"])
    return rows


def running(result) -> list[list[object]]:
    """The month day upon day."""
    rows = []
    for r in result.forecast.total.to_dict("records"):
        text = _expected(r) if not is_number(r["spent_usd"]) else units.money(r["spent_usd"])
        rows.append(
            [day_name(r["day"]), *_proved([text], f"running.{r['day']}.*"), "spent" if is_number(r["spent_usd"]) else "expected"]
        )
    return rows


def hours(result) -> list[list[object]]:
    """What an hour of the week costs: a row a weekday, a column an hour."""
    cells = {(int(r["weekday"]), int(r["hour"])): r for r in numbers.by_hour(result).to_dict("records")}
    rows = []
    for d, name in enumerate(words.WEEKDAYS):
        told = [units.money(cells[d, h]["usd"]) if (d, h) in cells else "" for h in range(24)]
        rows.append([name, *(claimed("span", t, ids=[f"hour.{d}.{h}"]) if t else "" for h, t in enumerate(told))])
    return rows if cells else []


def _expected(row: dict) -> str:
    return with_interval(row["expected_usd"], row["low80"], row["high80"], "usd")


# --- shared


def _proved(cells: Iterable[object], *ids: str) -> list[Html]:
    return [claimed("div", cell, ids=ids) for cell in cells]


def _name(text: object, limit: int = 60) -> Html:
    """A name from the data: whatever numbers it holds are its own."""
    return tag("samp", label(text, limit), style="font-family:inherit;")


def _traces(traces: object) -> Html:
    known = list(traces) if isinstance(traces, (list, tuple)) else []
    return paragraph(join(map(trace_name, known[:MAX_TRACES]), " "))


def _rest(frame, name: str) -> Html:
    """How many rows are in the result only."""
    left = left_out(len(frame) - MAX_ROWS)
    return claimed("div", left, ids=[f"page.{name}.left_out"]) if left else Html("")
