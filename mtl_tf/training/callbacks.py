"""Callbacks: an atomic backup of a run that can be killed at any moment."""

import json
import math
import pathlib
import resource
import statistics
import time
from typing import Any

import keras

from mtl_tf.training import epoch_folders

_WEIGHTS = "state.weights.h5"
_METADATA = "metadata.json"


class Backup(keras.callbacks.Callback):
    """Saves model, optimizer and balancing state and the history after every epoch.

    Unlike `keras.callbacks.BackupAndRestore` it writes a new folder and renames it, so a process
    killed while saving keeps its last epoch; and it keeps the states of random generators (dropout)
    and the history of the earlier epochs.

        backup = mtl.training.Backup("run/backup")
        trainer.fit(dataset, epochs=100, initial_epoch=backup.epoch, callbacks=[backup])

    Args:
        folder: where to save; made if missing. An existing backup in it is restored when training
            begins.

    Attributes:
        epoch: number of finished epochs in the backup: the epoch to begin with.
        history: list of the logs of the finished epochs, one dictionary each, with the seconds an
            epoch took as `epoch_s`, the median of its training steps as `step_ms`, and the largest
            resident memory of the process so far as `peak_memory_mib`.

    Raises:
        ValueError: if the folder holds a backup whose metadata cannot be read.
    """

    def __init__(self, folder: str | pathlib.Path) -> None:
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.epoch = 0
        self._begun = self._step_begun = time.monotonic()
        self._steps_s: list[float] = []
        self.history: list[dict[str, float]] = []
        latest = epoch_folders.latest(self.folder)
        if latest is not None:
            try:
                metadata = json.loads((latest / _METADATA).read_text())
                self.epoch, self.history = metadata["epoch"], metadata["history"]
            except (OSError, ValueError, KeyError) as error:
                raise ValueError(
                    f"The backup {latest} cannot be read ({error}). Delete it to start afresh"
                ) from error

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the backup, if there is one."""
        latest = epoch_folders.latest(self.folder)
        if latest is None:
            return
        self.model.load_weights(latest / _WEIGHTS)
        states = json.loads((latest / _METADATA).read_text())["random_states"]
        for variable, state in zip(self._random_states(), states, strict=True):
            variable.assign(state)

    def _random_states(self) -> list[Any]:
        """States of random generators, such as dropout's, which weight files leave out."""
        weights = {id(weight) for weight in self.model.weights}
        return [v for v in self.model.variables if id(v) not in weights]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the time."""
        self._begun = time.monotonic()
        self._steps_s = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the time."""
        self._step_begun = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes how long the step took."""
        self._steps_s.append(time.monotonic() - self._step_begun)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the state and the logs of a finished epoch, unless its loss is not finite."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return
        self.epoch = epoch + 1
        entry = {name: float(value) for name, value in (logs or {}).items()}
        self.history = self.history[:epoch]
        entry["epoch_s"] = time.monotonic() - self._begun
        entry["step_ms"] = 1000 * statistics.median(self._steps_s) if self._steps_s else 0.0
        entry["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.history.append(entry)
        states = [variable.numpy().tolist() for variable in self._random_states()]
        metadata = {"epoch": self.epoch, "history": self.history, "random_states": states}
        with epoch_folders.new(self.folder, self.epoch) as unfinished:
            self.model.save_weights(unfinished / _WEIGHTS)
            (unfinished / _METADATA).write_text(json.dumps(metadata))
