"""Cost of a model: parameters and multiply-adds of its parts."""

import dataclasses
import itertools
import math
from collections.abc import Iterable

import keras

from mtl_tf.inspection.call_costs import multiply_adds

PARTS = ("backbone", "exchange", "heads")


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of a part of a model.

    Source: counted as in Vandenhende et al., TPAMI 2021, table 5.

    Attributes:
        parameters: number of trainable parameters.
        multiply_adds: multiply-adds of convolutions, dense layers and matrix products for one
            image.

    Examples:
        >>> import mtl_tf as mtl
        >>> model = mtl.architectures.SharedTrunk("resnet18", {"heat": 1}, (32, 32, 3))
        >>> mtl.architectures.summary(model).parts["backbone"].parameters
        11176512
    """

    parameters: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """Cost of a model.

    Source: counted as in Vandenhende et al., TPAMI 2021, table 5.

    Attributes:
        parts: `{"backbone": cost, "exchange": cost, "heads": cost}`; `exchange` are the layers
            between tasks.

    Examples:
        >>> import mtl_tf as mtl
        >>> model = mtl.architectures.SharedTrunk("resnet18", {"heat": 1}, (32, 32, 3))
        >>> list(mtl.architectures.summary(model).parts)
        ['backbone', 'exchange', 'heads']
    """

    parts: dict[str, Cost]

    @property
    def parameters(self) -> int:
        """Trainable parameters of the whole model."""
        return sum(cost.parameters for cost in self.parts.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the whole model for one image."""
        return sum(cost.multiply_adds for cost in self.parts.values())

    def __str__(self) -> str:
        rows = [*self.parts.items(), ("all", Cost(self.parameters, self.multiply_adds))]
        lines = [f"{'part':10s} {'parameters':>14s} {'multiply-adds':>18s}"]
        lines += [f"{n:10s} {c.parameters:14,d} {c.multiply_adds:18,d}" for n, c in rows]
        return "\n".join(lines)


def summary(model: keras.Model) -> Summary:
    """Return the parameters and multiply-adds of the parts of an architecture.

    Counted as in Vandenhende et al., TPAMI 2021: one multiply-add per weight and position of
    convolutions and dense layers, for one image of the model's input size; batch normalisation,
    activations, pooling, resizing and element-wise arithmetic are free. Products of features with
    features, as in attention and affinities, are counted too.

    All Keras layers are counted; functions of `keras.ops`, `Lambda` and custom layers by the
    TensorFlow ops that they create. A layer that creates other ops, such as a Python function, can
    define its cost by a method `multiply_adds(input_shapes, output_shapes)`, from lists of shapes,
    batch included, to the number for that batch.

    Args:
        model: an architecture of `mtl_tf.architectures`, or any functional model.

    Returns:
        The cost of each part; it prints as a table.

    Raises:
        ValueError: for a layer that cannot be counted, with its name; if the model is not
            functional, or its input has no fixed size.
    """
    outputs = _outputs(model)
    parameters = dict.fromkeys(PARTS, 0)
    costs = dict.fromkeys(PARTS, 0)
    counted: set[int] = set()
    for layer in model.layers:
        variables = {id(v): v for v in layer.trainable_variables if id(v) not in counted}
        counted |= variables.keys()
        parameters[part_of(layer)] += sum(math.prod(v.shape) for v in variables.values())
    for layer, cost in multiply_adds(outputs):
        costs[part_of(layer)] += cost
    return Summary({part: Cost(parameters[part], costs[part]) for part in PARTS})


def _outputs(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the symbolic outputs of a functional model."""
    try:
        return list(model.outputs)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            "summary needs a functional Keras model: keras.Model(inputs, outputs). Received: "
            f"{type(model).__name__}{', use its .network' if hasattr(model, 'network') else ''}"
        ) from error


def part_of(layer: keras.Operation) -> str:
    """Return the part of an architecture that a layer belongs to, by its name; one of `PARTS`."""
    if layer.name.startswith("backbone."):
        return "backbone"
    is_head = layer.name.startswith(("decoder.", "decoders.", "heads."))
    return "heads" if is_head else "exchange"


def stage_costs(stage_maps: Iterable[list[keras.KerasTensor]]) -> list[int]:
    """Return the multiply-adds of each of a sequence of stages, from the maps after each."""
    totals = [sum(cost for _, cost in multiply_adds(maps)) for maps in stage_maps]
    return [after - before for before, after in itertools.pairwise([0, *totals])]
