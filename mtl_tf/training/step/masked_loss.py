"""Any loss of Keras or of a user as the mean over valid pixels.

How a function is masked follows from what it does with two small images:

================================== ===============================================================
function                           mask
================================== ===============================================================
one number per pixel, from that    weights the mean over pixels; a last axis is averaged first
pixel alone
of an image, or of the batch,      the function is given the valid pixels alone, as one row;
whatever the order of its pixels   images count by their valid pixels
anything that looks at neighbours  refused: some pixels cannot be left out
================================== ===============================================================
"""

import enum
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.graph_errors import require
from mtl_tf.losses import DenseLoss
from mtl_tf.targets import TargetKind
from mtl_tf.typing import TensorLike

_PROBE = (2, 8, 8)  # images, height, width
_CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-6}
_Function = Callable[..., Any]  # a loss or metric of Keras, or a user's function
_OVERLAPS = (keras.losses.Dice, keras.losses.Tversky)  # of probabilities


class _Sees(enum.Enum):
    """Part of a batch that a function needs at once."""

    PIXEL = "pixel"
    IMAGE = "image"
    BATCH = "batch"


class MaskedLoss(keras.losses.Loss):
    """A function of `(y_true, y_pred)` as the mean over valid pixels, 0 if there is none.

    Args:
        function: from targets `[B, H, W, C]` and predictions `[B, H, W, C]` (of whole images
            `[B, C]`) to `[B, H, W]`, `[B, H, W, C]`, `[B]` or a scalar.
        task: name of the task, for errors.
        kind: of its targets.
        original: the loss as the user gave it, for errors.
        what: what it is called in errors.
    """

    def __init__(
        self,
        function: _Function,
        task: str,
        kind: TargetKind,
        original: _Function,
        what: str = "loss",
    ) -> None:
        super().__init__(name=f"masked_{what}")
        self.function, self.task, self.kind, self.original = function, task, kind, original
        self._whose = f"The {what} of task {task!r}, {name_of(original)},"
        self._sees: _Sees | None = None

    def __call__(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: "TensorLike | None" = None
    ) -> tf.Tensor:
        """Return the mean over valid pixels, a float32 scalar.

        Raises:
            ValueError: if the function fails, or its result cannot be masked.
        """
        y_true, y_pred = tf.cast(y_true, tf.float32), tf.cast(y_pred, tf.float32)
        is_share = self.kind in (TargetKind.CLASSES, TargetKind.BINARY, TargetKind.BOUNDARY)
        if has_unused_logits(self.original) or (is_share and isinstance(self.original, _OVERLAPS)):
            y_pred = checked_probabilities(y_pred, self._whose)
        if sample_weight is None:
            return tf.reduce_mean(self._values(y_true, y_pred))
        weights = tf.cast(sample_weight, tf.float32)
        is_valid = weights > 0
        if self._sees is None:
            self._sees = self._probed(y_true.shape, y_pred.shape[-1])
        if self._sees is not _Sees.PIXEL:
            return self._of_rows(y_true, y_pred, is_valid)
        # Of predictions too, or an infinite derivative times 0 would be a gradient of NaN.
        y_true, y_pred = (
            tf.where(is_valid[..., None], x, tf.zeros_like(x)) for x in (y_true, y_pred)
        )
        values = self._values(y_true, y_pred)
        if len(values.shape) == len(y_true.shape):
            values = tf.reduce_mean(values, axis=-1)
        values = tf.where(is_valid, values * weights, 0.0)
        return tf.math.divide_no_nan(tf.reduce_sum(values), tf.reduce_sum(weights))

    def _values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the values of the function, float32; `ValueError` naming the task if it fails."""
        try:
            values = tf.cast(tf.convert_to_tensor(self.function(y_true, y_pred)), tf.float32)
        except Exception as error:  # a user's function may raise anything
            raise ValueError(
                f"{self._whose} fails on targets {y_true.shape} ({self.kind.value}) and "
                f"predictions {y_pred.shape}: {error}"
            ) from error
        is_map = len(values.shape) == len(y_true.shape)
        if is_map and values.shape[-1] not in (1, y_true.shape[-1], y_pred.shape[-1]):
            raise ValueError(
                f"{self._whose} must return one number per pixel {y_true.shape[:-1]}, per image "
                f"[B], or one. Received: {values.shape}. Has one of targets and predictions lost "
                "its channel?"
            )
        return values

    def _of_rows(self, y_true: tf.Tensor, y_pred: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
        """Return the function on the valid pixels, `[1, N, 1, C]`; of whole images `[N, C]`."""

        def loss(arrays: Sequence[tf.Tensor]) -> tf.Tensor:
            pixels = [tf.boolean_mask(x, arrays[2]) for x in arrays[:2]]
            rows = [x if y_true.shape.rank == 2 else x[None, :, None] for x in pixels]
            return tf.reduce_mean(self._values(*rows))

        def or_zero(arrays: Sequence[tf.Tensor]) -> tf.Tensor:
            return tf.cond(tf.reduce_any(arrays[2]), lambda: loss(arrays), lambda: tf.zeros([]))

        arrays = y_true, y_pred, is_valid
        if self._sees is _Sees.BATCH:
            return or_zero(arrays)
        of_images = tf.map_fn(or_zero, arrays, fn_output_signature=tf.float32)
        counts = tf.reduce_sum(tf.cast(is_valid, tf.float32), axis=(1, 2))
        return tf.math.divide_no_nan(tf.reduce_sum(of_images * counts), tf.reduce_sum(counts))

    def _probed(self, shape: tf.TensorShape, channels: int) -> _Sees:
        """Return what the function looks at; `ValueError` if that is a pixel's neighbours."""
        if shape.rank == 2:
            return self._probed_at((_PROBE[0] * _PROBE[1],), shape[-1], channels)
        try:
            return self._probed_at(_PROBE, shape[-1], channels)
        except ValueError:  # perhaps it works at its own size only
            if not shape[1:3].is_fully_defined():
                raise
            return self._probed_at((_PROBE[0], *shape[1:3]), shape[-1], channels)

    def _probed_at(self, size: tuple[int, ...], of_target: int, channels: int) -> _Sees:
        r = np.random.default_rng(0)

        def arrays() -> list[np.ndarray]:
            target = r.uniform(0.1, 1, (*size, of_target))
            if self.kind is TargetKind.CLASSES:
                target = np.floor(target * channels)
            if self.kind in (TargetKind.BINARY, TargetKind.BOUNDARY):
                target = np.rint(target)
            return [target, r.uniform(0.1, 1, (*size, channels))]

        def values(*both: np.ndarray) -> np.ndarray:
            return self._values(*(tf.constant(x, tf.float32) for x in both)).numpy()

        with tf.init_scope():
            first, other = arrays(), arrays()
            full = values(*first)
            if full.shape[: len(size)] == size:
                is_kept = r.random(size) < 0.5
                mixed = (
                    np.where(is_kept[..., None], a, b) for a, b in zip(first, other, strict=True)
                )
                if np.allclose(values(*mixed)[is_kept], full[is_kept], **_CLOSE):
                    return _Sees.PIXEL
            if len(size) == 1:
                return _Sees.BATCH
            order = r.permutation(size[1] * size[2])
            rows = [x.reshape(len(x), -1, 1, x.shape[-1])[:, order] for x in first]
            try:
                of_images = [values(*(x[i : i + 1] for x in rows)) for i in range(size[0])]
                of_batch = [values(*(x.reshape(1, -1, 1, x.shape[-1]) for x in rows))]
            except ValueError as error:
                raise ValueError(self._cannot_be_masked()) from error
        results = {_Sees.BATCH: of_batch, _Sees.IMAGE: of_images}
        for sees in (_Sees.IMAGE, _Sees.BATCH) if full.ndim else results:
            has_all = all(x.size for x in results[sees])
            if has_all and np.isclose(
                np.mean([x.mean() for x in results[sees]]), full.mean(), **_CLOSE
            ):
                return sees
        raise ValueError(self._cannot_be_masked())

    def _cannot_be_masked(self) -> str:
        return (
            f"{self._whose} looks at the neighbours of a pixel: invalid pixels cannot be left out "
            "of it. Return one number per pixel [B, H, W] from that pixel alone, derive from "
            "mtl_tf.losses.DenseLoss, which is given the mask, or train without masks for this task"
        )

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the loss with every pixel valid."""
        return self(y_true, y_pred)


def has_unused_logits(original: _Function) -> bool:
    """Return whether a loss or metric of Keras takes probabilities: `from_logits=False`."""
    if isinstance(original, keras.losses.Loss | keras.metrics.Metric):
        return original.get_config().get("from_logits") is False
    if not _is_of_keras(original):
        return False
    argument = inspect.signature(original).parameters.get("from_logits")
    return argument is not None and argument.default is False


def checked_probabilities(y_pred: tf.Tensor, whose: str) -> tf.Tensor:
    """Return the predictions; an error (NaN under XLA) unless they are between 0 and 1."""
    message = (
        f"{whose} takes predictions for probabilities (from_logits=False), but they reach from "
        "{} to {}: give an object with from_logits=True, a function that applies the activation, "
        "or end the network in a softmax or sigmoid"
    )
    least, most = tf.reduce_min(y_pred), tf.reduce_max(y_pred)
    is_share = ~((least < 0) | (most > 1.001))
    test = require(is_share, ValueError, message, least, most)
    with tf.control_dependencies([] if test is None else [test]):
        return tf.where(is_share, y_pred, float("nan"))


def _is_of_keras(original: _Function) -> bool:
    return str(getattr(original, "__module__", "")).split(".")[0] == "keras"


def name_of(original: _Function) -> str:
    """Return the name of a function, class or object."""
    return getattr(original, "__name__", None) or type(original).__name__


def as_loss(loss: _Function | str, task: str, kind: TargetKind) -> keras.losses.Loss:
    """Return a loss whose mean is over valid pixels, from one, or from a name or function of Keras.

    Args:
        loss: what a user gave.
        task: name of its task, for errors.
        kind: of the task's targets.

    Raises:
        ValueError: for an unknown name, a loss with `reduction="sum"`, or one of Keras that takes
            no class ids where the task has them.
    """
    try:
        function = keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"loss of task {task!r} must be a Keras loss, its name, or a function of (y_true, "
            f"y_pred). Received: {loss!r}"
        ) from error
    if isinstance(function, DenseLoss):
        return function
    is_sparse = isinstance(function, keras.losses.SparseCategoricalCrossentropy)
    takes_ids = is_sparse or name_of(function) == "sparse_categorical_crossentropy"
    if kind is TargetKind.CLASSES and _is_of_keras(function) and not takes_ids:
        raise ValueError(
            f"The loss of task {task!r}, {name_of(function)}, takes no class ids [B, H, W, 1]: use "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True), or a function of your "
            "own that makes one-hot vectors of them"
        )
    if not isinstance(function, keras.losses.Loss):
        return MaskedLoss(function, task, kind, function)
    if function.reduction == "sum":
        raise ValueError(
            f"The loss of task {task!r}, {name_of(function)}, has reduction='sum', which grows "
            "with the number of pixels: leave reduction out and use loss_weights"
        )
    return MaskedLoss(function.call, task, kind, function)


def masked_function(function: _Function, task: str, kind: TargetKind) -> keras.metrics.Metric:
    """Wrap a user's function of `(y_true, y_pred)` as a Keras metric over valid pixels."""
    metric = MaskedMean(name=name_of(function))
    metric.loss = MaskedLoss(function, task, kind, function, "metric")
    return metric


class MaskedMean(keras.metrics.Mean):
    """The mean of a masked function over all batches, weighted by their valid pixels."""

    loss: MaskedLoss

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Add a batch."""
        value = self.loss(y_true, y_pred, sample_weight)
        if sample_weight is None:
            count = tf.cast(tf.reduce_prod(tf.shape(y_true)[:-1]), tf.float32)
        else:
            count = tf.reduce_sum(tf.cast(sample_weight, tf.float32))
        super().update_state(value, count)
