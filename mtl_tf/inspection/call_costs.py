"""Multiply-adds of the calls in a functional model, for one image.

A layer is counted by its method `multiply_adds`, by the rule of its type (`layer_costs`), by its
parts, or else by the TensorFlow ops that it creates (`traced_costs`). Layers that cannot be counted
raise an error with their name; they never count as zero.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mtl_tf.graph import calls, operation_of
from mtl_tf.inspection.layer_costs import rule_of
from mtl_tf.inspection.traced_costs import traced

_HELP = (
    "give the layer a method multiply_adds(input_shapes, output_shapes) that returns their number; "
    "it gets lists of shapes, batch included"
)


class UncountedLayerError(ValueError):
    """Error for a layer whose multiply-adds cannot be counted; the message has its name."""


def multiply_adds(outputs: Sequence[keras.KerasTensor]) -> list[tuple[keras.Operation, int]]:
    """Return the calls that symbolic tensors depend on, with their cost for one image.

    Args:
        outputs: symbolic tensors of a functional model.

    Returns:
        List of `(layer or operation, multiply-adds)`, in the order of the calls.

    Raises:
        ValueError: for a layer that cannot be counted, or if the inputs have no fixed size.
    """
    entries = [node.output_tensors[0] for _, node in calls(outputs) if node.is_input]
    images = max((x.shape[0] or 1 for x in entries if x.shape), default=1)
    _, costs = _of_graph(outputs, {id(x): _one_image(x) for x in entries})
    return [(operation, cost // images) for operation, cost in costs]


def _one_image(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return an input with a fixed batch size: its own, or 1 if it is `None`."""
    if None in x.shape[1:]:
        raise ValueError(
            "Multiply-adds depend on the size of the input: build the model with a fixed one. "
            f"Received: {x.name} of shape {x.shape}"
        )
    return keras.KerasTensor((x.shape[0] or 1, *x.shape[1:]) if x.shape else (), x.dtype)


def _of_graph(
    outputs: Sequence[keras.KerasTensor], inputs: Mapping[int, keras.KerasTensor]
) -> tuple[dict[int, keras.KerasTensor], list[tuple[keras.Operation, int]]]:
    """Return all tensors of a graph with their shapes, given its inputs, and the cost of each call.

    Args:
        outputs: symbolic tensors.
        inputs: `{id of an input: tensor of known shape}`.
    """
    tensors, costs = dict(inputs), []
    graph = [(operation, node) for operation, node in calls(outputs) if not node.is_input]
    readers: dict[int, set[str]] = {}
    for operation, node in graph:
        for x in node.input_tensors:
            readers.setdefault(id(x), set()).add(type(operation).__name__)
    for operation, node in graph:
        args, kwargs = node.arguments.fill_in(tensors)
        results, cost = _of_call(operation, args, kwargs)
        if cost == 0 and readers.get(id(node.output_tensors[0]), set()) & {"Sum", "Mean"}:
            cost = _inner_product(operation, args, kwargs, results)
        tensors |= zip(map(id, node.output_tensors), keras.tree.flatten(results), strict=True)
        costs.append((operation, cost))
    return tensors, costs


def _of_call(
    operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[object, int]:
    """Return the outputs of a call, as `KerasTensor`s, and its cost."""
    rule = rule_of(operation)
    try:
        if rule is not None:
            results = operation.compute_output_spec(*args, **kwargs)
            return results, rule(operation, _shapes((args, kwargs)), _shapes(results))
        if _is_functional(operation):
            return _of_model(operation, args, kwargs)
        if type(operation) is keras.layers.TimeDistributed:
            return _of_time_distributed(operation, args, kwargs)
        if type(operation) is keras.layers.Bidirectional:
            return _of_bidirectional(operation, args, kwargs)
        results, cost = traced(operation, args, kwargs)
        _shapes(results)
        return results, cost
    except UncountedLayerError:
        raise
    except Exception as error:
        reason = re.sub(r"\x1b\[\d*m|\n+", " ", str(error))[:300]
        raise UncountedLayerError(
            f"The multiply-adds of layer {operation.name!r} ({type(operation).__name__}) cannot be "
            f"counted: {reason}. To count it, {_HELP}"
        ) from error


def _inner_product(
    operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], results: object
) -> int:
    """Return the cost of an element-wise product that is summed immediately: see `traced_costs`."""
    flat = keras.tree.flatten((args, kwargs))
    factors = {id(x) for x in flat if math.prod(getattr(x, "shape", ())) > 1}
    if type(operation).__name__ != "Multiply" or len(factors) < 2:
        return 0
    return sum(map(math.prod, _shapes(results)))


def _shapes(tensors: object) -> list[tuple[int, ...]]:
    """Return the shapes of all tensors in a structure."""
    flat = [x for x in keras.tree.flatten(tensors) if isinstance(x, keras.KerasTensor)]
    for x in flat:
        if None in x.shape:
            raise ValueError(f"a shape is not known: {x.shape}")
    return [tuple(x.shape) for x in flat]


def _is_functional(operation: keras.Operation) -> bool:
    """Return whether the inner graph describes the whole call."""
    bases: list[type[keras.Model]] = [
        c for c in type(operation).__mro__ if c.__name__ in ("Functional", "Sequential")
    ]
    return (
        isinstance(operation, keras.Model)
        and bool(bases)
        and type(operation).call is bases[0].call
        and bool(operation.outputs)
    )


def _of_model(
    model: keras.Model, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[object, int]:
    """Count a nested model by its graph, with the shapes of its call."""
    given = args[0] if args else kwargs["inputs"]
    names = [operation_of(x).name for x in model.inputs]
    if isinstance(given, dict) and set(names) <= set(given):
        values = [given[name] for name in names]
    else:
        values = keras.tree.flatten(given)
    inputs = {id(x): value for x, value in zip(model.inputs, values, strict=True)}
    tensors, costs = _of_graph(list(model.outputs), inputs)
    return [tensors[id(x)] for x in model.outputs], sum(cost for _, cost in costs)


def _of_time_distributed(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[object, int]:
    """Count the layer inside `TimeDistributed` at every step."""
    x = args[0] if args else kwargs["inputs"]
    step = keras.KerasTensor((x.shape[0] * x.shape[1], *x.shape[2:]), x.dtype)
    return layer.compute_output_spec(x), _of_call(layer.layer, (step,), {})[1]


def _of_bidirectional(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[object, int]:
    """Count the two layers inside `Bidirectional`."""
    x = args[0] if args else kwargs["sequences"]
    directions = (layer.forward_layer, layer.backward_layer)
    costs = [_of_call(direction, (x,), {})[1] for direction in directions]
    return layer.compute_output_spec(*args, **kwargs), sum(costs)
