"""Callbacks: an atomic backup of a run that can be killed at any moment."""

import json
import math
import pathlib
import statistics
import time
import warnings
from typing import Any

import keras
import numpy as np
from keras.ops import convert_to_numpy  # also reads variables of a strategy

from mtl_tf.training.callbacks import epoch_folders
from mtl_tf.training.memory import peak_memory_mib
from mtl_tf.training.ownership import claim
from mtl_tf.training.resumable import random_states

_WEIGHTS = "state.weights.h5"
_METADATA = "metadata.json"
_LOGS = "logs.npz"


class Backup(keras.callbacks.Callback):
    """Saves model, optimizer, balancing state and history every epoch, and within epochs.

    Unlike `keras.callbacks.BackupAndRestore` it writes a new folder and renames it, so a process
    killed while saving keeps its last backup; it keeps the states of random generators (dropout),
    the logs and the history of the earlier epochs; and a run resumed within an epoch takes the same
    steps, bit for bit, if the data set gives the same batches again, as those of `mtl_tf.data` do.

    Examples:
        >>> backup = mtl.training.Backup("run/backup", every_minutes=10)
        >>> trainer.fit(  # doctest: +SKIP
        ...     dataset, epochs=100, initial_epoch=backup.epoch, callbacks=[backup]
        ... )

    Args:
        folder: where to save; made if missing. An existing backup in it is restored when training
            begins.
        every_steps: also save every this many steps within an epoch.
        every_minutes: also save within an epoch after this many minutes without a backup.

    Attributes:
        epoch: number of finished epochs in the backup: the epoch to begin with.
        step: number of finished steps of the epoch after those.
        history: list of the logs of the finished epochs, one dictionary each, with the seconds an
            epoch took as `epoch_s`, the median of its training steps as `step_ms`, the seconds
            between the end of the epoch before and the first step as `between_epochs_s`, the
            largest resident memory of the process so far as `peak_memory_mib`, and the
            `learning_rate` after its last step.

    Raises:
        ValueError: if the folder holds a backup whose metadata cannot be read, a period is not
            positive, or the callback was used with another trainer.
    """

    def __init__(
        self,
        folder: str | pathlib.Path,
        every_steps: int | None = None,
        every_minutes: float | None = None,
    ) -> None:
        super().__init__()
        for name, period in (("every_steps", every_steps), ("every_minutes", every_minutes)):
            if period is not None and not period > 0:
                raise ValueError(f"{name} must be positive. Received: {period}")
        self.folder = pathlib.Path(folder)
        self.every_steps, self.every_minutes = every_steps, every_minutes
        self.epoch = self.step = 0
        now = time.monotonic()
        self._begun = self._step_begun = self._ended = self._saved = now
        self._steps_s: list[float] = []
        self._earlier_s = 0.0  # of this epoch, in a process before this one
        self._states: list[list[int]] = []  # of random generators
        self._between_s: float | None = None
        self.history: list[dict[str, float]] = []
        self._read()

    # === Restoring ===

    def _read(self) -> pathlib.Path | None:
        """Return the folder of the backup, if there is one, of which the attributes then tell."""
        latest = epoch_folders.latest(self.folder)
        if latest is None:
            return None
        try:
            metadata = json.loads((latest / _METADATA).read_text())
            self.epoch, self.history = metadata["epoch"], metadata["history"]
            self._states = metadata["random_states"]
            self.step = metadata.get("step", 0)  # early versions had none
            self._earlier_s = metadata.get("epoch_s", 0.0)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"The backup {latest} cannot be read ({error}). Delete it to start from scratch"
            ) from error
        return latest

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the backup, if there is one."""
        claim(self, self.model)
        self._ended = time.monotonic()
        latest = self._read()
        if latest is None:
            return
        self.model.load_weights(latest / _WEIGHTS)
        for variable, state in zip(random_states(self.model), self._states, strict=True):
            variable.assign(state)
        if self.step:
            self.model.skip_steps(self.step)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the time; in the middle of an epoch the logs so far come back."""
        self._begun = self._saved = time.monotonic()
        self._steps_s, self._between_s = [], None
        latest = epoch_folders.latest(self.folder)
        if not self.step or latest is None:
            self.epoch, self._earlier_s = epoch, 0.0
            return
        if epoch != self.epoch:  # of the backup
            self.epoch, self.step, self._earlier_s = epoch, 0, 0.0
            self.model.skip_steps(0)
            return
        variables = self._log_variables()
        with np.load(latest / _LOGS) as stored:
            if len(stored) != len(variables):
                warnings.warn(
                    f"The logs of epoch {epoch + 1} begin at step {self.step + 1}: a metric makes "
                    "its variables only when it is first used, or the metrics are others than "
                    "those of the backup",
                    stacklevel=2,
                )
                return
            for i, variable in enumerate(variables):
                variable.assign(stored[str(i)])

    def _log_variables(self) -> list[keras.Variable]:
        return [variable for metric in self.model.metrics for variable in metric.variables]

    # === Saving ===

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the time."""
        self._step_begun = time.monotonic()
        if self._between_s is None:
            self._between_s = self._step_begun - self._ended

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Record how long the step took, and save if it is time."""
        now = time.monotonic()
        if batch < self.step:  # skipped: it was trained on before the backup
            return
        self._steps_s.append(now - self._step_begun)
        done = batch + 1
        is_step = self.every_steps is not None and done - self.step >= self.every_steps
        is_time = self.every_minutes is not None and now - self._saved > 60 * self.every_minutes
        if is_step or is_time:
            self.save_step(done, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the state and the logs of a finished epoch, unless its loss is not finite."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return
        self._ended = time.monotonic()
        self.epoch, self.step = epoch + 1, 0
        entry = {name: float(value) for name, value in (logs or {}).items()}
        self.history = self.history[:epoch]
        entry["epoch_s"] = self._earlier_s + self._ended - self._begun
        entry["step_ms"] = 1000 * statistics.median(self._steps_s) if self._steps_s else 0.0
        rate = getattr(self.model.optimizer, "learning_rate", None)  # some hold several
        entry |= {} if rate is None else {"learning_rate": float(convert_to_numpy(rate))}
        entry["between_epochs_s"] = self._between_s or 0.0
        memory = peak_memory_mib()
        entry |= {} if memory is None else {"peak_memory_mib": memory}
        self.history.append(entry)
        self._earlier_s = 0.0
        self._save(0.0)
        self._ended = time.monotonic()

    def save_step(self, step: int, logs: dict[str, Any] | None = None) -> bool:
        """Save within an epoch, unless the loss is not finite.

        Args:
            step: number of finished steps of the epoch.
            logs: of the epoch so far.

        Returns:
            Whether it was saved.
        """
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return False
        self.step = step
        self._save(self._earlier_s + time.monotonic() - self._begun)
        return True

    def _save(self, epoch_s: float) -> None:
        states = [convert_to_numpy(variable).tolist() for variable in random_states(self.model)]
        metadata = {
            "epoch": self.epoch,
            "step": self.step,
            "epoch_s": epoch_s,
            "history": self.history,
            "random_states": states,
        }
        logs = {str(i): convert_to_numpy(v) for i, v in enumerate(self._log_variables())}
        with epoch_folders.new(self.folder, self.epoch, self.step) as unfinished:
            self.model.save_weights(unfinished / _WEIGHTS)
            np.savez(unfinished / _LOGS, **(logs if self.step else {}))
            (unfinished / _METADATA).write_text(json.dumps(metadata))
        self._saved = time.monotonic()
