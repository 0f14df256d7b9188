"""A model before its last resizing: what the training step computes its losses from."""

from collections.abc import Mapping

import keras

from mtl_tf.graph import inputs_of, is_symbolic, operation_of
from mtl_tf.layers import BilinearResize
from mtl_tf.losses import DenseLoss
from mtl_tf.training.step.losses import symbolic_outputs, task_of


def before_upsampling(
    model: keras.Model, loss_functions: Mapping[str, keras.losses.Loss]
) -> keras.Model:
    """Return a view of a model whose outputs are the predictions before they are upsampled.

    Losses upsample them, some without storing them at full size (`DenseLoss.of_upsampled`). The
    model, its outputs and what it saves are unchanged.

    Args:
        model: the multi-task model.
        loss_functions: `{task: loss}`; outputs of a task whose loss is none of ours stay.

    Returns:
        A model of the same layers and variables with outputs of the same names, or `model` itself
        where no output ends in a `BilinearResize`.
    """
    outputs = symbolic_outputs(model)
    if not isinstance(outputs, Mapping):
        return model
    small = {
        name: _before_resize(tensor)
        if isinstance(loss_functions.get(str(task_of(name, loss_functions))), DenseLoss)
        else tensor
        for name, tensor in outputs.items()
    }
    if all(small[name] is tensor for name, tensor in outputs.items()):
        return model
    return keras.Model(model.input, small, name=model.name)


def _before_resize(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Return the input of the `BilinearResize` behind a tensor, else the tensor."""
    if not is_symbolic(tensor) or not isinstance(operation_of(tensor), BilinearResize):
        return tensor
    (small,) = inputs_of(tensor)
    return small
