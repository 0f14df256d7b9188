"""Layout search of branched multi-task networks: the stages that tasks share.

Representation similarity analysis of single-task networks: tasks whose features at a stage induce
the same similarities between images share the stage. Source: Vandenhende et al., "Branched
Multi-Task Networks: Deciding What Layers to Share", BMVC 2020.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from mtl_tf.architectures.single_task import SingleTask
from mtl_tf.inspection.cost import stage_costs
from mtl_tf.typing import TensorLike

Partition = tuple[tuple[int, ...], ...]
_PartialTree = tuple[float, float, list[Partition]]  # score, cost, partition after each stage


def rdm(features: np.ndarray) -> np.ndarray:
    """Return the representation dissimilarity matrix, 1 - Pearson correlation between images.

    Source: Vandenhende et al., BMVC 2020, section 3.1.

    Args:
        features: `[n, ...]`, one row per image.

    Returns:
        `[n, n]` float64, 0 on the diagonal.

    Raises:
        ValueError: for fewer than three images.
    """
    rows = np.asarray(features, np.float64).reshape(len(features), -1)
    if len(rows) < 3:
        raise ValueError(
            f"A dissimilarity matrix needs three images or more. Received: {len(rows)}"
        )
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    dissimilarity = 1.0 - rows @ rows.T
    np.fill_diagonal(dissimilarity, 0.0)
    return dissimilarity


def affinity(rdms: Sequence[np.ndarray]) -> np.ndarray:
    """Return task affinities: Spearman correlations of the dissimilarity matrices' upper triangles.

    Source: Vandenhende et al., BMVC 2020, section 3.1.

    Args:
        rdms: K matrices `[n, n]`.

    Returns:
        `[K, K]` float64, 1 on the diagonal, 0 where a matrix is constant.
    """
    upper = np.triu_indices(len(rdms[0]), k=1)
    ranks = [_ranks(np.asarray(matrix)[upper]) for matrix in rdms]
    result = np.eye(len(rdms))
    for i, j in itertools.combinations(range(len(rdms)), 2):
        if np.ptp(ranks[i]) and np.ptp(ranks[j]):
            result[i, j] = np.corrcoef(ranks[i], ranks[j])[0, 1]
        else:
            result[i, j] = 0.0
        result[j, i] = result[i, j]
    return result


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values, the mean rank for equal ones, NaN if one of them is NaN."""
    if np.isnan(values).any():
        return np.full(values.shape, np.nan)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def search(
    affinities: TensorLike, costs: Sequence[float], budget: float, beam_width: int = 1000
) -> list[list[tuple[int, ...]]]:
    """Search the tree that groups similar tasks best within a budget.

    The search minimises the sum over stages of the mean over groups of the maximum dissimilarity
    (1 - affinity) within a group. Of the partial trees that end in the same partition, those
    dominated in score and cost are dropped; the `beam_width` best of the rest are kept. The result
    is exact if no stage has more.

    Source: Vandenhende et al., BMVC 2020, section 3.2.

    Args:
        affinities: `[S, K, K]` for the S stages, first stage first.
        costs: cost of one copy of each stage, S numbers in any unit.
        budget: maximum total cost, in that unit.
        beam_width: number of partial trees kept after a stage.

    Returns:
        For each stage the groups of tasks (indices from 0) that share it.

    Raises:
        ValueError: if the tree that shares all stages exceeds the budget.
    """
    dissimilarities = 1.0 - np.asarray(affinities, np.float64)
    num_tasks = dissimilarities.shape[-1]
    if sum(costs) > budget:
        raise ValueError(
            f"The budget must allow one copy of every stage, {sum(costs):g}. Received: {budget:g}"
        )
    root: Partition = (tuple(range(num_tasks)),)
    beam: list[_PartialTree] = [(0.0, 0.0, [root])]
    for stage, cost in enumerate(costs):
        rest = sum(costs[stage + 1 :])
        candidates: list[_PartialTree] = []
        for score, spent, tree in beam:
            for partition in refinements(tree[-1]):
                total = spent + cost * len(partition)
                # Groups never merge: later stages have at least as many.
                if total + rest * len(partition) <= budget * (1 + 1e-9):
                    new_score = score + _dissimilarity(partition, dissimilarities[stage])
                    candidates.append((new_score, total, [*tree, partition]))
        beam = _undominated(candidates)[:beam_width]
    return [list(partition) for partition in beam[0][2][1:]]


def refinements(partition: Partition) -> Iterator[Partition]:
    """Yield all refinements of a partition, itself first."""
    for parts in itertools.product(*(list(_partitions(group)) for group in partition)):
        yield tuple(group for part in parts for group in part)


def _partitions(items: tuple[int, ...]) -> Iterator[Partition]:
    if len(items) == 1:
        yield (items,)
        return
    first, rest = items[0], items[1:]
    for smaller in _partitions(rest):
        for i, group in enumerate(smaller):
            yield (*smaller[:i], (first, *group), *smaller[i + 1 :])
        yield ((first,), *smaller)


def _dissimilarity(partition: Partition, dissimilarity: np.ndarray) -> float:
    return float(np.mean([dissimilarity[np.ix_(group, group)].max() for group in partition]))


def _undominated(candidates: list[_PartialTree]) -> list[_PartialTree]:
    """Return the Pareto-optimal candidates of each last partition, sorted by score."""
    cheapest: dict[frozenset[frozenset[int]], float] = {}
    undominated = []
    for score, spent, tree in sorted(candidates, key=lambda c: c[:2]):
        end = frozenset(frozenset(group) for group in tree[-1])
        if spent < cheapest.get(end, math.inf):
            cheapest[end] = spent
            undominated.append((score, spent, tree))
    return undominated


def search_layout(
    models: Mapping[str, SingleTask], images: TensorLike, budget: float, beam_width: int = 1000
) -> list[list[tuple[str, ...]]]:
    """Search the tree of `Branched` by the representations of trained single-task networks.

    Args:
        models: `{task: SingleTask}` with the same backbone, trained.
        images: `[n, H, W, 3]`, normalised; a few hundred suffice. All features of a stage are in
            memory at the same time.
        budget: maximum multiply-adds of the tree, as a fraction of those of K separate backbones.
        beam_width: see `search`.

    Returns:
        For each stage of the backbone the groups of tasks that share it.

    Raises:
        ValueError: for a budget below 1 / K, where not even one backbone is allowed, or models with
            different backbones.
    """
    tasks = list(models)
    stages = [list(model.stage_maps) for model in models.values()]
    if any(names != stages[0] for names in stages):
        raise ValueError(f"The models must have the same backbone. Their stages: {stages}")
    affinities = []
    for stage in stages[0]:
        matrices = []
        for model in models.values():
            maps = model.stage_maps[stage]
            features = keras.Model(model.input, maps).predict(images, verbose=0)
            features = features if isinstance(features, list) else [features]
            matrices.append(rdm(np.concatenate([x.reshape(len(x), -1) for x in features], axis=1)))
        affinities.append(affinity(matrices))
    costs = stage_costs(models[tasks[0]].stage_maps.values())
    tree = search(affinities, costs, budget * len(tasks) * sum(costs), beam_width)
    return [[tuple(tasks[k] for k in group) for group in partition] for partition in tree]
