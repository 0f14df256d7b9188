"""Union of data sets with labels for different tasks."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from mtl_tf.data.base import DenseDataset, TaskChannels
from mtl_tf.data.sample import Sample, TargetSpec

Sampling = Literal["balanced", "proportional"]


class UnionDataset(DenseDataset):
    """Union of data sets whose partially labelled images share batches.

    Targets without a label are masked everywhere in an image, so they do not contribute to the
    losses. A task without any label in a batch is ignored in that training step.

    Args:
        datasets: data sets that agree on the channels of shared tasks.
        sampling: `"proportional"`: every image once per epoch; or `"balanced"`: an epoch of the
            same total size with an equal number of images of every data set, drawn again each
            epoch (large data sets are subsampled, small ones repeated).
        input_shape: `(H, W, 3)` of the images in a batch; by default that of the first data set.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        ValueError: if there is no data set, they disagree, or `sampling` is unknown.

    Examples:
        >>> import mtl_tf as mtl
        >>> depth = mtl.data.RenderedRooms(["depth"], train_size=4)
        >>> edges = mtl.data.RenderedRooms(["edges"], train_size=8)
        >>> data = mtl.data.UnionDataset([depth, edges], "balanced")
        >>> data.tasks, len(data.ids("train"))
        ({'depth': 1, 'edges': 1}, 12)
    """

    def __init__(
        self,
        datasets: Sequence[DenseDataset],
        sampling: Sampling = "balanced",
        input_shape: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self.datasets = tuple(datasets)
        if not self.datasets:
            raise ValueError("datasets must hold at least one data set. Received none")
        if sampling not in get_args(Sampling):
            raise ValueError(f"sampling must be one of {get_args(Sampling)}. Received: {sampling}")
        self.sampling = sampling
        tasks: dict[str, int] = {}
        for dataset in self.datasets:
            for task, channels in dataset.tasks.items():
                if tasks.setdefault(task, channels) != channels:
                    raise ValueError(
                        f"The data sets disagree on {task!r}: {tasks[task]} and {channels} channels"
                    )
        first = self.datasets[0]
        options.setdefault("augmentation", first.options.augmentation)
        options.setdefault("check_files", False)  # each data set has checked its files
        splits = {
            split: [f"{i}:{name}" for i, d in enumerate(self.datasets) for name in d.ids(split)]
            for split in ("train", "val", "test")
        }
        input_shape = first.input_shape if input_shape is None else input_shape
        names: dict[str, tuple[str, ...]] = {}
        for dataset in self.datasets:
            for task, of_task in dataset.tasks.class_names.items():
                names.setdefault(task, of_task)
        own = {name: task for d in self.datasets for name, task in d.tasks.own.items()}
        available = TaskChannels(tasks, own)
        super().__init__(tasks, available, splits, input_shape, names, **options)

    @functools.cached_property
    def specs(self) -> dict[str, TargetSpec]:
        """`{task: TargetSpec}` of the data sets."""
        specs: dict[str, TargetSpec] = {}
        for dataset in self.datasets:
            for task, spec in dataset.specs.items():
                if specs.setdefault(task, spec) != spec:
                    raise ValueError(
                        f"The data sets disagree on what {task!r} is: {specs[task]} and {spec}"
                    )
        return {task: specs[task] for task in self.tasks}

    def epoch_order(self, ids: Sequence[str], generator: np.random.Generator) -> np.ndarray:
        """Return the order of the images of a training epoch.

        Args:
            ids: ids of the training images.
            generator: random numbers of the epoch.
        """
        if self.sampling == "proportional":
            return super().epoch_order(ids, generator)
        dataset_of = np.array([int(name.split(":")[0]) for name in ids])
        counts = np.full(len(self.datasets), len(ids) // len(self.datasets))
        counts[: len(ids) % len(self.datasets)] += 1
        selected = []
        for i, count in enumerate(counts):
            positions = np.flatnonzero(dataset_of == i)
            num_rounds = -(-count // len(positions))
            rounds = [generator.permutation(positions) for _ in range(num_rounds)]
            selected.append(np.concatenate(rounds)[:count])
        return generator.permutation(np.concatenate(selected))

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task with labels.

        Args:
            image_id: id of the image.
        """
        number, name = image_id.split(":", 1)
        return self.datasets[int(number)].paths(name)

    def load(self, image_id: str) -> Sample:
        """Return the image with its targets; those without labels are 0 and invalid.

        Args:
            image_id: id of the image.
        """
        number, name = image_id.split(":", 1)
        dataset = self.datasets[int(number)]
        sample = dataset.load(name)
        size = sample.image.shape[:2]
        targets, masks = {}, {}
        for task, spec in self.specs.items():
            if task in sample.targets:
                targets[task] = sample.targets[task]
                if task in sample.masks:
                    masks[task] = sample.masks[task]
            elif task not in dataset.tasks:
                targets[task], masks[task] = spec.absent(*size)
        return dataclasses.replace(sample, targets=targets, masks=masks)


def union(datasets: Sequence[DenseDataset], **options: Any) -> UnionDataset:
    """Combine data sets with labels for different tasks.

    Args:
        datasets: data sets that agree on the channels of shared tasks.
        **options: `sampling`, `batch_size` and other arguments of `UnionDataset`.

    Returns:
        The `UnionDataset`.
    """
    return UnionDataset(datasets, **options)
