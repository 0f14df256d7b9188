"""Progress of a run in the terminal: a row for each epoch, and a line with the time left."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mtl_tf.evaluation.reporting.tables import ARROWS, formatted
from mtl_tf.experiments.terminal import printable
from mtl_tf.tasks import Task
from mtl_tf.training import Backup

_UPDATES_PER_S = 4
_BAR = 20
_MIN_COLUMN, _MAX_NAME = 8, 12


class Progress(Protocol):
    """Reports of a run while it works."""

    def stage(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Enclose a long stage other than training."""

    def callback(
        self, tasks: Sequence[Task], epochs: int, batch_size: int, backup: Backup
    ) -> keras.callbacks.Callback:
        """Return the callback of `fit`; the backup says what a resumed run has done before."""


class Silent:
    """Reports nothing.

    Examples:
        >>> import mtl_tf as mtl
        >>> progress = mtl.experiments.Silent()
    """

    @contextlib.contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Enclose a long stage."""
        yield

    def callback(
        self, tasks: Sequence[Task], epochs: int, batch_size: int, backup: Backup
    ) -> keras.callbacks.Callback:
        """Return a callback that does nothing."""
        return keras.callbacks.Callback()


class JsonLines(Silent):
    """Writes a JSON object for each epoch, for other programs.

    Examples:
        >>> import mtl_tf as mtl
        >>> progress = mtl.experiments.JsonLines()
    """

    def callback(
        self, tasks: Sequence[Task], epochs: int, batch_size: int, backup: Backup
    ) -> keras.callbacks.Callback:
        """Return the callback of `fit`."""

        def write(epoch: int, logs: dict[str, Any] | None) -> None:
            numbers = {name: float(value) for name, value in (logs or {}).items()}
            values = {n: x if math.isfinite(x) else None for n, x in numbers.items()}
            line = {"epoch": epoch + 1, "epochs": epochs, "logs": values}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

        return keras.callbacks.LambdaCallback(on_epoch_end=write)


class Rows(Silent):
    """Rows of epochs in a terminal or a file; in a terminal also a line with the time left.

    Args:
        console: to write to; by default standard output.
        has_status: whether to show the line in a terminal.

    Examples:
        >>> import mtl_tf as mtl
        >>> progress = mtl.experiments.Rows()
    """

    def __init__(self, console: Console | None = None, has_status: bool = True) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.has_status = has_status and self.console.is_terminal

    @contextlib.contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Name a long stage and, when it ends, the seconds that it took."""
        began = time.monotonic()
        if not self.has_status:
            self._print(f"{text} ...")
            yield
            return
        with self.console.status(Text(f"{text} ...")):
            yield
        self._print(f"{text}: {_duration(time.monotonic() - began)}")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)

    def callback(
        self, tasks: Sequence[Task], epochs: int, batch_size: int, backup: Backup
    ) -> keras.callbacks.Callback:
        """Return the callback of `fit`."""
        return _EpochRows(self.console, self.has_status, tasks, epochs, batch_size, backup)


class _EpochRows(keras.callbacks.Callback):
    def __init__(
        self,
        console: Console,
        has_status: bool,
        tasks: Sequence[Task],
        epochs: int,
        batch_size: int,
        backup: Backup,
    ) -> None:
        super().__init__()
        self.console, self.epochs, self.backup = console, epochs, backup
        self.symbols = _symbols(console)
        self.batch_size = batch_size
        self._best: dict[str, float] = {}
        self._columns = _columns(tasks, console.width if console.is_terminal else 200)
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if has_status else None
        )
        self._now = _Pace()

    # === Rows ===

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Print the header."""
        for logs_of_epoch in self.backup.history[: self.backup.epoch]:
            for column in self._columns:
                self._compared(column, logs_of_epoch)
        names = [column.names for column in self._columns]
        for line in range(2):
            cells = [n[line].rjust(c.width) for n, c in zip(names, self._columns, strict=True)]
            text = "".join(cells).rstrip().translate(self.symbols)
            self.console.print(text, markup=False, style="bold")
        if self._live is not None:
            self._live.start()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Print a row: + is better than all epochs before, - is worse than the best one."""
        logs = logs or {}
        self._now.end_epoch()
        row = Text()
        for column in self._columns:
            text, style = self._cell(column, epoch, logs)
            row.append(text.rjust(column.width).translate(self.symbols), style)
        self.console.print(row)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Remove the line with the time left; a run calls this after an error too."""
        if self._live is not None:
            self._live.stop()

    def _cell(self, column: "_Column", epoch: int, logs: dict[str, Any]) -> tuple[str, str]:
        if column.task is None:
            seconds = self._now.epoch_s
            return {
                "epoch": f"{epoch + 1}/{self.epochs}",
                "loss": f"{float(logs.get('loss', float('nan'))):.4g}",
                "time": _duration(seconds),
            }[column.names[0]] + " ", ""
        value, mark = self._compared(column, logs)
        if value is None:
            return "- ", ""
        styles = {"+": "green", "-": "yellow", " ": ""}
        return formatted(column.task.main_metric, value, column.task) + mark, styles[mark]

    def _compared(self, column: "_Column", logs: Mapping[str, Any]) -> tuple[float | None, str]:
        """Return the metric of a column and its mark, and remember the best one."""
        task = column.task
        if task is None:
            return None, " "
        key = f"{task.name}_{task.main_metric}"
        value = logs.get(f"val_{key}", logs.get(key))
        if value is None:
            return None, " "
        value, sign = float(value), 1 if task.higher_is_better else -1
        best = self._best.setdefault(task.name, value)
        if sign * value > sign * best:
            self._best[task.name] = value
        return value, " " if value == best else "+" if sign * value > sign * best else "-"

    # === The line with the time left ===

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Say that an epoch is validated."""
        self._show(f"epoch {self._now.epoch + 1}/{self.epochs}", "validation")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the measurement of an epoch."""
        self._now.begin_epoch(epoch, int((self.params or {}).get("steps") or 0))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the line; steps that a resumed run skips do not count."""
        if batch < self.backup.step and self._now.epoch == self.backup.epoch:
            return
        self._now.end_step(batch)
        if self._live is None or not self._now.is_due():
            return
        done, steps = batch + 1, self._now.steps
        filled = round(_BAR * done / max(steps, done))
        left = self._now.left_s(batch, self.epochs)
        self._show(
            f"epoch {self._now.epoch + 1}/{self.epochs}",
            f"{'━' * filled}{'╌' * (_BAR - filled)} {done}/{steps or '?'}".translate(self.symbols),
            f"{self.batch_size * self._now.steps_per_s():.3g} images/s",
            *([f"{_duration(left)} left"] if left is not None else []),
        )

    def _show(self, *parts: str) -> None:
        if self._live is not None:
            text = Text("  ".join(parts), style="dim", no_wrap=True, overflow="ellipsis")
            self._live.update(text, refresh=True)


def _symbols(console: Console) -> dict[int, str]:
    """Return what replaces the symbols that the encoding of a console lacks."""
    plain = {"↑": "^", "↓": "v", "━": "=", "╌": ".", "…": ".", "°": " deg"}
    lacking = {}
    for symbol, text in plain.items():
        try:
            symbol.encode(console.encoding or "utf-8")
        except UnicodeEncodeError:
            lacking[ord(symbol)] = text
    return lacking


class _Pace:
    """Speed of a run: steps a second, and the time left of all epochs."""

    def __init__(self) -> None:
        self.epoch = self.steps = 0
        self.epoch_s = 0.0
        self._began = self._first = self._last = self._shown = 0.0
        self._counted = self._batch = 0
        self._other_s: float | None = None  # of an epoch, without its steps

    def begin_epoch(self, epoch: int, steps: int) -> None:
        self.epoch, self.steps = epoch, steps
        self._began = time.monotonic()
        self._counted = 0

    def end_step(self, batch: int) -> None:
        self._last, self._batch = time.monotonic(), batch
        if not self._counted:
            self._first = self._last  # the first step traces the graph
        self._counted += 1

    def end_epoch(self) -> None:
        now = time.monotonic()
        self.epoch_s = now - self._began
        self._other_s = now - (self._last if self._counted else self._began)
        self.steps = self.steps or self._batch + 1

    def steps_per_s(self) -> float:
        return (self._counted - 1) / max(self._last - self._first, 1e-6)

    def is_due(self) -> bool:
        """Return whether it is time to draw."""
        if self._counted < 2 or time.monotonic() - self._shown < 1 / _UPDATES_PER_S:
            return False
        self._shown = time.monotonic()
        return True

    def left_s(self, batch: int, epochs: int) -> float | None:
        """Return the seconds left of the run; `None` while the number of steps is unknown."""
        if not self.steps:
            return None
        later = epochs - self.epoch - 1
        steps = self.steps - batch - 1 + later * self.steps
        return steps / max(self.steps_per_s(), 1e-9) + (later + 1) * (self._other_s or 0.0)


class _Column(NamedTuple):
    """A column of the rows: its two lines of header, its width, and its task if it has one."""

    names: tuple[str, str]
    width: int
    task: Task | None = None


def _columns(tasks: Sequence[Task], width: int) -> list[_Column]:
    """Return the columns that fit into a width; the loss, then the time are left out first."""
    of_tasks = []
    for task in tasks:
        name = printable(task.name)
        name = name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
        metric = f"{task.main_metric} {ARROWS[task.higher_is_better]}"
        column_width = max(len(name), len(metric), _MIN_COLUMN) + 3
        of_tasks.append(_Column((f"{name} ", f"{metric} "), column_width, task))
    epoch, loss, spent = (
        _Column((name, ""), width) for name, width in (("epoch", 8), ("loss", 9), ("time", 9))
    )
    for columns in ([epoch, loss, *of_tasks, spent], [epoch, *of_tasks, spent]):
        if sum(column.width for column in columns) <= width:
            return columns
    return [epoch, *of_tasks]


def _duration(seconds: float) -> str:
    """Return a duration as people say it.

    Examples:
        >>> _duration(4.2), _duration(83), _duration(5000)
        ('4 s', '1:23 min', '1:23 h')
    """
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes}:{round(seconds) % 60:02} min"
    return f"{minutes // 60}:{minutes % 60:02} h"


def print_results(summary: dict[str, Any], tasks: Mapping[str, Task]) -> None:
    """Print the main metric of each task, beside the trivial baseline.

    Args:
        summary: the content of `results.json`.
        tasks: `{name: task}`.
    """
    console = Console(highlight=False)
    symbols = _symbols(console)
    table = Table("task", "metric", box=box.SIMPLE_HEAD)
    for title in ("model", "trivial baseline"):
        table.add_column(title, justify="right")
    for name, metrics in summary["results"].items():
        metric, task = tasks[name].main_metric, tasks[name]
        arrow = ARROWS[task.higher_is_better].translate(symbols)
        values = (metrics[metric], summary["baseline"][name][metric])
        texts = [formatted(metric, value, task).translate(symbols) for value in values]
        is_better = (values[0] - values[1]) * (1 if task.higher_is_better else -1) > 0
        table.add_row(
            Text(printable(name).translate(symbols)),
            f"{metric} {arrow}",
            Text(texts[0], "bold green" if is_better else "bold"),
            texts[1],
        )
    console.print(table)
