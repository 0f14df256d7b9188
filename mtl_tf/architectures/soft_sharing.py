"""Soft parameter sharing: one network per task, which exchange features between stages."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import keras

from mtl_tf.architectures.base import Architecture, Blueprint
from mtl_tf.backbones.stage import Maps, changed

Exchange = Callable[[dict[str, Any], str], dict[str, Any]]


def in_step(blueprint: Blueprint, exchange: Exchange) -> list[dict[str, Maps]]:
    """Runs a backbone per task, stage by stage, exchanging what each stage has made.

    Args:
        blueprint: of the architecture.
        exchange: `({task: features [B, h, w, C]}, name of the stage) -> {task: features}`; a stage
            that makes several maps has `name.0`, `name.1`, ....

    Returns:
        After each stage, the maps of each task, finest first.
    """
    tasks = list(blueprint.channels)
    networks = {task: blueprint.stages(f"backbone.{task}.") for task in tasks}
    maps: dict[str, Maps] = {task: [blueprint.image] for task in tasks}
    history = []
    for stage in networks[tasks[0]]:
        before = maps[tasks[0]]
        maps = {task: networks[task][stage](maps[task]) for task in tasks}
        made = changed(before, maps[tasks[0]])
        for i in made:
            name = stage if len(made) == 1 else f"{stage}.{i}"
            for task, x in exchange({task: maps[task][i] for task in tasks}, name).items():
                maps[task] = [*maps[task][:i], x, *maps[task][i + 1 :]]
        history.append(maps)
    return history


class SoftSharing(Architecture, abc.ABC):
    """Base of the architectures with a network of its own for every task.

    Source: soft parameter sharing, Vandenhende et al., TPAMI 2021, section 2.1.

    Args:
        blueprint: what it was built from.
        outputs: `{task: prediction}`.
        name: name of the model.
        arguments: what else the subclass's constructor was given.
    """

    def load_single_task(self, models: Mapping[str, keras.Model]) -> None:
        """Copies the weights of trained single-task networks, as the papers begin.

        Args:
            models: `{task: SingleTask}` for some or all tasks, with this model's backbone, head and
                channels.

        Raises:
            ValueError: for an unknown task or a model whose layers do not fit; nothing is copied
                then.
        """
        pairs = []
        for task, model in models.items():
            if task not in self.arguments["tasks"]:
                raise ValueError(
                    f"Unknown task {task!r}. Tasks of this model: {list(self.arguments['tasks'])}"
                )
            given = {
                name.removeprefix("backbone.").removeprefix("decoder."): layer
                for name, layer in weighted_layers(model)
            }
            own = {
                name.removeprefix(f"backbone.{task}.").removeprefix(f"heads.{task}."): layer
                for name, layer in weighted_layers(self)
                if name.startswith((f"backbone.{task}.", f"heads.{task}."))
            }
            if {n: _shapes(x) for n, x in own.items()} != {n: _shapes(x) for n, x in given.items()}:
                different = [n for n in own if _shapes(own[n]) != _shapes(given.get(n))]
                different += [n for n in given if n not in own]
                raise ValueError(
                    f"The single-task model for {task!r} must have the backbone, head and channels "
                    f"of this one. Layers that differ: {different[:5]}"
                )
            pairs += [(own[name], given[name]) for name in own]
        for layer, source in pairs:
            layer.set_weights(source.get_weights())


def weighted_layers(model: keras.Model, prefix: str = "") -> list[tuple[str, Any]]:
    """The layers with weights and their names; those of a model inside have its name before."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += weighted_layers(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            found.append((prefix + layer.name, layer))
    return found


def _shapes(layer: Any) -> Any:
    return None if layer is None else [tuple(w.shape) for w in layer.weights]
