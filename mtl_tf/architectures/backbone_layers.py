"""The layers of a network's backbone, or of all its copies: freezing and learning rates."""

import re
from collections.abc import Mapping

import keras

_STAGE = re.compile(r"layer\d+|stage\d+|transition\d+|blocks\.\d+")


class BackboneLayers:
    """The layers with weights of a network's backbone; of all copies where tasks have one each.

    Source: this library.

    Args:
        layers: layers by name, in order.

    Attributes:
        layers: the layers.

    Examples:
        >>> import mtl_tf as mtl
        >>> model = mtl.architectures.SharedTrunk("resnet18", {"depth": 1}, (32, 32, 3))
        >>> model.backbone.trainable = False
        >>> len(model.trainable_variables) < len(model.backbone.variables)
        True
    """

    def __init__(self, layers: Mapping[str, keras.layers.Layer]) -> None:
        self.layers = list(layers.values())
        self._stages = [_stage_of(name) for name in layers]

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables of all layers."""
        return [variable for layer in self.layers for variable in layer.variables]

    @property
    def trainable(self) -> bool:
        """State of training: `True` if any layer is trained; a new value holds for all layers.

        Set it before `MultiTaskTrainer.compile`, as in Keras.
        """
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    def set_learning_rate(self, factor: float, layer_decay: float = 1.0) -> None:
        """Set the learning rate of the backbone relative to that of the other layers.

        `MultiTaskTrainer.compile` applies it: call this before.

        Args:
            factor: of the last stage.
            layer_decay: each stage (block of an EfficientNet) has this factor times the rate of the
                next one (layer-wise decay: Clark et al., ICLR 2020); 1 for one rate.

        Raises:
            ValueError: if a factor is negative or not finite.
        """
        for name, value in (("factor", factor), ("layer_decay", layer_decay)):
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"{name} must not be negative. Received: {value!r}")
        order = list(dict.fromkeys(self._stages))
        for stage, layer in zip(self._stages, self.layers, strict=True):
            distance = len(order) - 1 - order.index(stage)
            for variable in layer.variables:
                variable.learning_rate_multiplier = factor * layer_decay**distance


def weighted_layers(model: keras.Model, prefix: str = "") -> list[tuple[str, keras.layers.Layer]]:
    """Return the layers with weights by name; names in a nested model have its name as prefix."""
    named_layers = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            named_layers += weighted_layers(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            named_layers.append((prefix + layer.name, layer))
    return named_layers


def _stage_of(name: str) -> str:
    """Return the stage in the name of a layer; what has none belongs to the stem."""
    match = _STAGE.search(name)
    return match[0] if match else "stem"
