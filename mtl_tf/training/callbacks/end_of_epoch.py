"""Start and end of an epoch: notify data sets and methods, and warn the user once."""

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras

from mtl_tf.training.callbacks.image_range import fault_of

_FAULTS = {
    "not_finite": "{count:g} times a task's loss or gradient was NaN or infinite; the task was "
    "left out of these steps. Lower the learning rate, or look at the data of that task",
    "fallbacks": "{count:g} times {method} had no solution and used its fallback, as its "
    "documentation says",
    "unsolved": "{count:g} times the weights of {method} were not exact to 1e-8, because task "
    "gradients cancel each other almost entirely",
}
_NEGLIGIBLE = 1e-6


def as_list(
    callbacks: keras.callbacks.CallbackList
    | keras.callbacks.Callback
    | Iterable[keras.callbacks.Callback]
    | None,
) -> list[keras.callbacks.Callback]:
    """Callbacks as a list, from one, a list or `None`."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or ())


class AnnounceEpoch(keras.callbacks.Callback):
    """Notify a data set which epoch begins, and which of its batches will be skipped.

    Args:
        set_epoch: of the data set, or `None`. It takes the number of the epoch, and may take how
            many batches will be skipped.
    """

    def __init__(self, set_epoch: Callable[..., None] | None) -> None:
        super().__init__()
        self._set_epoch = set_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notify the data set."""
        if self._set_epoch is None:
            return
        skipped = self.model.steps_to_skip
        if skipped and _takes(self._set_epoch, epoch, skipped):
            self._set_epoch(epoch, skipped)
        else:
            self._set_epoch(epoch)


def _takes(function: Callable[..., None], *arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    return True


def _normalises(backbone: str | keras.Model | None) -> bool:
    """Return whether a backbone of the user has a layer that normalises images."""
    layers = backbone._flatten_layers() if isinstance(backbone, keras.Model) else ()
    return any(isinstance(x, keras.layers.Rescaling | keras.layers.Normalization) for x in layers)


class EndOfEpoch(keras.callbacks.Callback):
    """Ends the epoch of the balancing method and warns of what would else go unseen.

    Comes before all other callbacks, so that a backup holds the state after the end of the epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._warned: set[str] = set()
        self._is_first_batch = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Warn the user of images in the first batch that the network does not expect."""
        if not self._is_first_batch:
            return
        self._is_first_batch = False
        arguments = getattr(self.model.network, "arguments", None)
        if arguments is None or _normalises(arguments.get("backbone")):
            return
        smallest, largest = keras.ops.convert_to_numpy(self.model.plan.logs.images.result())
        includes = arguments.get("include_preprocessing", False)
        fault = fault_of(float(smallest), float(largest), includes)
        if fault is not None:
            self._warn("images", fault)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notify the method and, once for each kind of trouble, warn the user."""
        logs = logs or {}
        method = self.model.balancing
        method.end_epoch()
        for fault, message in _FAULTS.items():
            count = logs.get(fault, 0.0)
            if count > 0:
                name = type(method).__name__
                self._warn(
                    fault, f"In epoch {epoch + 1}, {message.format(count=count, method=name)}"
                )
        weights = {
            task.name: abs(logs[f"{task.name}_weight"])
            for task in self.model.tasks
            if f"{task.name}_weight" in logs and logs.get(f"{task.name}_loss") != 0.0  # no label
        }
        for task, weight in weights.items():
            if weight <= _NEGLIGIBLE * max(weights.values()) and max(weights.values()) > 0:
                self._warn(
                    task,
                    f"Task {task!r} had the weight {weight:.1g} throughout epoch {epoch + 1}: "
                    f"{type(method).__name__} does not train it. Raise its loss_weights or "
                    "choose another method",
                )

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"{message}. (This warning appears once.)", stacklevel=2)
