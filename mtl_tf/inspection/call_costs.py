"""Multiply-adds of the calls in a functional model, for one image.

Every layer is counted by its own `multiply_adds`, by the rule of its type (`layer_costs`), by its
parts, or else by the TensorFlow ops that it makes (`traced_costs`). What cannot be counted is an
error that names the layer; nothing counts as zero because it is unknown.
"""

import math
import re
from typing import Any

import keras

from mtl_tf.graph import calls
from mtl_tf.inspection.layer_costs import rule_of
from mtl_tf.inspection.traced_costs import traced

_HELP = (
    "give the layer a method multiply_adds(input_shapes, output_shapes) that returns their number; "
    "it gets lists of shapes, batch included"
)


class UncountedLayerError(ValueError):
    """A layer whose multiply-adds cannot be counted; the message names it."""


def multiply_adds(outputs: list[Any]) -> list[tuple[Any, int]]:
    """The calls before symbolic tensors and what each costs for one image.

    Args:
        outputs: symbolic tensors of a functional model.

    Returns:
        List of `(layer or operation, multiply-adds)`, in the order of the calls.

    Raises:
        ValueError: naming the layer that cannot be counted, or if the inputs have no fixed size.
    """
    entries = [node.output_tensors[0] for _, node in calls(outputs) if node.is_input]
    images = max((x.shape[0] or 1 for x in entries if x.shape), default=1)
    _, found = _of_graph(outputs, {id(x): _one_image(x) for x in entries})
    return [(operation, cost // images) for operation, cost in found]


def _one_image(x: Any) -> Any:
    """An input with the batch size that it was made for, 1 if it is free."""
    if None in x.shape[1:]:
        raise ValueError(
            "Multiply-adds depend on the size of the input: build the model with a fixed one. "
            f"Received: {x.name} of shape {x.shape}"
        )
    return keras.KerasTensor((x.shape[0] or 1, *x.shape[1:]) if x.shape else (), x.dtype)


def _of_graph(outputs: list[Any], known: dict[int, Any]) -> tuple[dict[int, Any], list[Any]]:
    """All tensors of a graph with their shapes, given its inputs, and the cost of each call."""
    known, found = dict(known), []
    graph = [(operation, node) for operation, node in calls(outputs) if not node.is_input]
    readers: dict[int, set[str]] = {}
    for operation, node in graph:
        for x in node.input_tensors:
            readers.setdefault(id(x), set()).add(type(operation).__name__)
    for operation, node in graph:
        args, kwargs = node.arguments.fill_in(known)
        made, cost = _of_call(operation, args, kwargs)
        if cost == 0 and readers.get(id(node.output_tensors[0]), set()) & {"Sum", "Mean"}:
            cost = _inner_product(operation, args, kwargs, made)
        known |= zip(map(id, node.output_tensors), keras.tree.flatten(made), strict=True)
        found.append((operation, cost))
    return known, found


def _of_call(operation: Any, args: Any, kwargs: Any) -> tuple[Any, int]:
    """Return the outputs of a call, as `KerasTensor`s, and its cost."""
    rule = rule_of(operation)
    try:
        if rule is not None:
            made = operation.compute_output_spec(*args, **kwargs)
            return made, rule(operation, _shapes((args, kwargs)), _shapes(made))
        if _is_functional(operation):
            return _of_model(operation, args, kwargs)
        if type(operation) is keras.layers.TimeDistributed:
            return _of_steps(operation, args, kwargs)
        if type(operation) is keras.layers.Bidirectional:
            return _of_both(operation, args, kwargs)
        made, cost = traced(operation, args, kwargs)
        _shapes(made)
        return made, cost
    except UncountedLayerError:
        raise
    except Exception as error:
        reason = re.sub(r"\x1b\[\d*m|\n+", " ", str(error))[:300]
        raise UncountedLayerError(
            f"The multiply-adds of layer {operation.name!r} ({type(operation).__name__}) cannot be "
            f"counted: {reason}. To count it, {_HELP}"
        ) from error


def _inner_product(operation: Any, args: Any, kwargs: Any, made: Any) -> int:
    """Return the cost of an element-wise product that is summed at once: see `traced_costs`."""
    flat = keras.tree.flatten((args, kwargs))
    factors = {id(x) for x in flat if math.prod(getattr(x, "shape", ())) > 1}
    if type(operation).__name__ != "Multiply" or len(factors) < 2:
        return 0
    return sum(map(math.prod, _shapes(made)))


def _shapes(tensors: Any) -> list[tuple[int, ...]]:
    """The shapes of all tensors in a structure."""
    found = [x for x in keras.tree.flatten(tensors) if isinstance(x, keras.KerasTensor)]
    for x in found:
        if None in x.shape:
            raise ValueError(f"a shape is not known: {x.shape}")
    return [tuple(x.shape) for x in found]


def _is_functional(operation: Any) -> bool:
    """Return whether the inner graph describes the whole call."""
    known: list[Any] = [
        c for c in type(operation).__mro__ if c.__name__ in ("Functional", "Sequential")
    ]
    return (
        isinstance(operation, keras.Model)
        and bool(known)
        and type(operation).call is known[0].call
        and bool(operation.outputs)
    )


def _of_model(model: Any, args: Any, kwargs: Any) -> tuple[Any, int]:
    """A model inside a model: its graph with the shapes that it is called with."""
    given = args[0] if args else kwargs["inputs"]
    names = [x._keras_history.operation.name for x in model.inputs]
    if isinstance(given, dict) and set(names) <= set(given):
        values = [given[name] for name in names]
    else:
        values = keras.tree.flatten(given)
    inputs = {id(x): value for x, value in zip(model.inputs, values, strict=True)}
    known, found = _of_graph(list(model.outputs), inputs)
    made = [known[id(x)] for x in model.outputs]
    return made, sum(cost for _, cost in found)


def _of_steps(layer: Any, args: Any, kwargs: Any) -> tuple[Any, int]:
    """`TimeDistributed`: its layer at every step."""
    x = args[0] if args else kwargs["inputs"]
    step = keras.KerasTensor((x.shape[0] * x.shape[1], *x.shape[2:]), x.dtype)
    return layer.compute_output_spec(x), _of_call(layer.layer, (step,), {})[1]


def _of_both(layer: Any, args: Any, kwargs: Any) -> tuple[Any, int]:
    """`Bidirectional`: its two layers."""
    x = args[0] if args else kwargs["sequences"]
    costs = [_of_call(one, (x,), {})[1] for one in (layer.forward_layer, layer.backward_layer)]
    return layer.compute_output_spec(*args, **kwargs), sum(costs)
