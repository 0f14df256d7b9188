"""A folder of images and labels, described by its `data.yaml`."""

import concurrent.futures
import functools
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.base import DenseDataset
from mtl_tf.data.folder.annotators import merge
from mtl_tf.data.folder.description import (
    FILE,
    Description,
    Label,
    checked_description,
    read_description,
)
from mtl_tf.data.folder.encodings import Decoded, decode
from mtl_tf.data.folder.numbers import read_numbers
from mtl_tf.data.folder.patterns import Match, Pattern
from mtl_tf.data.folder.splits import split_ids
from mtl_tf.data.folder.tasks import task_of
from mtl_tf.data.sample import DataError, Sample, TargetSpec, checked_sample
from mtl_tf.data.transforms import resize_target
from mtl_tf.targets import TargetKind
from mtl_tf.text import shown

_NAMED = 3  # files in an error or a warning
_ASPECT = 0.02  # largest relative difference of the aspects of a label and its image


class Folder(DenseDataset):
    """Images and labels of your own, in a folder with a `data.yaml`.

    Source: this library.

    Args:
        root: path of the folder.
        tasks: names of tasks in the description; `None` for all.
        input_shape: `(H, W, 3)` of the images in a batch; by default the `input_size` of the
            description, else the size of the first image.
        description: the content of `data.yaml`; by default the file is read.
        skip_damaged: read all files now, and leave out images that are damaged or have a damaged
            label, with a warning that counts them; by default as the description says.
        require_labels: raise an error if an image lacks a label that the description requires; see
            `missing_labels`.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Attributes:
        description: the description.
        skipped: `{id: error}` of the images left out.
        without_label: `{task: ids}` of the images without a label.

    Raises:
        DataError: if there is no image, or a file is missing or damaged.
        ValueError: for a description that is wrong, an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl, numpy as np, pathlib, tempfile
        >>> from PIL import Image
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("a", "b"):
        ...     Image.new("RGB", (12, 8)).save(root / f"{name}.jpg")
        ...     Image.new("I;16", (12, 8), 1500).save(root / f"{name}_depth.png")
        >>> depth = {"files": "*_depth.png", "encoding": "mm"}
        >>> data = mtl.data.Folder(
        ...     root, description={"images": "*.jpg", "tasks": {"depth": depth}}, batch_size=1
        ... )
        >>> float(data.load("a").targets["depth"].max())
        1.5
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = None,
        input_shape: Sequence[int] | None = None,
        description: Mapping[str, Any] | None = None,
        skip_damaged: bool | None = None,
        require_labels: bool = True,
        **options: Any,
    ) -> None:
        self.root = pathlib.Path(root).expanduser()
        if not self.root.is_dir():
            raise DataError(f"{shown(self.root)} is no folder")
        self.description: Description = (
            read_description(self.root)
            if description is None
            else checked_description(description, "description")
        )
        labels = self.description.tasks
        names = list(labels) if tasks is None else list(tasks)
        available = [task_of(name, label) for name, label in labels.items()]
        self._listed: dict[str, list[Match]] = {}
        self._images = self._find_images()
        self._labels = {name: self._find_labels(name) for name in names if name in labels}
        self.without_label = {
            name: [i for i in self._images if i not in of_task]
            for name, of_task in self._labels.items()
        }
        self._listed.clear()
        if require_labels:
            self._check_missing()
        self.skipped: dict[str, str] = {}
        size = self.description.input_size
        if input_shape is None and size is not None:
            input_shape = (*size, 3)
        split_of = {image_id: match.split for image_id, match in self._images.items()}
        splits = split_ids(self.root, self.description, split_of)
        super().__init__(names, available, splits, input_shape, **options)
        if self.description.skip_damaged if skip_damaged is None else skip_damaged:
            self._leave_out_damaged()

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of the labels that it has.

        Args:
            image_id: id of the image.
        """
        paths = {"image": self._images[image_id].path}
        for task, of_task in self._labels.items():
            for i, path in enumerate(of_task.get(image_id, ())):
                paths[f"{task}/{i}" if i else task] = path
        return paths

    def missing_labels(self) -> list[str]:
        """Return a line for each label that the description requires and that is missing."""
        return [
            f"{shown(self._images[image_id].path)} has no {task} label. If that is right, write "
            f"missing: allow for tasks.{task} in {FILE}"
            for task, ids in self.without_label.items()
            if self.description.tasks[task].missing == "error"
            for image_id in ids
        ]

    @functools.cached_property
    def specs(self) -> dict[str, TargetSpec]:
        """`{task: TargetSpec}` of the description."""
        kinds = {name: task.kind for name, task in self.tasks.own.items()}
        return {task: TargetSpec(kinds[task], channels) for task, channels in self.tasks.items()}

    def load(self, image_id: str) -> Sample:
        """Return the image and the targets at the size of the image.

        Args:
            image_id: id of the image.
        """
        image = self._read_image(self._images[image_id].path)
        targets, masks = {}, {}
        for task, spec in self.specs.items():
            paths = self._labels[task].get(image_id)
            if paths is None:
                targets[task], masks[task] = spec.absent(*image.shape[:2])
            else:
                target, masks[task] = self._read_labels(task, paths, image.shape[:2])
                targets[task] = target[..., None] if target.ndim == 2 else target
        kinds = {task: spec.kind for task, spec in self.specs.items()}
        return Sample(image, targets, masks, kinds)

    # === Files ===

    def _matches(self, pattern: Pattern) -> list[Match]:
        """Return the files of a pattern; the folder is read once for each."""
        if pattern.text not in self._listed:
            self._listed[pattern.text] = pattern.matches(self.root)
        return self._listed[pattern.text]

    def _find_images(self) -> dict[str, Match]:
        pattern = Pattern(self.description.images.files)
        images: dict[str, Match] = {}
        labels = {
            match.path
            for label in self.description.tasks.values()
            for of_label in label.patterns
            for match in self._matches(of_label)
        }
        for match in self._matches(pattern):
            if match.path in labels:  # also matches the images: "*.png" and "*_mask.png"
                continue
            image_id = "/".join(filter(None, (match.split, *match.key)))
            if image_id in images:
                raise DataError(
                    f"{shown(match.path)} and {shown(images[image_id].path)} are both the image "
                    f"{image_id!r}: remove one, or make the pattern {pattern.text!r} narrower"
                )
            images[image_id] = match
        if not images:
            raise DataError(
                f"{shown(self.root)} holds no file that matches images: {pattern.text}. It holds "
                f"{_listing(self.root)}"
            )
        files.check_ids(list(images), self.root / FILE)
        return images

    def _find_labels(self, task: str) -> dict[str, list[pathlib.Path]]:
        """Return `{image id: paths}` of a task, one path for each annotator."""
        patterns = self.description.tasks[task].patterns
        paths: dict[str, list[pathlib.Path]] = {}
        strange: list[pathlib.Path] = []
        for pattern in patterns:
            ids_of = self._ids_by_key(pattern.has_split)
            seen: dict[str, pathlib.Path] = {}
            for match in self._matches(pattern):
                ids = ids_of.get((match.split, *match.key), [])
                if len(ids) > 1:
                    raise DataError(
                        f"{shown(match.path)} would be the {task} label of {ids[0]!r} and "
                        f"{ids[1]!r}: put {{split}} into the pattern {pattern.text!r} too"
                    )
                if not ids:
                    strange.append(match.path)
                    continue
                if ids[0] in seen and not pattern.has_annotator:
                    raise DataError(
                        f"{shown(match.path)} and {shown(seen[ids[0]])} are both the {task} label "
                        f"of {ids[0]!r}: remove one, or make {pattern.text!r} narrower"
                    )
                seen[ids[0]] = match.path
                paths.setdefault(ids[0], []).append(match.path)
        if not paths:
            others = f"belongs to an image, such as {_some(strange)}" if strange else "is there"
            raise DataError(
                f"tasks.{task}.files: no file that matches {', '.join(p.text for p in patterns)} "
                f"{others}. {shown(self.root)} holds {_listing(self.root)}"
            )
        if strange:
            warnings.warn(
                f"{len(strange)} {task} labels belong to no image: {_some(strange)}", stacklevel=4
            )
        return paths

    def _ids_by_key(self, with_split: bool) -> dict[tuple[str, ...], list[str]]:
        """Return the ids of the images by the texts of the wildcards, `{split}` first."""
        ids: dict[tuple[str, ...], list[str]] = {}
        for image_id, match in self._images.items():
            ids.setdefault((match.split if with_split else "", *match.key), []).append(image_id)
        return ids

    def _check_missing(self) -> None:
        for task, ids in self.without_label.items():
            if ids and self.description.tasks[task].missing == "error":
                raise DataError(
                    f"{len(ids)} of {len(self._images)} images have no {task} label, such as "
                    f"{', '.join(map(repr, ids[:_NAMED]))}. If that is right, write missing: allow "
                    f"for tasks.{task} in {FILE}"
                )

    # === Content ===

    def _read_image(self, path: pathlib.Path) -> np.ndarray:
        images = self.description.images
        if images.range is None:
            return files.read_image(path, images.apply_orientation)
        numbers = files.read_pixels(path, images.apply_orientation)
        if not np.isfinite(numbers).all():
            raise DataError(f"{shown(path)} must hold finite numbers")
        numbers = numbers[..., None] if numbers.ndim == 2 else numbers
        channels = numbers[..., : 3 if numbers.shape[2] >= 3 else 1]  # without alpha
        low, high = images.range
        share = np.clip((channels.astype(np.float32) - low) / (high - low), 0, 1)
        values = np.rint(share * 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))

    def _read_labels(
        self, task: str, paths: Sequence[pathlib.Path], size: tuple[int, int]
    ) -> Decoded:
        label, kind = self.description.tasks[task], self.tasks.own[task].kind
        decoded = []
        for path in paths:
            numbers = read_numbers(path, self.description.images.apply_orientation)
            target, mask = decode(numbers, label, path)
            if target.shape[:2] != size:
                target, mask = _resized(target, mask, kind, label, path, size)
            decoded.append((target, mask))
        return merge(decoded, kind, label.agreement)

    def _leave_out_damaged(self) -> None:
        """Read all images, and remove from the splits those that raise an error."""

        def problem(image_id: str) -> str | None:
            try:
                checked_sample(self.load(image_id), self.specs, image_id)
            except DataError as error:
                return str(error)
            return None

        ids = self.all_ids()
        with concurrent.futures.ThreadPoolExecutor(self.options.num_workers) as pool:
            problems = zip(ids, pool.map(problem, ids), strict=True)
            self.skipped = {i: text for i, text in problems if text is not None}
        for split, of_split in self.splits.items():
            self.splits[split] = [i for i in of_split if i not in self.skipped]
            if not self.splits[split]:
                raise DataError(f"All images for {split} are damaged: {_first(self.skipped)}")
        if self.skipped:
            warnings.warn(
                f"{len(self.skipped)} of {len(ids)} images are left out: {_first(self.skipped)}",
                stacklevel=3,
            )


def _resized(
    target: np.ndarray,
    mask: np.ndarray,
    kind: TargetKind,
    label: Label,
    path: pathlib.Path,
    size: tuple[int, int],
) -> Decoded:
    """Return a label at the size of its image, if the description allows it."""
    height, width = target.shape[:2]
    if not label.resize:
        turned = (height, width) == size[::-1]
        hint = (
            "the EXIF orientation turns the image: write images: {files: ..., apply_orientation: "
            "false} if labels were drawn on the unturned one"
            if turned
            else "write resize: true for the task if it shows the same"
        )
        raise DataError(
            f"{shown(path)} is {height}x{width}, and the image is {size[0]}x{size[1]}: {hint}"
        )
    if abs(height * size[1] - width * size[0]) > _ASPECT * height * size[1]:
        raise DataError(
            f"{shown(path)} is {height}x{width}, and the image is {size[0]}x{size[1]}: they differ "
            "in aspect, so they do not show the same"
        )
    return resize_target(target, mask, kind, *size)


# === Text ===


def _listing(root: pathlib.Path) -> str:
    """Return what a folder holds, for errors."""
    names = sorted(p.name + "/" * p.is_dir() for p in root.iterdir() if p.name[:1] != ".")
    return ", ".join(map(shown, names[:10])) + " ..." * (len(names) > 10) if names else "nothing"


def _some(paths: Sequence[pathlib.Path]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(shown(path) for path in paths[:_NAMED]) + more


def _first(problems: Mapping[str, str]) -> str:
    more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return "; ".join(list(problems.values())[:_NAMED]) + more
