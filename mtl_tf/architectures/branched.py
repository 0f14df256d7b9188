"""Branched networks: tasks share the first stages of a backbone and part along a tree."""

from collections.abc import Sequence
from typing import Any

import keras

from mtl_tf.architectures.base import Architecture, Blueprint
from mtl_tf.backbones.stage import Maps

Tree = Sequence[Sequence[Sequence[str]]]


def checked_tree(
    tree: Tree | None, stages: Sequence[str], tasks: Sequence[str]
) -> list[list[tuple[str, ...]]]:
    """A tree as lists of tuples, each task once per stage, each partition refining the one before.

    Args:
        tree: for every stage the groups of tasks that share it; `None` for all stages shared but
            the last.
        stages: names of the backbone's stages.
        tasks: names of the tasks.

    Returns:
        The tree.

    Raises:
        ValueError: if it is not such a tree.
    """
    if tree is None:
        return [[tuple(tasks)]] * (len(stages) - 1) + [[(task,) for task in tasks]]
    groups = [[tuple(group) for group in partition] for partition in tree]
    if len(groups) != len(stages):
        raise ValueError(
            f"tree must have one partition of the tasks for each of the stages {list(stages)}. "
            f"Received: {len(groups)}"
        )
    above = [tuple(tasks)]
    for stage, partition in zip(stages, groups, strict=True):
        named = [task for group in partition for task in group]
        if sorted(named) != sorted(tasks) or not all(partition):
            raise ValueError(
                f"Each stage of the tree must hold each of the tasks {list(tasks)} once. Received "
                f"for {stage!r}: {partition}"
            )
        for group in partition:
            if not any(set(group) <= set(parent) for parent in above):
                raise ValueError(
                    f"Tasks that have parted cannot meet again: {group} at {stage!r} is in no "
                    f"group of the stage before: {above}"
                )
        above = partition
    return groups


@keras.saving.register_keras_serializable(package="mtl_tf")
class Branched(Architecture):
    """A tree of backbone stages: one copy of a stage for each group of tasks that share it.

    `mtl_tf.architectures.search_layout` finds a tree from single-task networks and
    `LearnedBranching` while training.

    Source: Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers to Share", BMVC
    2020; Lu et al., CVPR 2017.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        head: a name from `mtl_tf.heads.TABLE`; the backbone's own by default.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        tree: for every stage of the backbone, the stem included, the groups of tasks that share it,
            such as `[[("a", "b", "c")], [("a", "b"), ("c",)], ...]`; each partition refines the one
            before. By default all stages are shared but the last.
        name: name of the model.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, head or stride, a size that does not fit it, or
            something that is not a tree.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Any,
        input_shape: tuple[int, int, int],
        head: str | None = None,
        output_stride: int = 8,
        tree: Tree | None = None,
        name: str = "branched",
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride)
        all_tasks = tuple(blueprint.channels)
        groups = checked_tree(tree, list(blueprint.stages()), all_tasks)

        # === Functional model ===
        maps: dict[tuple[str, ...], Maps] = {all_tasks: [blueprint.image]}
        copies = {}
        for index, partition in enumerate(groups):
            parents, maps = maps, {}
            for group in partition:
                if group not in copies:
                    shared = set(group) == set(all_tasks)
                    copies[group] = blueprint.stages(
                        "backbone." if shared else f"backbone.{'+'.join(group)}."
                    )
                stage = list(copies[group].values())[index]
                parent = next(p for p in parents if set(group) <= set(p))
                maps[group] = stage(parents[parent])
        outputs = blueprint.heads(
            {task: features for group, features in maps.items() for task in group}
        )

        # === Config ===
        super().__init__(blueprint, outputs, name, tree=None if tree is None else groups)
