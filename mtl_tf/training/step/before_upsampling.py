"""A model before its last resizing: what the training step computes its losses from."""

from collections.abc import Mapping

import keras

from mtl_tf.layers import BilinearResize
from mtl_tf.losses import DenseLoss
from mtl_tf.training.step.losses import symbolic_outputs, task_of


def before_upsampling(
    model: keras.Model, loss_functions: Mapping[str, keras.losses.Loss]
) -> keras.Model:
    """Return a view of a model whose outputs are the predictions before they are enlarged.

    Losses enlarge them, which some do without ever storing them at full size
    (`DenseLoss.of_upsampled`); the model itself, what it saves and its outputs stay as they are.

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
    history = getattr(tensor, "_keras_history", None)
    if history is None or not isinstance(history.operation, BilinearResize):
        return tensor
    (small,) = history.operation._inbound_nodes[history.node_index].input_tensors
    return small
