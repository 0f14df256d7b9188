"""The graph behind a functional model: the calls of its layers, in order."""

from typing import Any


def calls(outputs: list[Any]) -> list[tuple[Any, Any]]:
    """The calls that symbolic tensors depend on, each after those it depends on.

    Args:
        outputs: symbolic tensors.

    Returns:
        List of `(operation, node)`: the layer, and the call of it with its `input_tensors` and
        `output_tensors`. A layer that is called several times comes as often.
    """
    done: list[tuple[Any, Any]] = []
    seen: set[int] = set()
    waiting = [(x, False) for x in reversed(outputs)]
    while waiting:
        x, is_ready = waiting.pop()
        operation, index, _ = x._keras_history
        node = operation._inbound_nodes[index]
        if is_ready:
            done.append((operation, node))
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((x, True))
            waiting.extend((y, False) for y in reversed(node.input_tensors))
    return done
