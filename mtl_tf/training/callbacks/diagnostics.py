"""Gradient diagnostics: norms, cosines and the share of task pairs in conflict."""

import csv
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.tasks import Task


def cosines(gramian: tf.Tensor) -> tf.Tensor:
    """Return the cosines `[K, K]` of a Gramian; 0 for a gradient of length 0."""
    norms = tf.sqrt(tf.linalg.diag_part(gramian))
    return tf.math.divide_no_nan(gramian, norms[:, None] * norms[None, :])


class GradientLogs:
    """Running means over an epoch of gradient norms, cosines and conflicts.

    Logs `<task>_gradient_norm`, `<task>_<task>_cosine` for each pair, and `conflicts`, the share of
    pairs with a negative inner product.

    Args:
        tasks: the tasks.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        names = [task.name for task in tasks]
        self.pairs = list(itertools.combinations(range(len(names)), 2))
        self.norms = [keras.metrics.Mean(f"{name}_gradient_norm") for name in names]
        self.cosines = [keras.metrics.Mean(f"{names[i]}_{names[j]}_cosine") for i, j in self.pairs]
        self.conflicts = keras.metrics.Mean("conflicts")
        self._last = [
            keras.Variable(
                initializer="zeros",
                shape=shape,
                trainable=False,
                dtype="float64",
                aggregation="only_first_replica",
                name=name,
            )
            for name, shape in (("gramian", (len(names),) * 2), ("weights", (len(names),)))
        ]
        self.names = names

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric."""
        return [*self.norms, *self.cosines, self.conflicts]

    def update(self, gramian: tf.Tensor, weights: tf.Tensor | None, is_used: tf.Tensor) -> None:
        """Add a step: the Gramian `[K, K]`, the weights `[K]`, and which tasks took part."""
        both = is_used[:, None] & is_used[None, :]
        gramian = tf.where(both, gramian, tf.zeros_like(gramian))
        self._last[0].assign(gramian)
        if weights is not None:
            self._last[1].assign(weights)
        values = cosines(gramian)
        for k, norm in enumerate(self.norms):
            norm.update_state(tf.sqrt(gramian[k, k]), is_used[k])
        for (i, j), cosine in zip(self.pairs, self.cosines, strict=True):
            is_pair = is_used[i] & is_used[j]
            cosine.update_state(values[i, j], is_pair)
            self.conflicts.update_state(tf.cast(gramian[i, j] < 0, tf.float32), is_pair)

    def last(self) -> dict[str, float]:
        """Return the last step's weights (0 for aggregators), norms, cosines and conflicts."""
        gramian, weights = map(keras.ops.convert_to_numpy, self._last)
        values = cosines(tf.constant(gramian)).numpy()
        named = [f"{name}_weight" for name in self.names], weights
        row = dict(zip(*named, strict=True))
        row.update({m.name: gramian[k, k] ** 0.5 for k, m in enumerate(self.norms)})
        row.update({m.name: values[pair] for pair, m in zip(self.pairs, self.cosines, strict=True)})
        negative = [gramian[pair] < 0 for pair in self.pairs]
        row["conflicts"] = sum(negative) / max(len(negative), 1)
        return {name: float(value) for name, value in row.items()}


class GradientDiagnostics(keras.callbacks.Callback):
    """Writes weights, gradient norms and cosines of single steps to a CSV file.

    Needs `trainer.compile(..., diagnostics=True)`. Rows are appended at once, so that nothing
    is lost when a run is interrupted, and a resumed run appends to the same file.

    Examples:
        >>> log = mtl.training.GradientDiagnostics("gradients.csv", every=10)
        >>> trainer.fit(dataset, callbacks=[log])  # doctest: +SKIP

    Args:
        path: of the file. Its columns are `epoch`, `step`, and the names of the logs.
        every: number of steps between two rows.

    Raises:
        ValueError: if `every` is not positive.
    """

    def __init__(self, path: str | pathlib.Path, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be positive. Received: {every}")
        self.path = pathlib.Path(path)
        self.every = every
        self._epoch = 0
        self._file: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the file."""
        names = list(self.model.last_gradients())
        if not names:
            raise ValueError("GradientDiagnostics needs trainer.compile(..., diagnostics=True)")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        self._file = self.path.open("a", newline="")
        self._writer = csv.writer(self._file)
        if is_new:
            self._writer.writerow(["epoch", "step", *names])

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write a row."""
        if batch % self.every == 0:
            self._writer.writerow([self._epoch, batch, *self.model.last_gradients().values()])
            self._file.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the file."""
        self._file.close()
