"""Branched networks: tasks share the first stages of a backbone and branch along a tree."""

from collections.abc import Sequence

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks
from mtl_tf.backbones.stage import Maps

Tree = Sequence[Sequence[Sequence[str]]]


def checked_tree(
    tree: Tree | None, stages: Sequence[str], tasks: Sequence[str]
) -> list[list[tuple[str, ...]]]:
    """Return a tree as lists of tuples after checking it.

    Each stage must have a partition of the tasks that refines the partition of the previous stage.

    Args:
        tree: for every stage the groups of tasks that share it; `None` to share all stages except
            the last.
        stages: names of the backbone's stages.
        tasks: names of the tasks.

    Returns:
        The tree.

    Raises:
        ValueError: if the tree is invalid.
    """
    if tree is None:
        return [[tuple(tasks)]] * (len(stages) - 1) + [[(task,) for task in tasks]]
    groups = [[tuple(group) for group in partition] for partition in tree]
    if len(groups) != len(stages):
        raise ValueError(
            f"tree must have one partition of the tasks for each of the stages {list(stages)}. "
            f"Received: {len(groups)}"
        )
    previous = [tuple(tasks)]
    for stage, partition in zip(stages, groups, strict=True):
        named = [task for group in partition for task in group]
        if sorted(named) != sorted(tasks) or not all(partition):
            raise ValueError(
                f"Each stage of the tree must hold each of the tasks {list(tasks)} once. Received "
                f"for {stage!r}: {partition}"
            )
        for group in partition:
            if not any(set(group) <= set(parent) for parent in previous):
                raise ValueError(
                    f"Branches of the tree cannot merge again: {group} at {stage!r} is in no group "
                    f"of the previous stage: {previous}"
                )
        previous = partition
    return groups


@keras.saving.register_keras_serializable(package="mtl_tf")
class Branched(Architecture):
    """A tree of backbone stages: one copy of a stage for each group of tasks that share it.

    `mtl_tf.architectures.search_layout` derives a tree from single-task networks,
    `LearnedBranching` by training.

    Source: Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers to Share", BMVC
    2020; Lu et al., CVPR 2017.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        tree: for every stage of the backbone, including the stem, the groups of tasks that share
            it, such as `[[("a", "b", "c")], [("a", "b"), ("c",)], ...]`; each partition refines the
            previous one. By default all stages except the last are shared.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, head or stride, an invalid input shape, or an invalid
            tree.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.Branched("resnet18", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat', 'parts']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        head: str | None = None,
        output_stride: int = 8,
        tree: Tree | None = None,
        name: str = "branched",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)
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
