"""What the task gradients look like: norms, cosines and the share of pairs in conflict."""

import csv
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.tasks import Task


def cosines(gramian: tf.Tensor) -> tf.Tensor:
    """The cosines `[K, K]` between the gradients of a Gramian; 0 for a gradient of length 0."""
    norms = tf.sqrt(tf.linalg.diag_part(gramian))
    return tf.math.divide_no_nan(gramian, norms[:, None] * norms[None, :])


class GradientLogs:
    """Running means over an epoch of what a Gramian says.

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
        self.gramian = keras.Variable(
            tf.zeros([len(names), len(names)], tf.float64),
            trainable=False,
            dtype="float64",
            aggregation="only_first_replica",
            name="gramian",
        )

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric."""
        return [*self.norms, *self.cosines, self.conflicts]

    def update(self, gramian: tf.Tensor, is_used: tf.Tensor) -> None:
        """Adds a step: the Gramian `[K, K]`, and bool `[K]`: the tasks that took part."""
        self.gramian.assign(gramian)
        found = cosines(gramian)
        for k, norm in enumerate(self.norms):
            norm.update_state(tf.sqrt(gramian[k, k]), is_used[k])
        for (i, j), cosine in zip(self.pairs, self.cosines, strict=True):
            is_pair = is_used[i] & is_used[j]
            cosine.update_state(found[i, j], is_pair)
            self.conflicts.update_state(tf.cast(gramian[i, j] < 0, tf.float32), is_pair)


class GradientDiagnostics(keras.callbacks.Callback):
    """Writes weights, gradient norms and cosines of single steps to a CSV file.

    Needs `trainer.compile(..., diagnostics=True)`. Rows are appended as they come, so that nothing
    is lost when a run is interrupted, and a resumed run goes on with the same file.

        trainer.fit(dataset, callbacks=[mtl.training.GradientDiagnostics("gradients.csv")])

    Args:
        path: of the file. Its columns are `epoch`, `step`, and the names of the logs.
        every: a row every so many steps.

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
        """Opens the file."""
        if not self.model.gradient_names:
            raise ValueError("GradientDiagnostics needs trainer.compile(..., diagnostics=True)")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        self._file = self.path.open("a", newline="")
        self._writer = csv.writer(self._file)
        if is_new:
            self._writer.writerow(["epoch", "step", *self.model.gradient_names])

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a row."""
        if batch % self.every == 0:
            self._writer.writerow([self._epoch, batch, *self.model.gradient_values()])
            self._file.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the file."""
        self._file.close()
