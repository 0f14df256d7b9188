"""PASCAL-Context with five tasks, in the layout of ASTMT and the survey (`PASCAL_MT`)."""

import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from skimage.morphology import thin

from mtl_tf.data import files
from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.pascal_context.parts import has_person, read_human_parts
from mtl_tf.data.sample import DataError, Sample, make_sample
from mtl_tf.data.transforms import Augmentation

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""Names of the 21 semantic classes, in the order of their ids."""

_IGNORED = 255
_NUM_CONTEXT_CLASSES = 459
# Context classes whose name is also among NYU Depth v2's 894 labels, and tvmonitor. The network
# that predicted the normals was trained on these; other objects have no valid normals.
_WITH_NORMALS = (
    3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46, 49, 50,
    51, 53, 55, 56, 59, 61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95, 96, 101, 104,
    105, 107, 111, 113, 115, 122, 124, 135, 141, 142, 143, 146, 150, 154, 157, 158, 159, 165, 172,
    174, 181, 183, 184, 191, 193, 195, 197, 199, 202, 213, 215, 216, 219, 220, 223, 225, 228, 230,
    232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261, 263, 269, 272, 273, 275, 281,
    283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304, 307, 309, 310, 314, 315, 319, 323,
    329, 330, 331, 336, 342, 345, 349, 350, 351, 352, 355, 357, 368, 370, 371, 374, 379, 380, 383,
    384, 397, 401, 403, 405, 407, 408, 411, 412, 413, 414, 417, 419, 421, 423, 427, 429, 430, 432,
    440, 441, 442, 443, 444, 446, 454, 457,
)  # fmt: skip

_CONTEXT = "pascal-context/trainval/{id}.mat"
_LAYOUT = FolderLayout(
    {
        "image": "JPEGImages/{id}.jpg",
        "semseg": ("semseg/VOC12/{id}.png", "semseg/pascal-context/{id}.png"),
        "human_parts": "human_parts/{id}.mat",
        "saliency": "sal_distill/{id}.png",
        "normals": "normals_distill/{id}.png",
        "normals/context": _CONTEXT,
        "edges": _CONTEXT,
    },
    lists="ImageSets/Context/{split}.txt",
)


class PascalContext(DenseDataset):
    """Photographs of PASCAL VOC with semantic classes, human parts, edges, normals and saliency.

    A folder with `JPEGImages/*.jpg`, `ImageSets/Context/{train,val}.txt` and, for each task:

    - `semseg`, 21 classes: `semseg/VOC12/*.png`, else `semseg/pascal-context/*.png`, 255 = void;
    - `human_parts`, 7 classes with the background: `human_parts/*.mat`; an image without a person
      is invalid everywhere, and excluded from the splits if this is the only task;
    - `edges`: thinned borders of the 459 classes of `pascal-context/trainval/*.mat` (`LabelMap`);
    - `normals`, predicted by another network: `normals_distill/*.png`, valid on the classes it was
      trained on;
    - `saliency`, predicted by another network: `sal_distill/*.png`.

    `test()` returns the validation images. By default training images are flipped, rotated by up to
    20 degrees, scaled by 0.75 to 1.25 and resized to the input size, as in the survey; the border
    that scaling leaves is invalid, not background.

    Source: Mottaghi et al., CVPR 2014; Chen et al., CVPR 2014 (parts); Maninis et al., CVPR 2019.

    Args:
        root: path of the data folder.
        tasks: some of `semseg`, `human_parts`, `saliency`, `normals`, `edges`.
        input_shape: `(H, W, 3)` of the images in a batch.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        DataError: if a list of images is missing, or a file is missing or damaged.
        ValueError: for an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.PascalContext("PASCAL_MT", ["saliency"])  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'saliency': 1}
    """

    augmentation = Augmentation(zoom=(0.75, 1.25), zoom_between=True, rotation_deg=20.0)

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("semseg", "human_parts", "saliency", "normals", "edges"),
        input_shape: Sequence[int] = (512, 512, 3),
        **options: Any,
    ) -> None:
        self.root = pathlib.Path(root)
        splits = _LAYOUT.splits(self.root)
        tasks = None if tasks is None else tuple(tasks)
        if tasks == ("human_parts",):
            for split, ids in splits.items():
                path = self.root / "ImageSets" / "Parts" / f"{split}.txt"
                people = self._with_people(path, ids)
                splits[split] = [image_id for image_id in ids if image_id in people]
        available = {
            task: CHANNELS[task] for task in ("human_parts", "saliency", "normals", "edges")
        }
        available = {"semseg": len(CLASSES), **available}
        super().__init__(tasks, available, splits, input_shape, CLASSES, **options)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task.

        Args:
            image_id: id of the image.
        """
        return _LAYOUT.paths(self.root, image_id)

    def load(self, image_id: str) -> Sample:
        """Return the image and the targets at their original size.

        Args:
            image_id: id of the image.
        """
        paths = self.paths(image_id)
        image = files.read_image(paths["image"])
        targets, masks = {}, {}
        if "semseg" in self.tasks:
            codes = files.read_map(paths["semseg"])
            targets["semseg"], masks["semseg"] = codes, codes != _IGNORED
            files.check_classes(codes, masks["semseg"], len(CLASSES), paths["semseg"])
        if "human_parts" in self.tasks:
            parts = read_human_parts(paths["human_parts"], image.shape[:2])
            targets["human_parts"] = parts
            masks["human_parts"] = np.full(parts.shape, parts.any())
        if "saliency" in self.tasks:
            targets["saliency"] = (files.read_map(paths["saliency"]) > 127) * np.float32(1)
        if {"normals", "edges"} & set(self.tasks):
            context = _read_context(paths["edges"])
            if "edges" in self.tasks:
                targets["edges"] = _thinned_borders(context)
            if "normals" in self.tasks:
                targets["normals"], valid = files.read_normals(paths["normals"])
                if valid.shape != context.shape:
                    raise DataError(
                        f"{paths['normals']} and {paths['edges']} must have one size, not "
                        f"{valid.shape} and {context.shape}"
                    )
                masks["normals"] = valid & np.isin(context, _WITH_NORMALS)
        return make_sample(image, targets, masks, image_id)

    def _with_people(self, cache: pathlib.Path, ids: list[str]) -> set[str]:
        """Return the ids of images with a person, from `cache` (JSON) or else from every file."""
        if not cache.is_file():
            return {i for i in ids if has_person(self.root / "human_parts" / f"{i}.mat")}
        try:
            classes_of = json.loads(cache.read_text(encoding="utf-8"))
            return {str(i) for i, classes in classes_of.items() if 15 in classes}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise DataError(
                f"{cache} must hold JSON of object classes by image: {error}"
            ) from error


def _read_context(path: pathlib.Path) -> np.ndarray:
    """Read the ids of the context classes, 0..459, `[H, W]` int32."""
    ids = np.asarray(files.read_matlab(path, "LabelMap"))
    if ids.ndim != 2 or ids.dtype.kind not in "biuf":
        raise DataError(f"{path}: LabelMap must be [H, W] numbers, not {ids.dtype} {ids.shape}")
    files.check_classes(ids, np.ones(ids.shape, bool), _NUM_CONTEXT_CLASSES + 1, path)
    return ids.astype(np.int32)


def _thinned_borders(labels: np.ndarray) -> np.ndarray:
    """Return lines of one pixel width between labels, `[H, W]` float32."""
    is_border = cv2.Laplacian(labels.astype(np.float32), cv2.CV_32F) != 0
    return thin(is_border).astype(np.float32)
