"""Learned branching: a supergraph of K copies per stage in which a tree is learned."""

from collections.abc import Sequence

import keras
import numpy as np
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks
from mtl_tf.backbones.stage import Maps
from mtl_tf.inspection.cost import stage_costs
from mtl_tf.layers import BranchingChoices, Mixture
from mtl_tf.typing import TensorLike


def derive_tree(logits: TensorLike, tasks: Sequence[str]) -> list[list[tuple[str, ...]]]:
    """Return the tree of the most probable choices, for `Branched`.

    Source: Guo et al., "Learning to Branch for Multi-Task Learning", ICML 2020, section 3.3.

    Args:
        logits: `[S, K, K]`: after stage s, logits of node or head k for the nodes of the stage.
        tasks: names of the K heads.

    Returns:
        For each stage the groups of tasks whose path passes through the same node.

    Raises:
        ValueError: if the logits are not `[S, K, K]` for K tasks.
    """
    array = np.asarray(keras.ops.convert_to_numpy(logits))
    if array.ndim != 3 or array.shape[1:] != (len(tasks), len(tasks)):
        raise ValueError(
            f"logits must be [stages, K, K] for K = {len(tasks)} tasks. Received: {array.shape}"
        )
    choices = array.argmax(axis=-1)
    nodes = list(range(len(tasks)))
    tree: list[list[tuple[str, ...]]] = []
    for choice in reversed(choices):
        nodes = [int(choice[node]) for node in nodes]
        groups: dict[int, list[str]] = {}
        for task, node in zip(tasks, nodes, strict=True):
            groups.setdefault(node, []).append(task)
        tree.insert(0, [tuple(group) for group in groups.values()])
    return tree


@keras.saving.register_keras_serializable(package="mtl_tf")
class LearnedBranching(Architecture):
    """K copies of every stage; each copy and each head learns its parent in the previous stage.

    Train it with `mtl_tf.training.AnnealBranching`, then build `Branched(..., tree=model.tree())`
    and train that.

    Source: Guo et al., "Learning to Branch for Multi-Task Learning", ICML 2020; the resource loss
    of Brüggemann et al., "Automated Search for Resource-Efficient Branched Multi-Task Networks",
    BMVC 2020.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        resource_weight: weight in the losses of the expected multiply-adds of the backbone, as a
            fraction of those of K separate ones; larger weights share more.
        is_hard: whether sampled choices are one-hot in the forward pass.
        learning_rate_multiplier: multiplier of the learning rate of the choices, applied by
            `MultiTaskTrainer`.
        seed: seed of the samples.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, head or stride, or an invalid input shape.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.LearnedBranching("resnet18", tasks, (32, 32, 3))
        >>> len(model.tree())  # stem and four stages
        5
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        head: str | None = None,
        output_stride: int = 8,
        resource_weight: float = 0.0,
        is_hard: bool = True,
        learning_rate_multiplier: float = 1.0,
        seed: int | None = None,
        name: str = "learned_branching",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)
        nodes = list(blueprint.channels)
        copies = {node: blueprint.stages(f"backbone.{node}.") for node in nodes}
        blueprint.features("measured.")
        choices = BranchingChoices(
            stage_costs(blueprint.stage_maps.values()),
            len(nodes),
            resource_weight=resource_weight,
            is_hard=is_hard,
            learning_rate_multiplier=learning_rate_multiplier,
            seed=seed,
            name="branching",
        )

        # === Functional model ===
        pyramids: dict[str, Maps] = {node: [blueprint.image] for node in nodes}
        for stage, weights in zip(copies[nodes[0]], choices(blueprint.image), strict=True):
            pyramids = {node: copies[node][stage](pyramids[node]) for node in nodes}
            mixed = [
                Mixture(name=f"branching.{stage}.{i}")(list(features), weights)
                for i, features in enumerate(zip(*pyramids.values(), strict=True))
            ]
            pyramids = {node: [x[k] for x in mixed] for k, node in enumerate(nodes)}
        outputs = blueprint.heads(pyramids)

        # === Config ===
        super().__init__(
            blueprint,
            outputs,
            name,
            resource_weight=resource_weight,
            is_hard=is_hard,
            learning_rate_multiplier=learning_rate_multiplier,
            seed=seed,
        )
        self.choices = choices

    def tree(self) -> list[list[tuple[str, ...]]]:
        """Return the tree of the currently most probable choices; see `derive_tree`."""
        return derive_tree(self.choices.logits, list(self.arguments["tasks"]))
