"""Several data sets as one, of which each has labels for some of the tasks."""

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
    """Partially labelled images of several data sets in the same batches.

    A task that an image has no labels for is invalid everywhere in it: it takes no part in the
    losses, and a task without any label in a batch none in the step.

    Args:
        datasets: data sets; they must agree on the channels of a task they share.
        sampling: `"proportional"`, every image once an epoch; or `"balanced"`, an epoch of as many
            images to which every data set contributes the same number, chosen anew each epoch:
            large ones are sampled from, small ones repeated.
        input_shape: `(H, W, 3)` of the images in a batch; that of the first without it.
        **options: `batch_size`, `augmentation` and the others of every data set
            (`mtl_tf.data.base.Options`).

    Raises:
        ValueError: if there is no data set, they disagree, or `sampling` is unknown.
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
        options.setdefault("check_files", False)  # each has looked after its own
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
        """Kind, channels and level of each task's target, from the data sets."""
        specs: dict[str, TargetSpec] = {}
        for dataset in self.datasets:
            for task, spec in dataset.specs.items():
                if specs.setdefault(task, spec) != spec:
                    raise ValueError(
                        f"The data sets disagree on what {task!r} is: {specs[task]} and {spec}"
                    )
        return {task: specs[task] for task in self.tasks}

    def epoch_order(self, ids: Sequence[str], generator: np.random.Generator) -> np.ndarray:
        """Positions of the images of a training epoch, in order."""
        if self.sampling == "proportional":
            return super().epoch_order(ids, generator)
        owners = np.array([int(name.split(":")[0]) for name in ids])
        shares = np.full(len(self.datasets), len(ids) // len(self.datasets))
        shares[: len(ids) % len(self.datasets)] += 1
        chosen = []
        for i, share in enumerate(shares):
            own = np.flatnonzero(owners == i)
            rounds = [generator.permutation(own) for _ in range(-(-share // len(own)))]
            chosen.append(np.concatenate(rounds)[:share])
        return generator.permutation(np.concatenate(chosen))

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Files of the image and of each task there is."""
        number, name = image_id.split(":", 1)
        return self.datasets[int(number)].paths(name)

    def load(self, image_id: str) -> Sample:
        """The image with the targets there are; the others are 0 and invalid."""
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
    """Several data sets as one.

    Args:
        datasets: data sets that have labels for some of the tasks.
        **options: `sampling`, `batch_size` and the others of `UnionDataset`.

    Returns:
        A `UnionDataset`.
    """
    return UnionDataset(datasets, **options)
