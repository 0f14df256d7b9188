"""Plots of diagnostics: confusion, reliability, depth by range, angles, precision and recall."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from mtl_tf.evaluation.reporting.figures import (
    Figure,
    canvas,
    finished,
    label,
    legend_above,
    percent_canvas,
    styled,
)

_MOST_NUMBERED = 15  # classes whose confusion has numbers in its cells
_MOST_NAMED = 80  # and names beside them


@styled
def confusion(task: str, shares: Sequence[Sequence[float]], names: Sequence[str]) -> Figure:
    """Plot a confusion matrix.

    Args:
        task: name of the task.
        shares: `[C, C]`, fractions of each target class (rows) by prediction (columns).
        names: C class names.
    """
    values, count = np.asarray(shares), len(names)
    side = min(8.0, 1.8 + 0.36 * count)
    drawing, axes = canvas(side, side)
    clear_to_full = matplotlib.colors.LinearSegmentedColormap.from_list(
        "", [(0.18, 0.5, 0.84, 0.0), (0.18, 0.5, 0.84, 1.0)]
    )
    axes.grid(visible=False)
    extent = (0, count, count, 0)
    axes.imshow(values, clear_to_full, vmin=0, vmax=1, extent=extent, interpolation="nearest")
    short = [label(name)[:16] for name in names]
    size = 8 if count <= _MOST_NUMBERED else 6
    if count <= _MOST_NAMED:
        axes.set_xticks(np.arange(count) + 0.5, short, rotation=90, fontsize=size)
        axes.set_yticks(np.arange(count) + 0.5, short, fontsize=size)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if count <= _MOST_NUMBERED:
        for i, j in np.argwhere(values >= 0.005):
            text = f"{100 * values[i, j]:.0f}"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=7)
    off = np.where(np.eye(count) > 0, 0.0, values)
    worst = [np.unravel_index(k, off.shape) for k in np.argsort(off, axis=None)[::-1][:5]]
    alt = "; ".join(
        f"{100 * off[i, j]:.0f} % of {names[i]} predicted as {names[j]}"
        for i, j in worst
        if off[i, j] > 0
    )
    return finished(drawing, f"{task}: % of each true class by predicted class", alt or "no error")


@styled
def reliability(task: str, diagnostic: Mapping[str, Any], colour: str) -> Figure:
    """Plot the accuracy of class predictions over their confidence.

    Args:
        task: name of the task.
        diagnostic: of `Reliability.result`.
        colour: of the task.
    """
    drawing, axes = percent_canvas("confidence", "accuracy")
    bins = diagnostic["bins"]
    confidence = [100 * row["confidence"] for row in bins]
    accuracy = [100 * row["accuracy"] for row in bins]
    axes.plot([0, 100], [0, 100], color="grey", linewidth=0.8)
    axes.plot(confidence, accuracy, marker="o", markersize=4, color=colour)
    error = 100 * diagnostic["calibration_error"]
    title = f"{task}: reliability (expected calibration error {error:.1f} %)"
    pairs = zip(confidence, accuracy, strict=True)
    alt = "; ".join(f"{a:.0f} % right at a confidence of {c:.0f} %" for c, a in pairs)
    return finished(drawing, title, alt)


@styled
def depth_ranges(task: str, diagnostic: Mapping[str, Any], colour: str) -> Figure:
    """Plot the root mean square and the mean signed error by range of the true depth.

    Args:
        task: name of the task.
        diagnostic: of `DepthRanges.result`.
        colour: of the task.
    """
    drawing, axes = canvas()
    ranges = diagnostic["ranges"]
    width = [row["to_m"] - row["from_m"] for row in ranges]
    middle = [(row["to_m"] + row["from_m"]) / 2 for row in ranges]
    rmse, mean = ([row[name] for row in ranges] for name in ("rmse", "mean_error"))
    axes.bar(middle, rmse, width, color=colour, alpha=0.45, label="RMSE", edgecolor=colour)
    axes.plot(middle, mean, "o-", markersize=4, color=colour, label="mean error (predicted − true)")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("true depth, m")
    axes.set_ylabel("error, m")
    legend_above(drawing, axes)
    alt = "; ".join(
        f"{row['from_m']:.2g} to {row['to_m']:.2g} m: RMSE {row['rmse']:.2f} m, mean "
        f"{row['mean_error']:+.2f} m"
        for row in ranges
    )
    return finished(drawing, f"{task}: error by true depth, about a tenth of the pixels each", alt)


@styled
def angles(task: str, diagnostic: Mapping[str, Any], colour: str) -> Figure:
    """Plot the distribution of angular errors.

    Args:
        task: name of the task.
        diagnostic: of `Angles.result`.
        colour: of the task.
    """
    drawing, axes = canvas()
    width, shares = diagnostic["bin_deg"], np.asarray(diagnostic["shares"])
    last = max(int(np.flatnonzero(shares > 5e-4).max(initial=0)) + 1, 1)
    starts = width * np.arange(len(shares))
    axes.bar(
        starts[:last] + width / 2, 100 * shares[:last], width, color=colour, alpha=0.6,
        edgecolor=colour,
    )  # fmt: skip
    axes.set_xlabel("angular error, degrees")
    axes.set_ylabel("pixels, %")
    cumulative = 100 * np.cumsum(shares)
    alt = "; ".join(
        f"{cumulative[i]:.0f} % of the pixels below {starts[i] + width:g}°" for i in (1, 5, 11)
    )
    return finished(drawing, f"{task}: distribution of the angular error", alt)


@styled
def precision_recall(task: str, diagnostic: Mapping[str, Any], colour: str) -> Figure:
    """Plot precision over recall with the best threshold.

    Args:
        task: name of the task.
        diagnostic: of `Thresholds.result`.
        colour: of the task.
    """
    drawing, axes = percent_canvas("recall", "precision")
    line, best = diagnostic["curve"], diagnostic["best"]
    recall, precision = (100 * np.asarray(line[name]) for name in ("recall", "precision"))
    is_predicted = precision > 0
    axes.plot(recall[is_predicted], precision[is_predicted], color=colour)
    axes.plot(100 * best["recall"], 100 * best["precision"], "o", color=colour)
    text = f"best F {100 * best['f']:.1f} % at the threshold {best['threshold']:.2f}"
    alt = (
        f"{text}, with a precision of {100 * best['precision']:.0f} % and a recall of "
        f"{100 * best['recall']:.0f} %"
    )
    return finished(drawing, f"{task}: precision and recall, {text}", alt)
