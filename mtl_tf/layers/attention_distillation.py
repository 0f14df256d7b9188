"""Attention-guided distillation: messages between the features of tasks, each through a gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mtl_tf import ops
from mtl_tf.layers.conv_block import conv

GATES = ("source", "target", "survey")


@keras.saving.register_keras_serializable(package="mtl_tf")
class AttentionDistillation(keras.layers.Layer):
    """`out_t = x_t + Σ sigmoid(gate) · value` over the messages to each target t.

    Source: Xu et al., "PAD-Net", CVPR 2018, equation 3.

    Args:
        messages: for each target a list of `(gate, first, value, first)`: which of the packed
            tensors the gate and the value are of, and from which of its channels on.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: `features`, a list of tensors `[B, h, w, C]`, one for each target, and `packed`,
    a list of tensors `[B, h, w, R]`. Returns a list like the first.
    """

    def __init__(self, messages: Sequence[Sequence[Sequence[int]]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.messages = [[tuple(message) for message in target] for target in messages]

    def call(self, features: Any, packed: Any) -> Any:
        """The features with the messages to them."""
        gates = [[ops.ChannelSlice(packed[g], c) for g, c, _, _ in m] for m in self.messages]
        values = [[ops.ChannelSlice(packed[v], c) for _, _, v, c in m] for m in self.messages]
        return ops.attention_distillation(list(features), gates, values)

    def compute_output_shape(self, features_shape: Any, packed_shape: Any) -> Any:
        """The shapes of the features."""
        return list(features_shape)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "messages": self.messages}


def distill(
    features: Mapping[str, Any], targets: Sequence[str], gate: str, name: str
) -> dict[str, Any]:
    """Every target's features with messages from all other tasks, through 3x3 convolutions.

    What a task's features are convolved to, for all others, is one convolution. Gates come from

    - `"source"`: the sender's features, `sigmoid(W F_s) · (V F_s)`, as the survey's code has it;
    - `"target"`: the receiver's, one gate for all that reaches it, `sigmoid(W F_t) · (V F_s)`: Xu
      et al., equation 3;
    - `"survey"`: the sender's, on its features as they are, `sigmoid(W F_s) · F_s`: Vandenhende et
      al., TPAMI 2021, equation 2.

    Args:
        features: `{task: [B, h, w, C]}` of one shape.
        targets: the tasks that receive; each has features.
        gate: one of the above.
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
    packed: list[Any] = []

    def pack(tensor: Any) -> int:
        packed.append(tensor)
        return len(packed) - 1

    def convolved(task: str, pieces: int, kind: str) -> int:
        layer = f"{name}.self_attention.{kind}.{task}"
        return pack(conv(features[task], pieces * channels, 3, name=layer))

    gates = {t: convolved(t, 1, "to") for t in targets} if gate == "target" else {}
    own = {s: pack(x) for s, x in features.items()} if gate == "survey" else {}
    messages: dict[str, list[tuple[int, int, int, int]]] = {target: [] for target in targets}
    for source in features:
        others = [target for target in targets if target != source]
        if not others:
            continue
        each = 2 if gate == "source" else 1
        sent = convolved(source, each * len(others), "from")
        for i, target in enumerate(others):
            first = each * i * channels
            if gate == "source":
                message = (sent, first, sent, first + channels)
            elif gate == "target":
                message = (gates[target], 0, sent, first)
            else:
                message = (sent, first, own[source], 0)
            messages[target].append(message)
    layer = AttentionDistillation([messages[target] for target in targets], name=name)
    return dict(zip(targets, layer([features[t] for t in targets], packed), strict=True))
