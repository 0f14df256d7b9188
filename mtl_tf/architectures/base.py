"""What all architectures share: their arguments, checked, and their Keras configuration."""

import abc
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from mtl_tf import backbones, heads
from mtl_tf.layers.resize import resize_to


def task_channels(tasks: Mapping[str, int] | Iterable[Any]) -> dict[str, int]:
    """`{task: channels}` from that, or from objects with `name` and `channels`.

    Raises:
        ValueError: for no task, a repeated task, or channels that are not positive integers.
    """
    if isinstance(tasks, Mapping):
        items = list(tasks.items())
    else:
        items = [(getattr(t, "name", None), getattr(t, "channels", None)) for t in tasks]
    channels = dict(items)
    if not channels or len(channels) < len(items):
        raise ValueError(f"tasks must name at least one task, each once. Received: {tasks!r}")
    for name, number in channels.items():
        if not isinstance(name, str) or not isinstance(number, int) or number < 1:
            raise ValueError(
                "tasks must be {name: channels} or a list of mtl_tf.Task, with at least one "
                f"channel each. Received: {tasks!r}"
            )
    return channels


def image_input(input_shape: tuple[int, int, int]) -> Any:
    """The input `[B, H, W, 3]`; `ValueError` for another shape."""
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape must be (height, width, 3). Received: {input_shape!r}")
    return keras.Input(shape, name="image")


def head_of(backbone: str | keras.Model, head: str | None) -> Any:
    """The head function called `head`, or the backbone's own without a name."""
    if head is None:
        named = isinstance(backbone, str)
        head = backbones.backbone_entry(backbone).head if named else "conv"
    if head not in heads.TABLE:
        raise ValueError(f"Unknown head {head!r}. Known: {sorted(heads.TABLE)}")
    return heads.TABLE[head]


def prediction(x: Any, image: Any, task: str) -> Any:
    """The output of `task`: `x [B, h, w, C]` at the image's size, float32."""
    return resize_to(x, image.shape[1], image.shape[2], name=task, dtype="float32")


class Architecture(keras.Model, abc.ABC):
    """Base of all architectures: a functional model that saves the arguments it was made with.

    Args:
        image: the input.
        outputs: `{task: prediction}`.
        name: name of the model.
        arguments: what the subclass's constructor was given.
    """

    def __init__(self, image: Any, outputs: dict[str, Any], name: str, **arguments: Any) -> None:
        super().__init__(inputs=image, outputs=outputs, name=name)
        self.arguments = arguments

    def get_config(self) -> dict[str, Any]:
        """Keras configuration: the arguments of the constructor."""
        arguments = dict(self.arguments)
        if isinstance(arguments["backbone"], keras.Model):
            arguments["backbone"] = keras.saving.serialize_keras_object(arguments["backbone"])
        return {**arguments, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Architecture":
        """Builds the model again from `get_config`."""
        config = dict(config)
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.saving.deserialize_keras_object(
                config["backbone"], custom_objects=custom_objects
            )
        return cls(**config)
