"""Plots of reports: curves, bars, scatter plots, and the colours of depth."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np

from mtl_tf.evaluation.reporting.colours import DEPTH_COLOURS
from mtl_tf.evaluation.reporting.figures import (
    Figure,
    canvas,
    finished,
    label,
    legend_above,
    styled,
)
from mtl_tf.evaluation.reporting.palette import COLOURS

Colours = Mapping[str, str]


@styled
def curve(
    title: str,
    lines: Mapping[str, Sequence[float]],
    y_label: str = "",
    colours: Colours | None = None,
    log: bool = False,
) -> Figure:
    """Plot lines over epochs; lines after the first of a colour are dashed.

    Args:
        title: caption.
        lines: `{name: value of each epoch}`; NaN is left out.
        y_label: label of the values, with their unit.
        colours: `{name: colour}`.
        log: logarithmic vertical axis, where the values span more than a factor of ten.
    """
    drawing, axes = canvas()
    seen: set[str] = set()
    for number, (name, values) in enumerate(lines.items()):
        colour = (colours or {}).get(name, COLOURS[number % len(COLOURS)])
        style = "--" if colour in seen else "-"
        seen.add(colour)
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, style, marker=".", markersize=4, color=colour, label=label(name))
    axes.set_xlabel("epoch")
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    values_of_all = [v for values in lines.values() for v in values]
    if log and min(values_of_all) > 0 and max(values_of_all) > 10 * min(values_of_all):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    if len(lines) > 1:
        legend_above(drawing, axes)
    ends = "; ".join(f"{name} {v[0]:.3g} to {v[-1]:.3g}" for name, v in lines.items())
    return finished(drawing, title, f"{title}, from the first to the last epoch: {ends}")


@styled
def depth_bar(near_m: float = 0.0, far_m: float = 10.0) -> Figure:
    """Plot the colours of depth with their metres."""
    drawing, axes = canvas(4.4, 0.6)
    axes.imshow(
        np.linspace(0, 1, 256)[None],
        aspect="auto",
        cmap=DEPTH_COLOURS,
        extent=(near_m, far_m, 0, 1),
    )
    axes.grid(visible=False)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter("{x:g} m")
    alt = f"Colours of depth from {near_m:g} m (dark blue) to {far_m:g} m (yellow)"
    return finished(drawing, "Depth", alt)


@styled
def scatter(
    title: str,
    points: Mapping[str, tuple[float, float]],
    x_label: str,
    y_label: str,
    colours: Colours,
    spread: Mapping[str, float] | None = None,
) -> Figure:
    """Plot named points and their Pareto front.

    Args:
        title: caption.
        points: `{name: (cost, gain)}`; lower cost and higher gain are better.
        x_label: label of the cost.
        y_label: label of the gain.
        colours: `{name: colour}`.
        spread: `{name: standard deviation of the gain}`, drawn as vertical bars.
    """
    drawing, axes = canvas(6.2, 3.4)
    ordered = sorted(points.items(), key=lambda item: (item[1][0], -item[1][1]))
    front: list[tuple[float, float]] = []
    for name, (cost, gain) in ordered:
        deviation = (spread or {}).get(name)
        axes.errorbar(
            cost, gain, deviation, fmt="o", capsize=3, color=colours[name], label=label(name)
        )
        if not front or gain > front[-1][1]:
            front.append((cost, gain))
    axes.step(*zip(*front, strict=True), where="post", color="grey", linewidth=1, zorder=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    values = "; ".join(f"{name} {gain:.3g} at {cost:.3g}" for name, (cost, gain) in points.items())
    return finished(drawing, title, f"{title}: {values}")


@styled
def bars(
    title: str, groups: Mapping[str, Mapping[str, float]], x_label: str, colours: Colours
) -> Figure:
    """Plot groups of horizontal bars.

    Args:
        title: caption.
        groups: `{group: {bar: value}}`.
        x_label: label of the values.
        colours: `{bar: colour}`.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    drawing, axes = canvas(6.2, 0.8 + 0.16 * (len(names) + 1) * len(groups))
    height = 0.8 / len(names)
    for number, name in enumerate(names):
        y = [i + (number - (len(names) - 1) / 2) * height for i in range(len(groups))]
        values = [group.get(name, float("nan")) for group in groups.values()]
        axes.barh(y, values, height, label=label(name), color=colours[name])
    axes.set_yticks(range(len(groups)), list(map(label, groups)), fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_xlabel(x_label)
    legend_above(drawing, axes)
    text = "; ".join(
        f"{group} " + ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        for group, values in groups.items()
    )
    return finished(drawing, title, f"{title}: {text}")
