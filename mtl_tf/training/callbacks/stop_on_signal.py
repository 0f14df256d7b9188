"""Callback: finish the step, save the backup and stop when the process is asked to end."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import keras

from mtl_tf.stopped import Stopped
from mtl_tf.training.callbacks.backup import Backup

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_on_signals(backup: Backup) -> Iterator[keras.callbacks.Callback]:
    """Make Ctrl-C and SIGTERM end `fit` after a step, with a backup of it.

    A second Ctrl-C ends it at once. In other threads than the main one signals do what they did.

    Examples:
        >>> backup = mtl.training.Backup("run/backup")
        >>> with mtl.training.stop_on_signals(backup) as stop:  # doctest: +SKIP
        ...     trainer.fit(dataset, epochs=100, callbacks=[backup, stop])

    Args:
        backup: the callback that saves.

    Yields:
        The callback to put after `backup`.

    Raises:
        Stopped: when a signal has come; a `KeyboardInterrupt`.
    """
    callback = _StopOnSignal(backup)
    if threading.current_thread() is not threading.main_thread():
        yield callback
        return
    kept = (signal.SIG_IGN, None)  # a job in the background, or a handler of native code
    before = {n: signal.getsignal(n) for n in _SIGNALS if signal.getsignal(n) not in kept}
    for number in before:
        signal.signal(number, callback.note)
    try:
        yield callback
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StopOnSignal(keras.callbacks.Callback):
    def __init__(self, backup: Backup) -> None:
        super().__init__()
        self.backup = backup
        self.received: int | None = None
        self._steps = 0  # of the epoch

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember a signal; at the second one stop at once."""
        if self.received is not None:
            raise Stopped(number)
        self.received = number

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Save and stop, if a signal has come; not in steps that a resumed run skips."""
        self._steps = batch + 1
        if self.received is not None and batch >= self.backup.step:
            raise Stopped(self.received, self.backup.save_step(batch + 1, logs))

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Save the steps of the epoch before its validation, which may be long."""
        if self._steps > self.backup.step:
            self.backup.save_step(self._steps, logs)

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop within a validation, which begins again when the run is resumed."""
        if self.received is not None:
            raise Stopped(self.received, is_saved=self.backup.step == self._steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop at the end of an epoch, which the backup holds."""
        if self.received is not None:
            raise Stopped(self.received, is_saved=True)
