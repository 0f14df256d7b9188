"""The graph of a functional model: the calls of its layers, in order.

The only module that reads Keras' private graph attributes.
"""

from collections.abc import Sequence
from typing import Any

import keras


def calls(outputs: Sequence[keras.KerasTensor]) -> list[tuple[keras.Operation, Any]]:
    """Return the calls that symbolic tensors depend on, in topological order.

    Args:
        outputs: symbolic tensors.

    Returns:
        List of `(operation, node)`: the layer, and one call of it with its `input_tensors` and
        `output_tensors`. A layer that is called several times occurs once per call.
    """
    ordered: list[tuple[keras.Operation, Any]] = []
    seen: set[int] = set()
    waiting = [(x, False) for x in reversed(outputs)]
    while waiting:
        x, is_ready = waiting.pop()
        operation, node = _call_behind(x)
        if is_ready:
            ordered.append((operation, node))
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((x, True))
            waiting.extend((y, False) for y in reversed(node.input_tensors))
    return ordered


def is_symbolic(tensor: object) -> bool:
    """Return whether a tensor belongs to the graph of a functional model."""
    return hasattr(tensor, "_keras_history")


def operation_of(tensor: keras.KerasTensor) -> keras.Operation:
    """Return the layer or operation whose result a symbolic tensor is."""
    return _call_behind(tensor)[0]


def inputs_of(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Return the symbolic tensors that the operation behind a symbolic tensor takes."""
    return list(_call_behind(tensor)[1].input_tensors)


def ancestors(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Return a symbolic tensor and all symbolic tensors it depends on, nearest first."""
    tensors = {id(tensor): tensor}
    waiting = [tensor]
    while waiting:
        for source in inputs_of(waiting.pop()):
            if id(source) not in tensors:
                tensors[id(source)] = source
                waiting.append(source)
    return list(tensors.values())


def _call_behind(tensor: keras.KerasTensor) -> tuple[keras.Operation, Any]:
    operation, index, _ = tensor._keras_history
    return operation, operation._inbound_nodes[index]
