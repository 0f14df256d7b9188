"""Figures of a page: Matplotlib plots as SVG inside the page, in the colours of its text."""

import dataclasses
import functools
import io
import re
import threading
from collections.abc import Callable
from typing import ParamSpec

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

_MAX_LABEL_LENGTH = 40
_PIXELS_PER_INCH = 110  # at most
_INK = "#010203"  # becomes the colour of the text around
_STYLE = {
    "text.parse_math": False,  # `$` in a name starts no formula
    "svg.hashsalt": "mtl_tf",
    "svg.fonttype": "none",
    "font.size": 9,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
    ),
}
_DRAWING = threading.Lock()  # the style of Matplotlib is one for all threads
_Arguments = ParamSpec("_Arguments")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A plot of a page.

    Attributes:
        title: caption.
        svg: the drawing, an `<svg>` element that adapts to the width and the colours of the page.
        alt: the numbers as text, for those who do not see it.

    Examples:
        >>> Figure("Loss", Markup("<svg></svg>"), "1 to 0.5").title
        'Loss'
    """

    title: str
    svg: Markup
    alt: str


def styled(draw: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    """Wrap a function that plots, so that it does in the style of the pages."""

    @functools.wraps(draw)
    def drawn(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        with _DRAWING, matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(width: float = 4.4, height: float = 2.7) -> tuple[Canvas, Axes]:
    """Return an empty figure of a size in inches, and its axes without frame."""
    drawing = Canvas(figsize=(width, height), layout="constrained")
    axes = drawing.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2, color=_INK, linewidth=0.6)
    axes.set_axisbelow(True)
    return drawing, axes


def percent_canvas(x_label: str, y_label: str) -> tuple[Canvas, Axes]:
    """Return an empty figure with both axes from 0 to 100 %, and its axes."""
    drawing, axes = canvas()
    axes.set(xlabel=f"{x_label}, %", ylabel=f"{y_label}, %", xlim=(0, 100), ylim=(0, 100))
    return drawing, axes


def legend_above(drawing: Canvas, axes: Axes) -> None:
    """Put the legend above the axes, where it hides no line."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, min(len(labels), 60 // (max(map(len, labels)) + 5)))
    drawing.legend(
        handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize=8
    )


def finished(drawing: Canvas, title: str, alt: str) -> Figure:
    """Return a drawing as a figure of a page.

    Args:
        drawing: to be stored.
        title: caption.
        alt: the numbers as text.
    """
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # would be no ids: each figure has the same ones
    start, rest = text.split(">", 1)
    text = re.sub(r' (width|height)="[^"]*"', "", start) + ">" + rest
    text = text.replace(_INK, "currentColor")
    width = round(_PIXELS_PER_INCH * drawing.get_size_inches()[0])
    label = f'<svg role="img" aria-label="{escape(alt)}" style="max-width:{width}px" '
    return Figure(title, Markup(text.replace("<svg ", label, 1)), alt)


def label(name: str) -> str:
    """Return a name as a short printable label; legends skip labels that start with `_`."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    plain = plain if len(plain) <= _MAX_LABEL_LENGTH else plain[:_MAX_LABEL_LENGTH] + "…"
    return f" {plain}" if plain.startswith("_") else plain
