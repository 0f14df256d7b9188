"""Plots of a report, as SVG inside data URIs."""

import base64
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mtl_tf.evaluation.reporting.colours import DEPTH_COLOURS

_MAX_LABEL_LENGTH = 40
Arguments = ParamSpec("Arguments")


def _plain(draw: Callable[Arguments, str]) -> Callable[Arguments, str]:
    """Wrap a plot function so that `$` in a name starts no formula."""

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
        with matplotlib.rc_context({"text.parse_math": False, "svg.hashsalt": "mtl_tf"}):
            return draw(*args, **kwargs)

    return drawn


def _label(name: str) -> str:
    """Return a name as a short printable label; legends skip labels that start with `_`."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    plain = plain if len(plain) <= _MAX_LABEL_LENGTH else plain[:_MAX_LABEL_LENGTH] + "…"
    return f" {plain}" if plain.startswith("_") else plain


@_plain
def curve(lines: Mapping[str, Sequence[float]], log: bool = False) -> str:
    """Plot lines over epochs as a data URI.

    Args:
        lines: `{name: value of each epoch}`.
        log: logarithmic vertical axis.

    Returns:
        `data:image/svg+xml;base64,...`
    """
    figure = Figure(figsize=(5.2, 3.1), layout="constrained")
    axes = figure.subplots()
    for name, values in lines.items():
        axes.plot(range(1, len(values) + 1), values, marker=".", linewidth=1.6, label=_label(name))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    if log and all(v > 0 for values in lines.values() for v in values):
        axes.set_yscale("log")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return _as_uri(figure)


@_plain
def depth_bar(near_m: float = 0.0, far_m: float = 10.0) -> str:
    """Plot the colours of depth with their metres, as a data URI."""
    figure = Figure(figsize=(4.5, 0.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(
        np.linspace(0, 1, 256)[None],
        aspect="auto",
        cmap=DEPTH_COLOURS,
        extent=(near_m, far_m, 0, 1),
    )
    axes.set_yticks([])
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter("{x:g} m")
    return _as_uri(figure)


@_plain
def scatter(points: Mapping[str, tuple[float, float]], x_label: str, y_label: str) -> str:
    """Plot named points and their Pareto front, as a data URI.

    Args:
        points: `{name: (cost, gain)}`; lower cost and higher gain are better.
        x_label: label of the cost.
        y_label: label of the gain.

    Returns:
        `data:image/svg+xml;base64,...`
    """
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(points.items(), key=lambda item: (item[1][0], -item[1][1]))
    front: list[tuple[float, float]] = []
    for number, (name, (cost, gain)) in enumerate(ordered):
        axes.plot(cost, gain, "o", color=f"C{number % 10}", label=_label(name))
        if not front or gain > front[-1][1]:
            front.append((cost, gain))
    axes.step(*zip(*front, strict=True), where="post", color="grey", linewidth=1, zorder=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return _as_uri(figure)


@_plain
def bars(groups: Mapping[str, Mapping[str, float]], x_label: str) -> str:
    """Plot groups of horizontal bars, as a data URI.

    Args:
        groups: `{group: {bar: value}}`.
        x_label: label of the values.

    Returns:
        `data:image/svg+xml;base64,...`
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure_height = 0.8 + 0.16 * (len(names) + 1) * len(groups)
    figure = Figure(figsize=(5.2, figure_height), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(names)
    for number, name in enumerate(names):
        y = [i + (number - (len(names) - 1) / 2) * height for i in range(len(groups))]
        values = [group.get(name, float("nan")) for group in groups.values()]
        axes.barh(y, values, height, label=_label(name))
    axes.set_yticks(range(len(groups)), list(map(_label, groups)), fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(x_label)
    axes.grid(alpha=0.25, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return _as_uri(figure)


def _as_uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
