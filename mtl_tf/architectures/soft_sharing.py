"""Soft parameter sharing: one network per task, with an exchange of features between stages."""

import abc
from collections.abc import Callable, Mapping

import keras

from mtl_tf.architectures.backbone_layers import weighted_layers
from mtl_tf.architectures.base import Architecture, Blueprint
from mtl_tf.backbones.stage import Maps, changed

Features = dict[str, keras.KerasTensor]
Exchange = Callable[[Features, str], Features]


def apply_with_exchange(blueprint: Blueprint, exchange: Exchange) -> list[dict[str, Maps]]:
    """Apply one backbone per task, stage by stage, with an exchange after each stage.

    Args:
        blueprint: building blocks of the architecture.
        exchange: `({task: features [B, h, w, C]}, name of the stage) -> {task: features}`; the
            names for a stage with several new maps are `name.0`, `name.1`, ....

    Returns:
        The maps of each task, finest first, after each stage.
    """
    tasks = list(blueprint.channels)
    networks = {task: blueprint.stages(f"backbone.{task}.") for task in tasks}
    maps: dict[str, Maps] = {task: [blueprint.image] for task in tasks}
    history = []
    for stage in networks[tasks[0]]:
        previous = maps[tasks[0]]
        maps = {task: networks[task][stage](maps[task]) for task in tasks}
        new = changed(previous, maps[tasks[0]])
        for i in new:
            name = stage if len(new) == 1 else f"{stage}.{i}"
            for task, x in exchange({task: maps[task][i] for task in tasks}, name).items():
                maps[task] = [*maps[task][:i], x, *maps[task][i + 1 :]]
        history.append(maps)
    return history


class SoftSharing(Architecture, abc.ABC):
    """Base of the architectures with one network per task.

    Source: soft parameter sharing, Vandenhende et al., TPAMI 2021, section 2.1.

    Args:
        blueprint: building blocks of the model.
        outputs: `{task: prediction}`.
        name: name of the model.
        **arguments: further arguments of the subclass's constructor.

    Examples:
        >>> import mtl_tf as mtl
        >>> model = mtl.architectures.CrossStitch("resnet18", {"a": 1, "b": 1}, (32, 32, 3))
        >>> model.load_single_task(
        ...     {"a": mtl.architectures.SingleTask("resnet18", {"a": 1}, (32, 32, 3))}
        ... )
    """

    def load_single_task(self, models: Mapping[str, keras.Model]) -> None:
        """Initialise from the weights of trained single-task networks, as in the papers.

        Args:
            models: `{task: SingleTask}` for some or all tasks, with this model's backbone, head and
                channels.

        Raises:
            ValueError: for an unknown task or a model with other layers; nothing is copied then.
        """
        pairs = []
        for task, model in models.items():
            if task not in self.arguments["tasks"]:
                raise ValueError(
                    f"Unknown task {task!r}. Tasks of this model: {list(self.arguments['tasks'])}"
                )
            theirs = {
                name.removeprefix("backbone.").removeprefix("decoder."): layer
                for name, layer in weighted_layers(model)
            }
            ours = {
                name.removeprefix(f"backbone.{task}.").removeprefix(f"heads.{task}."): layer
                for name, layer in weighted_layers(self)
                if name.startswith((f"backbone.{task}.", f"heads.{task}."))
            }
            different = [n for n in ours if _shapes(ours[n]) != _shapes(theirs.get(n))]
            different += [n for n in theirs if n not in ours]
            if different:
                raise ValueError(
                    f"The single-task model for {task!r} must have the backbone, head and channels "
                    f"of this one. Layers that differ: {different[:5]}"
                )
            pairs += [(ours[name], theirs[name]) for name in ours]
        for layer, source in pairs:
            layer.set_weights(source.get_weights())


def _shapes(layer: keras.layers.Layer | None) -> list[tuple[int, ...]] | None:
    return None if layer is None else [tuple(w.shape) for w in layer.weights]
