"""What a model costs: parameters and multiply-adds of its parts."""

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Any

import keras

from mtl_tf.architectures.graph import calls

PARTS = ("backbone", "exchange", "heads")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a part of a model costs.

    Source: counted as in Vandenhende et al., TPAMI 2021, table 5.

    Attributes:
        parameters: number of trainable numbers.
        multiply_adds: of convolutions and dense layers for one image.
    """

    parameters: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a model costs.

    Source: counted as in Vandenhende et al., TPAMI 2021, table 5.

    Attributes:
        parts: `{"backbone": ..., "exchange": ..., "heads": ...}`; what tasks exchange features by
            is `exchange`.
    """

    parts: dict[str, Cost]

    @property
    def parameters(self) -> int:
        """Trainable numbers of the whole model."""
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
    """Parameters and multiply-adds of the parts of an architecture.

    Counted as Vandenhende et al., TPAMI 2021: one multiply-add per weight and position of
    convolutions and dense layers, for one image of the model's input size; batch normalisation,
    activations, resizing and element-wise products are left out.

    Args:
        model: an architecture of `mtl_tf.architectures`, or any functional model; print the result
            for a table.

    Returns:
        The cost of each part.
    """
    parameters = dict.fromkeys(PARTS, 0)
    costs = dict.fromkeys(PARTS, 0)
    for layer in model.layers:
        part = part_of(layer)
        parameters[part] += sum(math.prod(v.shape) for v in layer.trainable_variables)
    for layer, cost in multiply_adds(list(model.outputs)):
        costs[part_of(layer)] += cost
    return Summary({part: Cost(parameters[part], costs[part]) for part in PARTS})


def part_of(layer: Any) -> str:
    """The part of an architecture a layer belongs to, by its name; one of `PARTS`."""
    if layer.name.startswith("backbone."):
        return "backbone"
    is_head = layer.name.startswith(("decoder.", "decoders.", "heads."))
    return "heads" if is_head else "exchange"


def multiply_adds(outputs: list[Any]) -> list[tuple[Any, int]]:
    """The layers before symbolic tensors and the multiply-adds of each of their calls."""
    return [(operation, _cost(operation, node)) for operation, node in calls(outputs)]


def stage_costs(stage_maps: Iterable[list[Any]]) -> list[int]:
    """The multiply-adds of each of a chain of stages, from the maps after each of them."""
    totals = [sum(cost for _, cost in multiply_adds(maps)) for maps in stage_maps]
    return [after - before for before, after in itertools.pairwise([0, *totals])]


def _cost(operation: Any, node: Any) -> int:
    if isinstance(operation, keras.Model):
        return sum(cost for _, cost in multiply_adds(list(operation.outputs)))
    kernel = getattr(operation, "kernel", None)
    if kernel is None:
        return 0
    is_transposed = isinstance(operation, keras.layers.Conv2DTranspose)
    shape = (node.input_tensors if is_transposed else node.output_tensors)[0].shape
    return math.prod(shape[1:-1]) * math.prod(kernel.shape)
