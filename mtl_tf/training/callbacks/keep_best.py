"""Keeping the best epoch's weights: by any results, judged by any score."""

import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

import keras

from mtl_tf.training.callbacks import epoch_folders
from mtl_tf.training.optimizer.weight_average import averaged_weights
from mtl_tf.training.ownership import claim
from mtl_tf.typing import Results

_WEIGHTS = "model.weights.h5"
_METADATA = "best.json"


class KeepBest(keras.callbacks.Callback):
    """Saves the weights of the network after the epoch whose results have the highest score.

    A resumed run continues with the best epoch so far. Put it before `Backup` among the callbacks,
    so that no epoch is backed up before it is evaluated.

    Examples:
        >>> best = mtl.training.KeepBest(
        ...     "run/best",
        ...     evaluate=lambda model: mtl.evaluation.evaluate(model, data.test(), data.tasks),
        ...     score=lambda results: mtl.metrics.delta_m(results, single_tasks, data.tasks),
        ... )
        >>> trainer.fit(dataset, epochs=100, callbacks=[best])  # doctest: +SKIP
        >>> best.restore(trainer.network)  # doctest: +SKIP

    Source: Vandenhende et al., TPAMI 2021, supplement: the best validation Delta-m, or the metric
    of a single task.

    Args:
        folder: where to save; made if missing.
        evaluate: from the network to its results, which must be JSON values.
        score: from results to a number, of which the highest is best; NaN is never best.
        first_epoch: evaluate from this epoch on, counted from 0.

    Raises:
        ValueError: if the folder holds a best epoch whose metadata cannot be read.
    """

    def __init__(
        self,
        folder: str | pathlib.Path,
        evaluate: Callable[[keras.Model], Results],
        score: Callable[[Results], float],
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.evaluate, self.score = evaluate, score
        self.first_epoch = first_epoch
        self._best: dict[str, Any] = {}
        latest = epoch_folders.latest(self.folder)
        if latest is not None:
            try:
                stored = json.loads((latest / _METADATA).read_text())
                self._best = {"epoch": stored["epoch"], "results": stored["results"]}
            except (OSError, ValueError, KeyError) as error:
                raise ValueError(
                    f"The best epoch {latest} cannot be read ({error}). Delete it to select again"
                ) from error

    @property
    def epoch(self) -> int | None:
        """The best epoch so far, counted from 0; `None` before one was evaluated."""
        return self._best.get("epoch")

    @property
    def results(self) -> Results | None:
        """Results of `evaluate` after that epoch; `None` before."""
        return self._best.get("results")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuse a second trainer, whose epochs would be compared with the first one's."""
        claim(self, self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluate the network, and save it if it is better than before."""
        if epoch < self.first_epoch or not math.isfinite((logs or {}).get("loss", 0.0)):
            return
        with averaged_weights(self.model):
            self._evaluate_and_save(epoch)

    def _evaluate_and_save(self, epoch: int) -> None:
        model: Any = getattr(self.model, "network", self.model)
        results = self.evaluate(model)
        score = self.score(results)
        if math.isnan(score) or (self._best and not score > self.score(self._best["results"])):
            return
        self._best = {"epoch": epoch, "results": results}
        with epoch_folders.new(self.folder, epoch) as unfinished:
            model.save_weights(unfinished / _WEIGHTS)
            (unfinished / _METADATA).write_text(json.dumps(self._best, indent=2))

    def restore(self, model: keras.Model) -> None:
        """Give the network the weights of the best epoch; without one nothing happens."""
        latest = epoch_folders.latest(self.folder)
        if latest is not None:
            model.load_weights(latest / _WEIGHTS)
