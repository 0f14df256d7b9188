"""Tables of reports: numbers with their units, and Markdown."""

import re
from collections.abc import Iterable, Sequence

from mtl_tf.metrics import MAIN_METRICS, MetricInfo
from mtl_tf.targets import KINDS, TargetKind
from mtl_tf.tasks import Task, as_tasks

PUBLISHED_METRICS = {
    task: "ods_f" if KINDS[task] is TargetKind.BOUNDARY else metric
    for task, metric in MAIN_METRICS.items()
}
"""Metric that papers print, by task."""
ARROWS = {True: "↑", False: "↓", None: ""}
"""Sign of a metric by `higher_is_better`."""


def formatted(metric: str, value: float, task: Task | str) -> str:
    """Format a metric value with its unit: `"25.3 %"`, `"1.007 m"`, `"36.51°"`.

    Args:
        metric: name of the metric.
        value: as `evaluate` returns it: shares as fractions, depth in metres, angles in degrees.
        task: the task, or the name of one the library knows.
    """
    (task,) = as_tasks([task])
    info = task.metric_info.get(metric, MetricInfo(None))
    if info.unit == "%":
        return f"{100 * value:.1f} %"
    if info.unit == "°":
        return f"{value:.2f}°"
    return f"{value:.{info.digits}f} {info.unit}".rstrip()


def in_markdown(text: str) -> str:
    """Escape a text for a Markdown table: one line, without cells, tags or links."""
    escaped = re.sub(r"[\\|`*\[\]~]", r"\\\g<0>", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], num_text_columns: int
) -> str:
    """Return a Markdown table.

    Args:
        header: title of each column.
        rows: Markdown of each cell; escape names with `in_markdown`.
        num_text_columns: number of left-aligned columns; the others are numbers.
    """
    num_numbers = len(header) - num_text_columns
    lines = [
        f"| {' | '.join(header)} |",
        "|" + "---|" * num_text_columns + "---:|" * num_numbers,
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
