"""The last shared representation of a functional model, and the model cut in two there."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from mtl_tf.graph import ancestors, inputs_of, is_symbolic, operation_of
from mtl_tf.training.step.losses import outputs_of, symbolic_outputs
from mtl_tf.typing import Tensor


@dataclasses.dataclass(frozen=True)
class SplitModel:
    """A model as `heads(trunk(image))`; both use the layers and variables of the model.

    Attributes:
        trunk: from the image to the list of tensors that tasks share last.
        heads: from those to the outputs of the model.
        depends_on_variables: for each tensor, whether a trainable variable is before it; the image
            itself, where heads look at it, is not part of the representation.
    """

    trunk: keras.Model
    heads: keras.Model
    depends_on_variables: tuple[bool, ...]

    def trained(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the tensors between the halves that depend on a trainable variable."""
        return [z for z, has in zip(tensors, self.depends_on_variables, strict=True) if has]


def split_at_last_shared(model: keras.Model, tasks: Sequence[str]) -> SplitModel:
    """Split a functional model where its tasks part.

    A tensor is shared if the outputs of two or more tasks depend on it. The last shared ones are
    those that some layer of one task alone, or an output, takes: every way from the shared
    variables to a loss passes through them.

    Args:
        model: functional model with outputs `{task: tensor}` and `{task/...: tensor}`.
        tasks: names of the tasks.

    Returns:
        The two halves.

    Raises:
        ValueError: if the model is not functional or no tensor is shared.
    """
    _check_that_functional(model, "level='features' and gradient penalties")
    outputs = model.output
    owners: dict[int, set[str]] = {}
    for task in tasks:
        for name in outputs_of(task, outputs, tasks):
            for tensor in ancestors(outputs[name]):
                owners.setdefault(id(tensor), set()).add(task)
    frontier: dict[int, keras.KerasTensor] = {}
    for task in tasks:
        for name in outputs_of(task, outputs, tasks):
            for tensor in ancestors(outputs[name]):
                if len(owners[id(tensor)]) < 2:
                    shared = [t for t in inputs_of(tensor) if len(owners[id(t)]) > 1]
                    frontier.update({id(t): t for t in shared})
            if len(owners[id(outputs[name])]) > 1:
                frontier[id(outputs[name])] = outputs[name]
    tensors = list(frontier.values())
    depends = tuple(_depends_on_variables(tensor) for tensor in tensors)
    if not any(depends) and any(map(_depends_on_weights, tensors)):
        raise ValueError(
            f"Nothing trainable stands before the last features that the tasks share in "
            f"{model.name!r}: the backbone is frozen. Set trainable = True, or balance the losses "
            "with a scalarizer"
        )
    if not any(depends):
        raise ValueError(
            f"No representation of {model.name!r} is shared by two of the tasks {list(tasks)}: use "
            "level='parameters' and no gradient penalties"
        )
    return SplitModel(
        trunk=keras.Model(model.input, tensors, name="trunk"),
        heads=keras.Model(tensors, dict(outputs), name="heads"),
        depends_on_variables=depends,
    )


def own_variables(model: keras.Model, tasks: Sequence[str]) -> dict[str, list[keras.Variable]]:
    """Return the trainable variables that the outputs of one task alone depend on, by task.

    Args:
        model: functional model with outputs `{task: tensor}` and `{task/...: tensor}`.
        tasks: names of the tasks.

    Returns:
        `{task: variables}`.

    Raises:
        ValueError: if the model is not functional.
    """
    _check_that_functional(model, "update_every")
    owned = _owners(model, tasks)
    return {task: [v for v, owners in owned if owners == {task}] for task in tasks}


def has_shared_variables(model: keras.Model, tasks: Sequence[str]) -> bool | None:
    """Return whether two tasks depend on one trainable variable; `None` if that is unknown.

    Args:
        model: the model; of a subclassed one it is unknown.
        tasks: names of the tasks.
    """
    if not _is_functional(model):
        return None
    return any(len(owners) > 1 for _, owners in _owners(model, tasks))


def _owners(model: keras.Model, tasks: Sequence[str]) -> list[tuple[keras.Variable, set[str]]]:
    """Return the trainable variables, each with the tasks whose outputs depend on it."""
    owners: dict[int, set[str]] = {}
    variables: dict[int, keras.Variable] = {}
    for task in tasks:
        for name in outputs_of(task, model.output, tasks):
            for tensor in ancestors(model.output[name]):
                operation = operation_of(tensor)
                for variable in getattr(operation, "trainable_variables", ()):
                    variables[id(variable)] = variable
                    owners.setdefault(id(variable), set()).add(task)
    return [(variable, owners[key]) for key, variable in variables.items()]


def _is_functional(model: keras.Model) -> bool:
    outputs = symbolic_outputs(model)
    return isinstance(outputs, Mapping) and all(map(is_symbolic, outputs.values()))


def _check_that_functional(model: keras.Model, what: str) -> None:
    if not _is_functional(model):
        raise ValueError(
            f"{what} need a functional Keras model, whose layers are known: make it with "
            f"keras.Model(inputs, outputs). Received: {type(model).__name__}"
        )


def _depends_on_variables(tensor: keras.KerasTensor) -> bool:
    operations = (operation_of(t) for t in ancestors(tensor))
    return any(getattr(operation, "trainable_variables", ()) for operation in operations)


def _depends_on_weights(tensor: keras.KerasTensor) -> bool:
    operations = (operation_of(t) for t in ancestors(tensor))
    return any(getattr(operation, "weights", ()) for operation in operations)
