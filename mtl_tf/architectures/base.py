"""Base of all architectures: argument checks and the Keras configuration."""

import abc
import inspect
import os
import types
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypedDict

import keras

from mtl_tf import backbones, heads, ops
from mtl_tf.architectures.backbone_layers import BackboneLayers, weighted_layers
from mtl_tf.backbones.stage import Maps, Stage, after_each
from mtl_tf.layers.learning_rate_multipliers import (
    learning_rate_multipliers,
    set_learning_rate_multipliers,
)
from mtl_tf.layers.preprocessing import Preprocessing
from mtl_tf.layers.resize import resize_to
from mtl_tf.weights.pretrained import FUSION


class _Task(Protocol):
    """The part of `mtl_tf.Task` that an architecture reads."""

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> int: ...


Tasks = Mapping[str, int] | Iterable[_Task]
"""`{task: channels}`, or objects with `name` and `channels` such as `mtl_tf.Task`."""


def task_channels(tasks: Tasks) -> dict[str, int]:
    """Return `{task: channels}`, from that or from objects with `name` and `channels`.

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
    for name, count in channels.items():
        if not isinstance(name, str) or not isinstance(count, int) or count < 1:
            raise ValueError(
                "tasks must be {name: channels} or a list of mtl_tf.Task, with at least one "
                f"channel each. Received: {tasks!r}"
            )
    return channels


class ModelOptions(TypedDict, total=False):
    """Arguments of every architecture that do not change what it computes from its features.

    Attributes:
        weights: initial weights of a named backbone: `None`, `"imagenet"`, or the path of a
            checkpoint; see `mtl_tf.weights.load_pretrained`. They are not part of the
            configuration: a saved model has its own.
        include_preprocessing: whether the model takes RGB images 0..255 of any dtype and normalises
            them, instead of normalised ones.
        freeze_backbone: whether the backbone is not trained, see `Architecture.backbone`.
        trainable: whether the variables of the model are trained.
    """

    weights: str | os.PathLike[str] | None
    include_preprocessing: bool
    freeze_backbone: bool
    trainable: bool


class Blueprint:
    """Building blocks of an architecture: the image, copies of the backbone, and heads.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a functional Keras model from images to a
            list of stage features, finest first, whose copies start from its weights.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        options: options of the model.

    Attributes:
        input: the input `[B, H, W, 3]`.
        image: the normalised images `[B, H, W, 3]`.
        channels: `{task: channels}`.
        stage_maps: `{stage: maps after it}` of the last call of `features`.
        arguments: the arguments as saved in the configuration of a model.
        options: the options of the model.

    Raises:
        TypeError: for an unknown option.
        ValueError: for an unknown backbone, head or stride, an invalid input shape, or weights of a
            backbone that is a model.

    Examples:
        >>> blueprint = Blueprint("resnet18", {"heat": 1}, (32, 32, 3), None, 32)
        >>> [x.shape[1] for x in blueprint.features()]
        [8, 4, 2, 1]
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        head: str | None,
        output_stride: int,
        options: ModelOptions | None = None,
    ) -> None:
        self.options = _checked_options(options or {}, backbone)
        self.channels = task_channels(tasks)
        self.input = backbones.image_input(input_shape)
        has_preprocessing = self.options.get("include_preprocessing", False)
        self._preprocessing = (
            Preprocessing(name="preprocessing", dtype="float32") if has_preprocessing else None
        )
        self.image = self.normalised(self.input)
        backbones.check_output_stride(output_stride)
        if not isinstance(backbone, str):
            _check_model(backbone, input_shape)
        self._head = _head_of(backbone, head)
        self.stage_maps: dict[str, Maps] = {}
        self.arguments: dict[str, Any] = {
            "backbone": backbone,
            "tasks": self.channels,
            "input_shape": tuple(input_shape),
            "head": head,
            "output_stride": output_stride,
            **({"include_preprocessing": True} if has_preprocessing else {}),
        }

    def normalised(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Return normalised images `[B, H, W, 3]`, of images as the model takes them."""
        return image if self._preprocessing is None else self._preprocessing(image)

    def stages(self, prefix: str = "backbone.") -> dict[str, Stage]:
        """Return the stages of a new copy of the backbone; `prefix` starts its layers' names."""
        arguments = self.arguments
        return backbones.stages(arguments["backbone"], arguments["output_stride"], prefix)

    def features(self, prefix: str = "backbone.") -> Maps:
        """Return the pyramid of a new copy of the backbone on the image, and set `stage_maps`."""
        self.stage_maps = after_each(self.stages(prefix), self.image)
        return list(self.stage_maps.values())[-1]

    def head(self, features: Maps, task: str, name: str) -> keras.KerasTensor:
        """Return the output of the head of `task` on `features`, at the image's size, float32."""
        return self.output(self._head(features, self.channels[task], name), task)

    def heads(self, features: Mapping[str, Maps]) -> dict[str, keras.KerasTensor]:
        """Return the outputs of all tasks, `{task: output}`, from the pyramid of each."""
        return {task: self.head(features[task], task, f"heads.{task}") for task in self.channels}

    def output(self, prediction: keras.KerasTensor, task: str) -> keras.KerasTensor:
        """Resize a prediction `[B, h, w, C]` to the image's size, float32, as the output `task`."""
        height, width = self.image.shape[1:3]
        return resize_to(prediction, height, width, name=task, dtype="float32")


def _checked_options(options: ModelOptions, backbone: str | keras.Model) -> ModelOptions:
    unknown = sorted(options.keys() - ModelOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"This architecture has no argument {unknown[0]!r}")
    if options.get("weights") is not None and not isinstance(backbone, str):
        raise ValueError(
            "weights are those of a named backbone: load them into the backbone that you give as a "
            f"model. Received: weights={options['weights']!r}"
        )
    return options


def _check_model(backbone: keras.Model, input_shape: tuple[int, int, int]) -> None:
    if not isinstance(backbone, keras.Model) or len(getattr(backbone, "inputs", None) or ()) != 1:
        raise ValueError(
            "backbone must be a name or a functional Keras model with one input. Received: "
            f"{backbone!r}"
        )
    expected = backbone.inputs[0].shape[1:]
    if any(n not in (None, given) for n, given in zip(expected, input_shape, strict=True)):
        raise ValueError(
            f"The backbone {backbone.name!r} takes images {tuple(expected)}, but input_shape is "
            f"{tuple(input_shape)}: build it for that size"
        )


def _head_of(backbone: str | keras.Model, head: str | None) -> heads.Head:
    if head is None:
        head = backbones.backbone_entry(backbone).head if isinstance(backbone, str) else "conv"
    if head not in heads.TABLE:
        raise ValueError(f"Unknown head {head!r}. Known: {sorted(heads.TABLE)}")
    return heads.TABLE[head]


class Architecture(keras.Model, abc.ABC):
    """Base of all architectures: a functional model with its constructor's arguments as config.

    Args:
        blueprint: building blocks of the model.
        outputs: `{task: prediction}`.
        name: name of the model.
        **arguments: further arguments of the subclass's constructor, and options of `ModelOptions`
            that the blueprint does not have.

    Attributes:
        arguments: the arguments of the constructor.
        metadata: JSON values by name that are stored with the model, see `add_metadata`.

    Raises:
        TypeError: for an argument that the subclass's constructor does not have.

    Examples:
        >>> import mtl_tf as mtl
        >>> model = mtl.architectures.SharedTrunk("resnet18", {"heat": 1}, (32, 32, 3))
        >>> isinstance(model, mtl.architectures.Architecture), model.arguments["backbone"]
        (True, 'resnet18')
    """

    def __init__(
        self,
        blueprint: Blueprint,
        outputs: dict[str, keras.KerasTensor],
        name: str,
        **arguments: Any,
    ) -> None:
        parameters = inspect.signature(type(self)).parameters
        options: dict[str, Any] = {**blueprint.options}
        for option in arguments.keys() & ModelOptions.__annotations__.keys():
            options[option] = arguments.pop(option)
        unknown = sorted(arguments.keys() - parameters.keys())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {unknown[0]!r}")
        super().__init__(inputs=blueprint.input, outputs=outputs, name=name)
        if options.get("freeze_backbone"):
            self.backbone.trainable = False
        if not options.get("trainable", True):
            self.trainable = False  # True would unfreeze the frozen layers of a backbone
        # Not a dictionary: Keras would track a backbone in it, which the model only copies.
        known = parameters.keys() | ModelOptions.__annotations__.keys()
        self.arguments = types.MappingProxyType(
            {n: v for n, v in {**blueprint.arguments, **arguments}.items() if n in known}
        )
        self.metadata: Mapping[str, Any] = types.MappingProxyType({})
        if options.get("weights") is not None:
            backbones.load_pretrained(self, options["weights"])

    def add_metadata(self, **values: Any) -> None:
        """Add values to `metadata`, which is stored with the model and comes back with it.

        `MultiTaskTrainer` adds `tasks`: names, kinds, classes and colours of the outputs.

        Args:
            **values: JSON values by name.
        """
        self.metadata = types.MappingProxyType({**self.metadata, **values})

    def with_preprocessing(self) -> "Architecture":
        """Return a copy with the same weights that takes RGB images 0..255 and normalises them."""
        return self._copy(include_preprocessing=True)

    def with_input_shape(self, input_shape: tuple[int, int, int]) -> "Architecture":
        """Return a copy with the same weights for images of another size.

        Args:
            input_shape: `(H, W, 3)`.

        Raises:
            ValueError: if the shape is invalid, if the backbone is a model of a fixed size, or if
                weights depend on the size.
        """
        return self._copy(input_shape=tuple(input_shape))

    def _copy(self, **arguments: Any) -> "Architecture":
        """Return a model with the same weights, and other arguments of the constructor."""
        copy = self.from_config({**self.get_config(), **arguments})
        copy.set_weights(self.get_weights())
        return copy

    @property
    def backbone(self) -> BackboneLayers:
        """The layers of the backbone, or of all its copies: to freeze, or to learn slower."""
        layers = dict(weighted_layers(self))
        names = [n for n in layers if n.startswith("backbone.") and not n.startswith(FUSION)]
        return BackboneLayers({name: layers[name] for name in names})

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration: the arguments of the constructor."""
        config = super().get_config()
        backbone = self.backbone
        if self.trainable and backbone.layers and not backbone.trainable:
            config["freeze_backbone"] = True
        if self.metadata:
            config["metadata"] = dict(self.metadata)
        multipliers = learning_rate_multipliers(self.variables)
        if multipliers:
            config["learning_rate_multipliers"] = multipliers
        del config["dtype"]  # layers have the global policy
        arguments = dict(self.arguments)
        if isinstance(arguments["backbone"], keras.Model):
            arguments["backbone"] = keras.saving.serialize_keras_object(arguments["backbone"])
        return {**arguments, **config}

    def export(self, *arguments: Any, **options: Any) -> object:
        """Export to SavedModel, ONNX or LiteRT by `keras.Model.export`, without custom ops."""
        with ops.portable():
            return super().export(*arguments, **options)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Architecture":
        """Create the model from the configuration of `get_config`."""
        config = dict(config)
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.saving.deserialize_keras_object(
                config["backbone"], custom_objects=custom_objects
            )
        metadata, is_frozen = config.pop("metadata", {}), config.pop("freeze_backbone", False)
        multipliers = config.pop("learning_rate_multipliers", {})
        model = cls(**config)
        set_learning_rate_multipliers(model.variables, multipliers)
        model.add_metadata(**metadata)
        if is_frozen:
            model.backbone.trainable = False
        return model
