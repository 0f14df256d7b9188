"""Base of all data sets: options, and the class that turns a source into pipelines."""

import abc
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mtl_tf.class_names import assigned_class_names
from mtl_tf.data import files
from mtl_tf.data.pipeline import make_pipeline
from mtl_tf.data.sample import DataError, Sample, TargetSpec
from mtl_tf.data.transforms import Augmentation
from mtl_tf.targets import KINDS, TargetKind, kind_of

CHANNELS = {**dict.fromkeys(KINDS, 1), "semseg": 40, "human_parts": 7, "normals": 3,
            "principal_curvature": 2}  # fmt: skip
"""Channels of the predictions of the tasks this library knows by name."""
_RESERVED = ("id", "image")  # what else files and records of an image hold


class TaskChannels(dict[str, int]):
    """Mapping `{task: channels}` with the `mtl_tf.Task` objects and the class names of these tasks.

    Attributes:
        own: `{name: task}`; `mtl_tf.tasks.as_tasks` prefers them to the tasks it knows by name.
        class_names: `{name: class names}`; `mtl_tf.tasks.as_tasks` puts them into the tasks.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        own: Mapping[str, Any],
        class_names: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__(channels)
        names = class_names or {}
        self.own = {name: own[name] for name in channels if name in own}
        self.class_names = {name: names[name] for name in channels if name in names}


def checked_input_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """`(H, W, 3)` as a tuple; `ValueError` for anything else."""
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape must be (height, width, 3). Received: {input_shape!r}")
    return shape


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a data set's pipelines.

    Attributes:
        augmentation: of training images.
        batch_size: images in a batch; the last, smaller batch of a training epoch is dropped.
        seed: of order and augmentation.
        cache: keep decoded samples in memory after the first epoch.
        num_workers: threads that decode and augment.
        check_files: look at once whether every file of every listed image is there; without it,
            `load` tells when it comes to one that is not.
    """

    augmentation: Augmentation
    batch_size: int = 8
    seed: int = 0
    cache: bool = False
    num_workers: int = 2
    check_files: bool = True


class DenseDataset(abc.ABC):
    """Base of the data sets: splits of ids, and one sample for an id.

    Attributes:
        tasks: `{task: channels}`, as architectures, trainer and evaluation take it; it remembers
            `mtl_tf.Task` objects, and has the class names of each task in `tasks.class_names`.
        splits: `{"train": ids, "val": ids}`, and `"test"` where it is not the same as `"val"`.
        input_shape: `(H, W, 3)` of the images in a batch.
        class_names: names of the classes; those of the first task that has some where tasks
            differ.
        options: the options below.

    Args:
        tasks: names of the tasks wanted; all there are for `None`.
        available: the tasks there are: `{task: channels}`, or `mtl_tf.Task` objects. What the
            target of a task is (class ids, metres, ...) follows from a task's `kind`, from a name
            this library knows, or else from the first sample: whole numbers are class ids.
        splits: ids of `"train"`, `"val"` and perhaps `"test"`.
        input_shape: `(H, W, 3)` of the images in a batch; the first image's own size for `None`.
        class_names: names of the classes: `{task: names}`, or one sequence for every task of class
            ids with that many channels. Names in a `mtl_tf.Task` win.
        **options: `augmentation`, `batch_size`, `seed`, `cache`, `num_workers` and `check_files`,
            see `Options`; the class says how it augments without `augmentation`.

    Raises:
        DataError: if a split is empty or a file is missing.
        TypeError: for an unknown option.
        ValueError: for a task that is not available, class names that do not fit, or a shape or
            batch size that makes no sense.
    """

    augmentation = Augmentation()

    def __init__(
        self,
        tasks: Iterable[str] | None,
        available: Mapping[str, int] | Iterable[Any],
        splits: Mapping[str, list[str]],
        input_shape: Sequence[int] | None,
        class_names: Sequence[str] | Mapping[str, Sequence[str]] = (),
        **options: Any,
    ) -> None:
        own: Mapping[str, Any] = getattr(available, "own", {})
        if not isinstance(available, Mapping):
            objects: list[Any] = list(available)
            own = {task.name: task for task in objects}
            available = {name: task.channels for name, task in own.items()}
        self._kinds: dict[str, TargetKind] = {name: task.kind for name, task in own.items()}
        names = list(available if tasks is None else tasks)
        unknown = [name for name in names if name not in available]
        if unknown or not names:
            raise ValueError(
                f"tasks must be some of {list(available)} for {type(self).__name__} here. "
                f"Received: {names}"
            )
        if reserved := [name for name in names if name in _RESERVED]:
            raise ValueError(f"A task of a data set cannot be called {reserved[0]!r}: rename it")
        known = [field.name for field in dataclasses.fields(Options)]
        for name in options:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no option {name!r}, only {known}")
        if options.get("augmentation") is None:
            options["augmentation"] = self.augmentation
        self.options = Options(**options)
        if self.options.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received: {self.options.batch_size}")
        if not isinstance(class_names, Mapping):
            class_names = tuple(class_names)
        names_of_all = assigned_class_names(class_names, available, own)
        self.tasks = TaskChannels({name: available[name] for name in names}, own, names_of_all)
        is_shared = bool(class_names) and not isinstance(class_names, Mapping)
        first = next(iter(names_of_all.values()), ())
        self.class_names: tuple[str, ...] = tuple(class_names) if is_shared else first
        self.splits = dict(splits)
        for split, ids in self.splits.items():
            if not ids:
                raise DataError(f"{type(self).__name__}: there is no image for {split}")
        if self.options.check_files:
            files.require(
                path for i in self.all_ids() for path in self._paths_used(i).values()
            )  # fmt: skip
        if input_shape is None:
            input_shape = self._example().image.shape
        self.input_shape = checked_input_shape(input_shape)

    def _example(self) -> Sample:
        name = self.splits["train"][0]
        example = self.load(name)
        if not isinstance(example, Sample):
            kind = type(example).__name__
            raise DataError(f"{name}: load must return a Sample. Received: {kind}")
        return example

    @functools.cached_property
    def specs(self) -> dict[str, TargetSpec]:
        """Kind, channels and level of each task's target: `{task: TargetSpec}`.

        Of tasks of one's own the first training sample is looked at.
        """
        specs = {}
        example = None
        for task, channels in self.tasks.items():
            target = None
            if task not in KINDS or task in self._kinds:
                example = example or self._example()
                target = example.targets.get(task)
            kind = self._kinds.get(task) or kind_of(task, target, channels)
            specs[task] = TargetSpec(kind, channels, target is not None and np.ndim(target) < 2)
        return specs

    def ids(self, split: str) -> list[str]:
        """Ids of the images of `"train"`, `"val"` or `"test"`; `ValueError` for another split."""
        if split not in ("train", "val", "test"):
            raise ValueError(f"split must be 'train', 'val' or 'test'. Received: {split!r}")
        return self.splits["val" if split == "test" and split not in self.splits else split]

    def all_ids(self) -> list[str]:
        """Ids of all splits, each once."""
        return list(dict.fromkeys(i for ids in self.splits.values() for i in ids))

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Files of `"image"` and of each task, as far as they lie in files of their own.

        A task's second file has a name behind a slash: `"depth/camera"`.
        """
        return {}

    def _paths_used(self, image_id: str) -> dict[str, pathlib.Path]:
        """Files of the image and of the tasks asked for, without those of other tasks."""
        wanted = ("image", *self.tasks)
        return {
            kind: path
            for kind, path in self.paths(image_id).items()
            if any(kind == name or kind.startswith(f"{name}/") for name in wanted)
        }

    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ for other data, wherever the files lie.

        Of the tasks, classes and splits, the sizes of all files, and the first sample of each
        split.
        """
        names = self.tasks.class_names
        class_names = self.class_names if {*names.values()} <= {self.class_names} else names
        named = [list(self.tasks.items()), class_names, sorted(self.splits.items())]
        digest = hashlib.sha256(json.dumps(named).encode())
        for image_id in self.all_ids():
            paths = self._paths_used(image_id)
            sizes = {kind: path.stat().st_size for kind, path in paths.items()}
            digest.update(json.dumps(sorted(sizes.items())).encode())
        for ids in self.splits.values():
            sample = self.load(ids[0])
            for array in (sample.image, *(sample.targets[task] for task in self.tasks)):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @abc.abstractmethod
    def load(self, image_id: str) -> Sample:
        """The image and the targets of the data set's tasks at their own size.

        Raises:
            DataError: naming the file that is missing, damaged or not what it should be.
        """

    def epoch_order(self, ids: Sequence[str], generator: np.random.Generator) -> np.ndarray:
        """Positions in `ids` of the images of a training epoch, in order: as many as there are."""
        return generator.permutation(len(ids))

    def train(self) -> tf.data.Dataset:
        """Shuffled, augmented training batches.

        Returns:
            Data set of `(image [B, H, W, 3] float32, {task: target [B, H, W, C]},
            {task: validity mask [B, H, W] float32})`: class ids int32, all else float32; depth in
            metres. The image is RGB, normalised with ImageNet's mean and standard deviation. Order
            and augmentation depend on the seed and the number of the epoch alone.
        """
        return make_pipeline(self, self.ids("train"), self.options, training=True)

    def batches(self, split: str, native_targets: bool = False) -> tf.data.Dataset:
        """Batches of any split in order, without augmentation.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            native_targets: batches of one image, with targets at their own size.

        Returns:
            Data set with the same contents as `train`.
        """
        options = dataclasses.replace(self.options, cache=False)
        if native_targets:
            options = dataclasses.replace(options, batch_size=1)
        return make_pipeline(self, self.ids(split), options, native_targets=native_targets)

    def val(self) -> tf.data.Dataset:
        """Validation batches at the input size, in order; same contents as `train`."""
        return make_pipeline(self, self.ids("val"), self.options)

    def test(self) -> tf.data.Dataset:
        """Test batches of one image at the input size with targets at their own size."""
        return self.batches("test", native_targets=True)
