"""Multiply-adds of layers without a rule, counted in the graph of TensorFlow ops of a call.

A custom layer, an attention layer, a `Lambda` or a function of `keras.ops` is called once with
symbolic tensors, and the ops that its outputs depend on are counted: convolutions, matrix products,
and element-wise products that are summed immediately, which are inner products. `free_ops` lists
the other ops that may occur; an unlisted op is an error, never zero.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.inspection.free_ops import FREE


class UncountableError(ValueError):
    """Error for an op whose multiply-adds are unknown; the message has its name."""


class _UnknownShapeError(UncountableError):
    """Error for a tensor of unknown shape."""


def traced(
    operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[object, int]:
    """Return the outputs and the cost of a call, from the TensorFlow ops that it creates.

    Args:
        operation: a layer, or an operation of `keras.ops`.
        args: positional arguments of its call, with `keras.KerasTensor`s of known shape.
        kwargs: its keyword arguments, likewise.

    Returns:
        The outputs as `KerasTensor`s, and the multiply-adds. State and losses of the layer are not
        changed.

    Raises:
        UncountableError: if it creates an op or a loop of unknown cost.
    """
    flat = keras.tree.flatten((args, kwargs))
    places = [i for i, x in enumerate(flat) if isinstance(x, keras.KerasTensor)]

    def call(*tensors: tf.Tensor) -> object:
        filled = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        new_args, new_kwargs = keras.tree.pack_sequence_as((args, kwargs), filled)
        return operation(*new_args, **new_kwargs)

    specs = [tf.TensorSpec(flat[i].shape, flat[i].dtype) for i in places]
    function = _function_of(call, specs)
    try:
        cost = _of_graph(function.graph)
    except _UnknownShapeError:  # in a nested `tf.function` that was traced for any batch size
        function = _function_of(call, specs, inline=True)
        cost = _of_graph(function.graph)
    if not all(x.shape.is_fully_defined() for x in function.outputs):
        return operation.compute_output_spec(*args, **kwargs), cost
    outputs = keras.tree.map_structure(
        lambda x: keras.KerasTensor(x.shape, x.dtype.name), function.structured_outputs
    )
    return outputs, cost


def _function_of(
    call: Callable[..., object], specs: Sequence[tf.TensorSpec], inline: bool = False
) -> tf.types.experimental.ConcreteFunction:
    """Trace the graph of a call; `inline` traces into the functions that it calls."""
    inference: keras.layers.Layer = _Inference(call)
    infer = functools.partial(inference, training=False)
    was_eager = tf.config.functions_run_eagerly()
    with keras.StatelessScope(collect_losses=True), ops.portable():
        tf.config.run_functions_eagerly(inline)
        try:
            return tf.function(infer, autograph=False).get_concrete_function(*specs)
        finally:
            tf.config.run_functions_eagerly(was_eager)


class _Inference(keras.layers.Layer):
    """Layer that calls a function in inference mode."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(name="inference", autocast=False)
        self.function = function

    def call(self, *tensors: tf.Tensor, training: bool = False) -> object:
        return self.function(*tensors)


def _of_graph(graph: tf.Graph) -> int:
    """Count the multiply-adds of the ops that the outputs of a graph depend on."""
    visited: dict[str, tf.Operation] = {}
    stack = [x.op for x in graph.outputs]
    while stack:
        op = stack.pop()
        if op.name not in visited:
            visited[op.name] = op
            stack += [x.op for x in op.inputs]
    return sum(map(_of_op, visited.values()))


def _of_op(op: tf.Operation) -> int:
    rule = _RULES.get(op.type)
    if rule is not None:
        return rule(op)
    if op.type not in FREE:
        raise UncountableError(f"it makes the TensorFlow op {op.type}, which has no rule")
    return 0


def _size(tensor: tf.Tensor) -> int:
    """Return the number of elements."""
    if not tensor.shape.is_fully_defined():
        raise _UnknownShapeError(f"the shape of {tensor.name} is not known: {tensor.shape}")
    return math.prod(tensor.shape)


def _matmul(op: tf.Operation) -> int:
    is_transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return _size(op.outputs[0]) * op.inputs[0].shape[-2 if is_transposed else -1]


def _einsum(op: tf.Operation) -> int:
    if len(op.inputs) == 1:
        return 0
    sides, result = op.get_attr("equation").decode().split("->")
    first, second = (set(side) - set(".") for side in sides.split(","))
    sizes: dict[str, int] = {}
    for side, x in zip(sides.split(","), op.inputs, strict=True):
        before, _, after = side.partition("...")
        sizes |= zip(before, x.shape, strict=False)
        sizes |= zip(reversed(after), reversed(x.shape), strict=False)
    return _size(op.outputs[0]) * math.prod(sizes[a] for a in (first & second) - set(result))


def _convolution(op: tf.Operation) -> int:
    kernel, y = op.inputs[1].shape, op.outputs[0]
    readers = y.consumers()
    if len(readers) == 1 and readers[0].type == "BatchToSpaceND":  # how TensorFlow dilates
        y = readers[0].outputs[0]
    taps = kernel[:-2] if op.type.startswith("Depthwise") else kernel[:-1]
    return _size(y) * math.prod(taps)


def _transposed_convolution(op: tf.Operation) -> int:
    kernel, y = op.inputs[1].shape, op.inputs[2]
    taps = kernel[:-2] if op.type.startswith("Depthwise") else kernel[:-1]
    return _size(y) * math.prod(taps)


def _product(op: tf.Operation) -> int:
    """Count an element-wise product of two tensors if it is summed immediately."""
    first, second = op.inputs
    is_inner = first.name != second.name and min(_size(first), _size(second)) > 1
    is_summed = any(reader.type in ("Sum", "Mean") for reader in op.outputs[0].consumers())
    return _size(op.outputs[0]) if is_inner and is_summed else 0


def _body(op: tf.Operation, name: str) -> int:
    return _of_graph(op.graph._get_function(op.get_attr(name).name).graph)


def _loop(op: tf.Operation) -> int:
    once = _body(op, "body")
    if once == 0:
        return 0
    limit = _number(op.inputs[1])
    if limit is None or limit < 0:
        raise UncountableError("a loop runs an unknown number of times")
    return once * limit


def _number(tensor: tf.Tensor) -> int | None:
    """Return the value of an integer that is constant in the graph, else `None`."""
    value = tf.get_static_value(tensor)
    if value is None and tensor.op.type in ("Identity", "Cast", "Max", "Min"):
        return _number(tensor.op.inputs[0])
    return None if value is None or value.size != 1 else int(value.reshape(()))


def _branch(op: tf.Operation) -> int:
    costs = {_body(op, name) for name in ("then_branch", "else_branch")}
    if len(costs) > 1:
        raise UncountableError(f"the branches of a condition cost differently: {sorted(costs)}")
    return costs.pop()


_RULES: dict[str, Callable[[tf.Operation], int]] = {
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matmul),
    "Einsum": _einsum,
    "Mul": _product,
    **dict.fromkeys(("Conv2D", "Conv3D", "DepthwiseConv2dNative"), _convolution),
    "Conv2DBackpropInput": _transposed_convolution,
    "Conv3DBackpropInputV2": _transposed_convolution,
    "DepthwiseConv2dNativeBackpropInput": _transposed_convolution,
    **dict.fromkeys(("While", "StatelessWhile"), _loop),
    **dict.fromkeys(("If", "StatelessIf"), _branch),
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), lambda op: _body(op, "f")),
}
