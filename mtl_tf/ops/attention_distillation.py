"""Attention-guided distillation: what other tasks have to say, let through by gates."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._features import check_maps, differentiate_twice
from mtl_tf.ops._gradients import NATIVE_DTYPES
from mtl_tf.typing import FeatureMaps

_MAX_NATIVE_MESSAGES = 16  # to one target


@dataclasses.dataclass(frozen=True)
class ChannelSlice:
    """As many channels of a tensor as the features have, without a copy.

    Attributes:
        source: `[B, H, W, R]`.
        first: the first of the channels.
    """

    source: tf.Tensor
    first: int


def attention_distillation(
    features: "tf.Tensor | FeatureMaps", gates: Sequence[Any], values: Sequence[Any]
) -> tf.Tensor | list[tf.Tensor]:
    """Features plus messages through gates, `features + Σ_s sigmoid(gates_s) · values_s`.

    Reads each input once; the gradient reads each once more and writes all gradients in one pass,
    with nothing kept but the inputs. For all targets of a network make one call: the gates and
    values of several targets may then be slices of one convolution's output, whose gradient is
    written in one piece. (Slices that overlap or leave channels out are added up by TensorFlow.)

    Source: Xu et al., "PAD-Net", CVPR 2018, equation 3; Vandenhende et al., TPAMI 2021, equation 2.

    Args:
        features: `[B, H, W, C]`, or a list of such for several targets.
        gates: list of S tensors `[B, H, W, C]` or `ChannelSlice`s, before the sigmoid; for several
            targets a list of such lists, which may differ in length.
        values: like `gates`.

    Returns:
        `[B, H, W, C]` in the features' dtype, or a list of such for several targets.

    Raises:
        ValueError: if the lists differ in length, or shapes or dtypes do not fit.
    """
    if not isinstance(features, list | tuple):
        return attention_distillation([features], [gates], [values])[0]
    features = check_maps("features", features)
    if not len(features) == len(gates) == len(values):
        raise ValueError(
            f"gates and values must hold a list for each of {len(features)} features. "
            f"Received: {len(gates)} and {len(values)}"
        )
    sources = _Sources(features[0])
    numbers, parts = [len(features)], []
    for target, (own_gates, own_values) in enumerate(zip(gates, values, strict=True)):
        if len(own_gates) != len(own_values):
            raise ValueError(
                f"gates and values of target {target} must be as many. "
                f"Received: {len(own_gates)} and {len(own_values)}"
            )
        pairs = [
            (sources.place(gate), sources.place(value))
            for gate, value in zip(own_gates, own_values, strict=True)
        ]
        numbers += [number for gate, value in pairs for number in (target, *gate, *value)]
        parts.append(pairs)
    library = _library.tensorflow_ops()
    is_native = sources.is_partition() and all(len(p) <= _MAX_NATIVE_MESSAGES for p in parts)
    if library is not None and is_native and features[0].dtype in NATIVE_DTYPES:
        return library.mtl_attention_distillation(
            features=features, sources=sources.tensors, numbers=numbers
        )
    return _by_numbers(features, sources.tensors, numbers)


class _Sources:
    """The tensors that gates and values are channels of, each once."""

    def __init__(self, like: tf.Tensor) -> None:
        self.like = like
        self.tensors: list[tf.Tensor] = []
        self._numbers: dict[int, int] = {}
        self._given: list[tf.Tensor] = []  # kept, so that no other gets the same id
        self._starts: list[list[int]] = []

    def place(self, part: tf.Tensor | ChannelSlice) -> tuple[int, int]:
        """Return (number of the source, first channel) of a tensor or `ChannelSlice`."""
        given, first = (part.source, part.first) if isinstance(part, ChannelSlice) else (part, 0)
        if id(given) not in self._numbers:
            self._numbers[id(given)] = len(self.tensors)
            self._given.append(given)
            self.tensors.append(tf.convert_to_tensor(given))
            self._starts.append([])
        number = self._numbers[id(given)]
        source, channels = self.tensors[number], self.like.shape[-1]
        is_whole = not isinstance(part, ChannelSlice)
        if (
            source.dtype != self.like.dtype
            or not source.shape[:-1].is_compatible_with(self.like.shape[:-1])
            or not 0 <= first <= source.shape[-1] - channels
            or (is_whole and source.shape[-1] != channels)
        ):
            raise ValueError(
                f"Gates and values must fit features {tuple(self.like.shape)} of "
                f"{self.like.dtype.name}. Received: {tuple(source.shape)} of {source.dtype.name}"
                + ("" if is_whole else f", from channel {first} on")
            )
        self._starts[number].append(first)
        return number, first

    def is_partition(self) -> bool:
        """Return whether each channel of each source is in exactly one gate or value."""
        channels = self.like.shape[-1]
        return bool(self.tensors) and all(
            sorted(starts) == list(range(0, source.shape[-1], channels))
            for source, starts in zip(self.tensors, self._starts, strict=True)
        )


def _by_numbers(
    features: Sequence[tf.Tensor], sources: Sequence[tf.Tensor], numbers: Sequence[int]
) -> list[tf.Tensor]:
    """Return the reference, with gates and values as the native op names them."""
    gates: list[list[ChannelSlice]] = [[] for _ in features]
    values: list[list[ChannelSlice]] = [[] for _ in features]
    for i in range(1, len(numbers), 5):
        target, gate, first_gate, value, first_value = numbers[i : i + 5]
        gates[target].append(ChannelSlice(sources[gate], first_gate))
        values[target].append(ChannelSlice(sources[value], first_value))
    return reference.attention_distillation(list(features), gates, values)


@tf.RegisterGradient("Mtl>AttentionDistillation")
def _gradient(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor]:
    """Pass the upstream gradients to the features; compute those of the sources in one pass."""
    gradients = _library.loaded_ops().mtl_attention_distillation_grad(
        upstream=upstream, sources=list(op.inputs)[len(upstream) :], numbers=op.get_attr("numbers")
    )
    return [*upstream, *gradients]


@tf.RegisterGradient("Mtl>AttentionDistillationGrad")
def _gradient_of_gradient(op: tf.Operation, *vectors: tf.Tensor) -> list[tf.Tensor]:
    numbers = op.get_attr("numbers")
    upstream, sources = list(op.inputs)[: numbers[0]], list(op.inputs)[numbers[0] :]
    zeros = [tf.zeros_like(u) for u in upstream]
    of_upstream, of_sources = differentiate_twice(
        lambda *parts: _by_numbers(zeros, parts, numbers), sources, upstream, vectors
    )
    return [*of_upstream, *of_sources]
