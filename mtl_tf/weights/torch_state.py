"""State dictionaries of PyTorch: reading, and assignment to Keras layers of the same names.

A convolution kernel `[O, I, h, w]` becomes `[h, w, I, O]`, that of a depthwise convolution
`[C, 1, h, w]` becomes `[h, w, C, 1]`, a dense one `[O, I]` becomes `[I, O]`; batch normalisation's
weight, bias, running mean and variance become gamma, beta, moving mean and variance.
"""

import dataclasses
import os
import pathlib
import types
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from mtl_tf.optional_packages import optional_import
from mtl_tf.weights.torch_file import read_torch_file

_SUFFIXES = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_NESTED = ("model", "state_dict", "model_state_dict")
_COUNTER = "num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Slot:
    """Target variable of a tensor of a state dictionary.

    Attributes:
        variable: the Keras variable.
        index: index of the part of it that the tensor is assigned to; the whole variable if empty.
        is_depthwise: whether it is the kernel of a depthwise convolution.

    Examples:
        >>> Slot(keras.Variable(np.zeros((3, 3, 8, 16)))).shape
        (16, 8, 3, 3)
    """

    variable: keras.Variable
    index: tuple[int | slice | types.EllipsisType, ...] = ()
    is_depthwise: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor in PyTorch."""
        shape = np.broadcast_to(0, self.variable.shape)[self.index].shape
        if self.is_depthwise:
            return (*shape[2:], *shape[:2])
        return (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]

    def as_keras(self, tensor: np.ndarray) -> np.ndarray:
        """Return a tensor of PyTorch in the order of Keras' axes."""
        if self.is_depthwise:
            return tensor.transpose(2, 3, 0, 1)
        return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint, without batch counters and the prefix `module.`.

    Args:
        path: a `.safetensors` file, or one of `torch.save`, which is read without PyTorch.

    Returns:
        `{name: array}`; bfloat16 as float32.

    Raises:
        ValueError: if the file does not exist, is damaged, or is not a checkpoint.
        ImportError: if safetensors is needed but not installed.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise ValueError(
            f'There is no checkpoint {path}: give the path of a file, or "imagenet" for the '
            "published weights"
        )
    state: object = (
        _read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path)
    )
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and hasattr(value, "shape") for name, value in state.items()
    ):
        raise ValueError(
            f"{path} must hold a state dictionary, {{name: tensor}}, or one in 'model'"
        )
    return {
        name.removeprefix("module."): np.asarray(value)
        for name, value in state.items()
        if not name.endswith(_COUNTER)
    }


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    safetensors = optional_import("safetensors", f"Reading {path.name}")
    arrays = optional_import("safetensors.numpy", f"Reading {path.name}")
    try:
        return arrays.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error


def slots(layers: Iterable[keras.layers.Layer]) -> list[tuple[str, Slot]]:
    """Map tensors of convolutions, dense layers and batch normalisations to variables, by name."""
    return [
        (f"{layer.name}.{_SUFFIXES[variable.name]}", Slot(variable, (), _is_depthwise(layer)))
        for layer in layers
        for variable in layer.variables
        if variable.name in _SUFFIXES
    ]


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D)


def fill(named_slots: list[tuple[str, Slot]], state: Mapping[str, np.ndarray], what: str) -> None:
    """Assign the tensors of a state dictionary to variables, all or none.

    Args:
        named_slots: name and slot; a name may occur more than once.
        state: the tensors; its names must be exactly those of the slots.
        what: description of the tensors, for the error.

    Raises:
        ValueError: with the names of tensors that are missing, unexpected, of another shape, or not
            finite.
    """
    names = {name for name, _ in named_slots}
    problems = [f"{name} is missing" for name in sorted(names - set(state))]
    problems += [f"{name} is unexpected" for name in sorted(set(state) - names)]
    for name, slot in named_slots:
        if name in state and tuple(state[name].shape) != slot.shape:
            problems.append(f"{name} must be {slot.shape}, is {state[name].shape}")
        elif name in state and not np.all(np.isfinite(state[name])):
            problems.append(f"{name} is not finite")
    if problems:
        more = f", and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(f"{what} does not fit the model: {'; '.join(problems[:5])}{more}")
    values: dict[int, tuple[keras.Variable, np.ndarray]] = {}
    for name, slot in named_slots:
        value = slot.as_keras(np.asarray(state[name]))
        if slot.index:
            _, whole = values.setdefault(
                id(slot.variable), (slot.variable, slot.variable.numpy().copy())
            )
            whole[slot.index] = value
        else:
            values[id(slot.variable)] = (slot.variable, value)
    for variable, value in values.values():
        variable.assign(value)


def leaf_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model and of the models nested in it."""
    leaves = []
    for layer in model.layers:
        leaves += leaf_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return leaves
