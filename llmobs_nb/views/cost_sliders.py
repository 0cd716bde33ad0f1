"""What if: sliders for traffic, prices, judging, prompts and caching that price history again; their state reads back as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import units
from ..analyses.result import Estimate, claim
from ..errors import UsageError
from ..html import Head, Html, join, stack, table, tag
from ..stats.estimate import finite
from ..text import terminal
from .bundle import View
from .claimed import claimed
from .common_words import with_interval
from .cost_page_claims import window_days
from .parts import findings, number_heads, page_head, provenance
from .theme import is_number, label
from .widget_parts import html_widget

if TYPE_CHECKING:
    from ipywidgets import Widget

    from ..analyses.cost.whatif import WhatIfResult
    from ..observations import Observations

# Name: what a reader sees, least, most, step, what it is today, what a page without a choice shows of it.
SLIDERS = {
    "volume": ("traffic, times", 0.2, 3.0, 0.05, 1.0, 1.2),
    "price": ("prices, times", 0.1, 2.0, 0.05, 1.0, 0.9),
    "judge_sample": ("judging kept", 0.0, 1.0, 0.05, 1.0, 0.5),
    "prompt": ("prompt kept", 0.1, 1.0, 0.05, 1.0, 0.8),
    "cache": ("input cached", 0.0, 0.95, 0.05, 0.0, 0.5),
}
_WINDOW = ("since", "until", "tz")


class WhatIf(View):
    """A view of what history would have cost, whose sliders read back as arguments. ``result`` is that of the static form."""

    def __init__(self, result: WhatIfResult, obs: Observations | None, params: dict, given: dict):
        self.result, self._given = result, given
        build = (lambda view: _widget(obs, view)) if obs is not None and result.window is not None else None
        super().__init__(_page(result), terminal(result.headline, 600), widget=build, params=params)

    def kwargs(self) -> dict:
        """The keyword arguments of :func:`llmobs_nb.what_if` where the sliders stand: ``lm.what_if(obs, **explorer.kwargs())``."""
        return self._given | _moved(self.params)

    def claims(self) -> list[dict]:
        """Every number of the static form."""
        return [*self.result.claims(), *_claims(self.result)] if self.result.window is not None else []


def what_if(given: Observations | WhatIfResult, *, since=None, until=None, tz: str = "UTC", **start: float) -> WhatIf:
    """What history would have cost; ``start`` says where the sliders of :data:`SLIDERS` stand (by default where things are).

    With nothing moved the static form shows one telling change of each. A result of :func:`llmobs_nb.what_if` is shown as it is, without
    sliders. UsageError for a slider that is none or a value outside of it.
    """
    if hasattr(given, "measures"):
        known = given.parameters
        return WhatIf(
            given,
            None,
            _standing({k: v for k, v in known.items() if k in SLIDERS}),
            {k: v for k, v in known.items() if k not in SLIDERS},
        )
    params = _standing(start)
    window = {k: v for k, v in zip(_WINDOW, (since, until, tz), strict=True) if v is not None}
    examples = {name: slider[-1] for name, slider in SLIDERS.items()}
    return WhatIf(_asked(given, window | (_moved(params) or examples)), given, params, window)


def _asked(obs: Observations, kwargs: dict) -> WhatIfResult:
    from ..analyses.cost.whatif import what_if as ask

    return ask(obs, **kwargs)


def _standing(start: dict[str, float]) -> dict[str, float]:
    """Where every slider stands."""
    for name, value in start.items():
        if name not in SLIDERS:
            raise UsageError(f"what_if: {label(name, 40)!r} is no slider; choose one of: {', '.join(SLIDERS)}")
        _, least, most, *_ = SLIDERS[name]
        if not is_number(value) or not least <= value <= most:
            raise UsageError(
                f"what_if: {name}={label(value, 40)} lies outside of its slider; give a number from {least:g} to {most:g}"
            )
    return {name: float(start.get(name, slider[4])) for name, slider in SLIDERS.items()}


def _moved(params: dict[str, float]) -> dict[str, float]:
    """The sliders that do not stand where things are."""
    return {name: value for name, value in params.items() if abs(value - SLIDERS[name][4]) > 1e-9}


# --- the static form


def _page(result: WhatIfResult) -> Html:
    return stack(page_head(result), _measures(result), _quality(result), findings(result), provenance(result))


def _measures(result: WhatIfResult) -> Html:
    """One row a measure alone, then all of them together; what is assumed beside each."""
    head = [Head("measure"), *number_heads("it would have cost", "saved", "of the cost"), Head("assumed")]
    rows = []
    for r in result.measures.to_dict("records"):
        cells = [units.money(r["usd"]), units.change(r["saving_usd"], "usd", "absolute"), _share(r["share"])]
        marks = [f"what_if.{r['name']}.*", f"what_if:saving_usd:{r['name']}"]
        shown = (claimed("div", c, ids=marks) for c in cells)
        rows.append([_told(r["told"], marks), *shown, _told(r["assumed"], marks)])
    if len(rows) > 1:
        cells = [units.money(result.usd), units.change(result.saving_usd, "usd", "absolute"), _share(_all(result))]
        shown = (claimed("div", c, ids=["what_if:usd", "what_if:saving_usd", "what_if.all.*"]) for c in cells)
        rows.append([tag("b", "all of them, one after the other"), *shown, ""])
    was = join(["It did cost ", claimed("span", units.money(result.base_usd), ids=["what_if:base_usd"])])
    return table(rows, head, caption=was, empty="nothing was asked to be different")


def _told(text: str, marks: list[str]) -> Html:
    return claimed("div", terminal(text, 300), ids=marks)


def _all(result: WhatIfResult) -> float | None:
    return result.saving_usd / result.base_usd if result.base_usd else None


def _share(value: float | None) -> str:
    return units.rate(value)


def _quality(result: WhatIfResult) -> Html:
    """What judges said where the new model was tried; nothing where no model was changed or none was tried."""
    rows = []
    for at, r in enumerate(result.quality.to_dict("records")):
        told = with_interval(r["value"], r["ci_low"], r["ci_high"], "score")
        names = (tag("samp", label(r[k], 60), style="font-family:inherit;") for k in ("feature", "model", "role", "score"))
        rows.append([*names, *(claimed("div", t, ids=[f"what_if.quality.{at}"]) for t in (told, units.count(r["n"])))])
    head = [Head("feature"), Head("model"), Head("role"), Head("score"), *number_heads("mean, 95 % interval", "n")]
    return table(rows, head, caption="What judges said where it was tried; no promise") if rows else Html("")


def _claims(result: WhatIfResult) -> list[dict]:
    """What the table holds beside the savings, and the sentences that say what is assumed."""
    out = []
    for r in result.measures.to_dict("records"):
        id, text = f"what_if.{r['name']}", terminal(r["told"], 300)
        out += [_exact(f"{id}.usd", text, r["usd"], "usd"), _exact(f"{id}.share", text, r["share"], "rate")]
        out.append(_exact(f"{id}.assumed", terminal(r["assumed"], 300), r["saving_usd"], "usd"))
    out.append(window_days(result) | {"id": "what_if.window.days"})
    all_, text = _all(result), "all of them, one after the other"
    out += [
        _exact("what_if.all.share", text, all_, "rate"),
        _exact("what_if.all.change", text, None if all_ is None else -all_, "relative"),
    ]
    for at, r in enumerate(result.quality.to_dict("records")):
        e = Estimate(*(finite(r[k]) for k in ("value", "ci_low", "ci_high")), int(r["n"]))
        out.append(
            claim(f"what_if.quality.{at}", f"{label(r['score'], 60)} of {label(r['model'], 60)}", e, unit="score", how="judged")
        )
    for at, one in enumerate(result.findings):
        out.append(_exact(f"what_if.finding.{at}", terminal(one.text, 400), one.count, "count"))
    return out


def _exact(id: str, text: str, value: float | None, unit: str) -> dict:
    e = Estimate.refused("nothing was spent") if value is None else Estimate(float(value), float(value), float(value), 0)
    return claim(id, text, e, unit=unit, how="history repriced, see the text")


# --- the widget


def _widget(obs: Observations, view: WhatIf) -> Widget:
    """The sliders above the page; one that is let go prices history again."""
    from ipywidgets import FloatSlider, HBox, Layout, VBox

    shown = html_widget(view.html)

    def listen(name: str, slider: FloatSlider) -> FloatSlider:
        def moved(change: dict) -> None:
            view.params[name] = change["new"]
            shown.value = str(_page(_asked(obs, view.kwargs())))

        slider.observe(moved, names="value")
        return slider

    sliders = [
        listen(name, FloatSlider(value=view.params[name], min=low, max=high, step=step, description=told, continuous_update=False,
                                 readout_format=".2f", style={"description_width": "7em"}))
        for name, (told, low, high, step, *_) in SLIDERS.items()
    ]  # fmt: skip
    return VBox([HBox(sliders, layout=Layout(flex_flow="row wrap")), shown])
