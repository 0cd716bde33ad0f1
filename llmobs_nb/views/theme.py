"""Colours of the charts, for light and dark pages.

This week is blue (Okabe and Ito), last week grey: apart in every kind of colour vision. Colour is never alone: charts give
each a marker and a line of its own as well.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING

from ..text import terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144
WIDTH = 7.6


@dataclass(frozen=True)
class Theme:
    """What a chart needs to know of the page it stands on. The card is opaque, so a chart reads on any page."""

    name: str
    card: str
    ink: str
    muted: str
    grid: str
    this: str
    last: str


LIGHT = Theme("light", "#ffffff", "#1f1f1f", "#5f5f5f", "#dcdcdc", "#0072b2", "#767676")
DARK = Theme("dark", "#1b1b1d", "#ececec", "#b4b4b4", "#3d3d40", "#56b4e9", "#a0a0a0")


def is_number(value: object) -> bool:
    """Whether ``value`` is there and finite (None, NaN, NaT and NA are not)."""
    try:
        return value is not None and math.isfinite(value)
    except TypeError:
        return False


def label(text: object, limit: int = 28) -> str:
    """``text`` from a trace as a word on a chart: one line, no controls, shortened with an ellipsis."""
    missing = text is None or text != text
    shown = "(none)" if missing else terminal(text, None)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _settings(theme: Theme) -> dict[str, object]:
    return {
        "figure.facecolor": theme.card,
        "savefig.facecolor": theme.card,
        "axes.facecolor": theme.card,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.muted,
        "axes.titlecolor": theme.ink,
        "axes.titlelocation": "left",
        "axes.titlesize": 9,
        "axes.labelsize": 8.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "text.color": theme.ink,
        "text.parse_math": False,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "hatch.color": theme.card,
        "font.family": ["sans-serif"],
        "font.size": 9,
    }


@contextmanager
def style(theme: Theme) -> Iterator[None]:
    """Matplotlib settings of ``theme`` while the block runs; the user's own come back after it."""
    import matplotlib

    with matplotlib.rc_context(_settings(theme)):
        yield


def themed(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A chart that draws with the settings of the ``theme`` it is given (LIGHT by default), whatever the user's own are."""

    @wraps(draw)
    def styled(*args, theme: Theme = LIGHT, **options) -> Figure:
        with style(theme):
            return draw(*args, theme=theme, **options)

    return styled


def new_figure(height: float = 3.2, width: float = WIDTH) -> Figure:
    """A figure of our size that no window or pyplot state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a small PNG (64 colours); characters the font does not have become boxes, silently."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(raw, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    raw.seek(0)
    Image.open(raw).convert("RGB").quantize(64).save(small, format="PNG", optimize=True)
    return small.getvalue()
