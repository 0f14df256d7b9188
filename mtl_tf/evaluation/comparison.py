"""Confidence intervals of the difference between two models: the paired bootstrap over images."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from mtl_tf.evaluation.image_states import ImageStates
from mtl_tf.evaluation.reporting.tables import in_markdown, markdown_table
from mtl_tf.metrics import delta_m
from mtl_tf.tasks import Task
from mtl_tf.typing import Results


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One metric of two models on the same images.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.

    Attributes:
        task: name of the task; `"all"` for Delta-m.
        metric: name of the metric; `"delta_m"` is the mean relative change of the first model
            against the second.
        first: value of the first model.
        second: value of the second model.
        difference: first minus second.
        low: lower end of the interval of the difference.
        high: upper end of the interval of the difference.
        p_value: two-sided: twice the share of draws in which the difference has the other sign.
        higher_is_better: direction of the metric; `None` where it is unknown.

    Examples:
        >>> Comparison("depth", "rmse", 0.5, 0.6, -0.1, -0.2, -0.05, 0.01, False).verdict
        'better'
    """

    task: str
    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    higher_is_better: bool | None

    @property
    def verdict(self) -> str:
        """The first model is `"better"`, `"worse"` or `"same"`.

        `"same"` if the interval contains 0; `"different"` for a metric of unknown direction.
        """
        if self.low <= 0 <= self.high:
            return "same"
        if self.higher_is_better is None:
            return "different"
        return "better" if (self.difference > 0) == self.higher_is_better else "worse"


def compare(
    first: ImageStates,
    second: ImageStates,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Compare two models evaluated on the same images.

    Images are drawn with replacement, the same for both models; every metric is computed from each
    draw, at the resolution and by the rules of `evaluate`.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.

    Args:
        first: results of the first model, from `evaluate_images`.
        second: results of the second.
        num_resamples: number of draws.
        confidence: share of the draws inside the interval of a difference.
        seed: seed of the draws.

    Returns:
        A comparison for each metric of the tasks of both, then Delta-m of the first against the
        second over these tasks, unless a metric of the second is 0.

    Raises:
        ValueError: if the images or all tasks differ, or an argument is out of range.
    """
    if num_resamples < 2 or not 0 < confidence < 1:
        raise ValueError(
            "num_resamples must be at least 2 and confidence in (0, 1). Received: "
            f"{num_resamples}, {confidence}"
        )
    channels = [{name: t.channels for name, t in x.tasks.items()} for x in (first, second)]
    tasks = [task for task, number in channels[0].items() if number == channels[1].get(task)]
    if not tasks:
        raise ValueError(f"The models share no task: {channels[0]} and {channels[1]}")
    if len(first) != len(second):
        raise ValueError(
            f"Evaluated on {len(first)} and {len(second)} images: they must be the same"
        )
    if first.tasks.keys() == second.tasks.keys() and not np.array_equal(
        first.fingerprints, second.fingerprints
    ):
        raise ValueError("Evaluated on different images, targets or sizes: they must be the same")
    draws = np.random.default_rng(seed).multinomial(
        len(first), np.full(len(first), 1 / len(first)), num_resamples
    )
    weights = np.concatenate([np.ones((1, len(first))), draws])
    pairs = list(zip(first.resampled(weights), second.resampled(weights), strict=True))
    comparisons = []
    for task in tasks:
        for metric in pairs[0][0][task]:
            if metric in pairs[0][1][task]:
                values = [(a[task][metric], b[task][metric]) for a, b in pairs]
                direction = first.tasks[task].metric_info[metric].higher_is_better
                comparisons.append(_comparison(task, metric, values, confidence, direction))
    compared = [first.tasks[task] for task in tasks]
    changes = [(_delta_m(a, b, compared), 0.0) for a, b in pairs]
    defined = [change for change in changes if not math.isnan(change[0])]
    if not math.isnan(changes[0][0]) and len(defined) > 1:
        comparisons.append(_comparison("all", "delta_m", defined, confidence, True))
    return comparisons


def _delta_m(first: Results, second: Results, tasks: Sequence[Task]) -> float:
    """Return Delta-m, or NaN if a metric of the second model is 0, as in a draw of few images."""
    names = [(task.name, metric) for task in tasks for metric in (task.main_metric, "ods_f")]
    if any(second[task].get(metric) == 0 for task, metric in names):
        return float("nan")
    return delta_m(first, second, tasks)


def _comparison(
    task: str,
    metric: str,
    values: Sequence[tuple[float, float]],
    confidence: float,
    higher_is_better: bool | None,
) -> Comparison:
    """Return a comparison from the values over all images, followed by those of each draw."""
    differences = np.array([a - b for a, b in values[1:]])
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail]).tolist()
    opposite = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    p_value = min(1.0, 2 * (int(opposite) + 1) / (len(differences) + 1))  # never 0: draws are few
    first, second = values[0]
    return Comparison(
        task,
        metric,
        first,
        second,
        difference=first - second,
        low=low,
        high=high,
        p_value=p_value,
        higher_is_better=higher_is_better,
    )


def as_text(comparisons: Sequence[Comparison], num_images: int) -> str:
    """Format comparisons as a Markdown table."""
    header = ["task", "metric", "first", "second", "difference", "interval", "p", "the first is"]
    rows = [
        [
            in_markdown(row.task),
            in_markdown(row.metric),
            *(f"{value:.4f}" for value in (row.first, row.second, row.difference)),
            f"{row.low:.4f} to {row.high:.4f}",
            f"{row.p_value:.3f}",
            row.verdict,
        ]
        for row in comparisons
    ]
    table = markdown_table(header, rows, num_text_columns=len(header)).rstrip("\n")
    note = f"{num_images} images, paired bootstrap; the interval holds 95 % of the draws."
    return f"{note}\n\n{table}"
