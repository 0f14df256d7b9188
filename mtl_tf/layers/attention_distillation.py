"""Attention-guided distillation: gated messages between the features of tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.layers.conv_block import conv

GATES = ("source", "target", "survey")


@keras.saving.register_keras_serializable(package="mtl_tf")
class AttentionDistillation(keras.layers.Layer):
    """`out_t = x_t + Σ_m sigmoid(gate_m) · value_m` over the messages m to each target t.

    where `x_t` are the features of target t, and `gate_m` and `value_m` are slices of C channels of
    the packed tensors; all have shape `[B, h, w, C]`.

    Source: Xu et al., "PAD-Net", CVPR 2018, equation 3.

    Args:
        messages: for each target a list of `(gate, gate_channel, value, value_channel)`: the
            indices of the packed tensors that hold the gate and the value, and the first channel of
            each slice.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: `features`, a list of tensors `[B, h, w, C]`, one for each target, and `packed`,
    a list of tensors `[B, h, w, R]`. Returns a list like the first.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> layer = mtl.layers.AttentionDistillation([[(0, 0, 0, 8)]])
        >>> layer([keras.ops.ones((1, 4, 4, 8))], [keras.ops.ones((1, 4, 4, 16))])[0].shape
        TensorShape([1, 4, 4, 8])
    """

    def __init__(self, messages: Sequence[Sequence[Sequence[int]]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.messages = [[tuple(message) for message in target] for target in messages]

    def call(self, features: list[tf.Tensor], packed: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the features of the targets with their messages added."""
        gates = [[ops.ChannelSlice(packed[g], c) for g, c, _, _ in m] for m in self.messages]
        values = [[ops.ChannelSlice(packed[v], c) for _, _, v, c in m] for m in self.messages]
        return ops.attention_distillation(list(features), gates, values)

    def compute_output_shape(
        self,
        features_shape: Sequence[tuple[int | None, ...]],
        packed_shape: Sequence[tuple[int | None, ...]],
    ) -> list[tuple[int | None, ...]]:
        """Return the shapes of the features."""
        return list(features_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "messages": self.messages}


def distill(
    features: Mapping[str, keras.KerasTensor], targets: Sequence[str], gate: str, name: str
) -> dict[str, keras.KerasTensor]:
    """Add messages from all other tasks to the features of each target task.

    The message of task s to target t, by `gate`:

    - `"source"`: `sigmoid(W F_s) · (V F_s)`, as in the survey's code;
    - `"target"`: `sigmoid(W F_t) · (V F_s)`, one gate per target (Xu et al., equation 3);
    - `"survey"`: `sigmoid(W F_s) · F_s` (Vandenhende et al., TPAMI 2021, equation 2);

    where `F_s` and `F_t` are features of the source and the target, and W and V 3x3 convolutions;
    those of one task for all others are packed into one convolution.

    Args:
        features: `{task: [B, h, w, C]}` of one shape.
        targets: names of the receiving tasks, all in `features`.
        gate: `"source"`, `"target"` or `"survey"`.
        name: prefix of the layers' names.

    Returns:
        `{target: [B, h, w, C]}`.

    Raises:
        ValueError: for an unknown gate.
    """
    if gate not in GATES:
        raise ValueError(f"gate must be one of {GATES}. Received: {gate!r}")
    if len(features) == 1:
        return dict(features)
    channels = next(iter(features.values())).shape[-1]
    packed: list[keras.KerasTensor] = []

    def pack(tensor: keras.KerasTensor) -> int:
        packed.append(tensor)
        return len(packed) - 1

    def pack_conv(task: str, num_slices: int, direction: str) -> int:
        layer = f"{name}.self_attention.{direction}.{task}"
        return pack(conv(features[task], num_slices * channels, 3, name=layer))

    gates = {t: pack_conv(t, 1, "to") for t in targets} if gate == "target" else {}
    unchanged = {s: pack(x) for s, x in features.items()} if gate == "survey" else {}
    messages: dict[str, list[tuple[int, int, int, int]]] = {target: [] for target in targets}
    for source in features:
        others = [target for target in targets if target != source]
        if not others:
            continue
        slices_per_target = 2 if gate == "source" else 1
        sent = pack_conv(source, slices_per_target * len(others), "from")
        for i, target in enumerate(others):
            first = slices_per_target * i * channels
            if gate == "source":
                message = (sent, first, sent, first + channels)
            elif gate == "target":
                message = (gates[target], 0, sent, first)
            else:
                message = (sent, first, unchanged[source], 0)
            messages[target].append(message)
    layer = AttentionDistillation([messages[target] for target in targets], name=name)
    return dict(zip(targets, layer([features[t] for t in targets], packed), strict=True))
