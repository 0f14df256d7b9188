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
        operation, index, _ = x._keras_history
        node = operation._inbound_nodes[index]
        if is_ready:
            ordered.append((operation, node))
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((x, True))
            waiting.extend((y, False) for y in reversed(node.input_tensors))
    return ordered
