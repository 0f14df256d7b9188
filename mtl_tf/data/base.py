"""Base class of the data sets."""

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
from mtl_tf.data.options import Options
from mtl_tf.data.pipeline import make_pipeline
from mtl_tf.data.sample import DataError, Sample, TargetSpec
from mtl_tf.data.transforms import Augmentation
from mtl_tf.images import checked_input_shape
from mtl_tf.targets import KINDS, TargetKind, kind_of

_MULTI_CHANNEL = {"semseg": 40, "human_parts": 7, "normals": 3, "principal_curvature": 2}
CHANNELS = {**dict.fromkeys(KINDS, 1), **_MULTI_CHANNEL}
"""Default prediction channels of the built-in tasks."""
_RESERVED = ("id", "image")  # other keys of files and records


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


class DenseDataset(abc.ABC):
    """Base class of data sets: splits of image ids, and a sample for each id.

    Subclasses implement `load`; order, decoding, augmentation and batching are inherited.

    Attributes:
        tasks: `{task: channels}`, as accepted by architectures, trainer and evaluation, with the
            `mtl_tf.Task` objects of custom tasks, and each task's class names in
            `tasks.class_names`.
        splits: `{"train": ids, "val": ids}`, and `"test"` if it differs from `"val"`.
        input_shape: `(H, W, 3)` of the images in a batch.
        class_names: names of the classes; those of the first task that has some where tasks
            differ.
        options: the options of the pipelines.

    Args:
        tasks: names of the tasks to load; `None` for all available tasks.
        available: tasks of the data set: `{task: channels}`, or `mtl_tf.Task` objects. The kind of
            a target (class ids, metres, ...) is the task's `kind` or that of a built-in task of
            this name; otherwise it is inferred from the first sample: integers are class ids.
        splits: ids of `"train"`, `"val"` and optionally `"test"`.
        input_shape: `(H, W, 3)` of the images in a batch; `None` for the size of the first image.
        class_names: names of the classes: `{task: names}`, or one sequence for every task of class
            ids with that many channels. Names in a `mtl_tf.Task` take precedence.
        **options: `augmentation`, `batch_size`, `seed`, `cache`, `num_workers`, `normalise` and
            `check_files`, see `Options`; the class defines the default `augmentation`.

    Raises:
        DataError: if a split is empty or a file is missing.
        TypeError: for an unknown option.
        ValueError: for an unavailable task, class names that do not fit, or an invalid shape or
            batch size.

    Examples:
        >>> import mtl_tf as mtl, numpy as np
        >>> class Greys(mtl.data.DenseDataset):
        ...     def load(self, image_id):
        ...         image = np.full((8, 8, 3), int(image_id), np.uint8)
        ...         return mtl.data.Sample(image, {"depth": np.ones((8, 8))}, {})
        >>> data = Greys(None, {"depth": 1}, {"train": ["1"], "val": ["2"]}, None, batch_size=1)
        >>> data.train().element_spec[1]["depth"].shape
        TensorShape([1, 8, 8, 1])
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
            files.require(path for i in self.all_ids() for path in self._used_paths(i).values())
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
        """`{task: TargetSpec}`: kind, channels and level of each target.

        Custom tasks are inferred from the first training sample.
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
        """Return the ids of the images of a split.

        Args:
            split: `"train"`, `"val"` or `"test"`.

        Raises:
            ValueError: for another split.
        """
        if split not in ("train", "val", "test"):
            raise ValueError(f"split must be 'train', 'val' or 'test'. Received: {split!r}")
        return self.splits["val" if split == "test" and split not in self.splits else split]

    def all_ids(self) -> list[str]:
        """Return the ids of all splits without duplicates."""
        return list(dict.fromkeys(i for ids in self.splits.values() for i in ids))

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of `"image"` and of each task that is stored in separate files.

        The key of a task's second file has a suffix after a slash, such as `"depth/camera"`.

        Args:
            image_id: id of the image.
        """
        return {}

    def _used_paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of the loaded tasks."""
        names = ("image", *self.tasks)
        return {
            key: path
            for key, path in self.paths(image_id).items()
            if any(key == name or key.startswith(f"{name}/") for name in names)
        }

    def fingerprint(self) -> str:
        """Return a hash of the data, independent of its location: 16 hexadecimal digits.

        It covers tasks, classes, splits, the sizes of all files, and the first sample of each
        split.
        """
        names = self.tasks.class_names
        class_names = self.class_names if {*names.values()} <= {self.class_names} else names
        named = [list(self.tasks.items()), class_names, sorted(self.splits.items())]
        digest = hashlib.sha256(json.dumps(named).encode())
        for image_id in self.all_ids():
            paths = self._used_paths(image_id)
            sizes = {key: path.stat().st_size for key, path in paths.items()}
            digest.update(json.dumps(sorted(sizes.items())).encode())
        for ids in self.splits.values():
            sample = self.load(ids[0])
            for array in (sample.image, *(sample.targets[task] for task in self.tasks)):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @abc.abstractmethod
    def load(self, image_id: str) -> Sample:
        """Return the image and the targets of the data set's tasks at their original size.

        Args:
            image_id: id of the image.

        Raises:
            DataError: if a file is missing, damaged or invalid.
        """

    def epoch_order(self, ids: Sequence[str], generator: np.random.Generator) -> np.ndarray:
        """Return the order of the images of a training epoch.

        Args:
            ids: ids of the training images.
            generator: random numbers of the epoch.

        Returns:
            Positions in `ids`, `[len(ids)]`.
        """
        return generator.permutation(len(ids))

    def train(self) -> tf.data.Dataset:
        """Return shuffled, augmented training batches.

        Returns:
            Dataset of `(image [B, H, W, 3] float32, {task: target [B, H, W, C]},
            {task: validity mask [B, H, W] float32})`: class ids int32, other targets float32; depth
            in metres. The image is RGB, normalised with ImageNet's mean and standard deviation.
            Order and augmentation depend only on the seed and the epoch.
        """
        return make_pipeline(self, self.ids("train"), self.options, training=True)

    def batches(self, split: str, original_size: bool = False) -> tf.data.Dataset:
        """Return the batches of a split in order, without augmentation.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            original_size: batches of one image, with targets at their original size.

        Returns:
            Dataset of the same elements as `train`.
        """
        options = dataclasses.replace(self.options, cache=False)
        if original_size:
            options = dataclasses.replace(options, batch_size=1)
        return make_pipeline(self, self.ids(split), options, original_size=original_size)

    def val(self) -> tf.data.Dataset:
        """Return validation batches at the input size, in order; same elements as `train`."""
        return make_pipeline(self, self.ids("val"), self.options)

    def test(self) -> tf.data.Dataset:
        """Return test batches of one image at the input size, targets at their original size."""
        return self.batches("test", original_size=True)
