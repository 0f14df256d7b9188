"""Options of pipelines, and the interface of their sources."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mtl_tf.data.sample import Sample, TargetSpec
from mtl_tf.data.transforms import Augmentation


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a data set's pipelines.

    Attributes:
        augmentation: random transforms of training images.
        batch_size: images per batch; the last, smaller batch of a training epoch is dropped.
        seed: random seed of image order and augmentation.
        cache: whether decoded samples are kept in memory after the first epoch.
        num_workers: number of threads that decode and augment.
        normalise: whether images are normalised; without it they are RGB 0..255, float32, for a
            network that includes its preprocessing.
        check_files: whether the constructor checks that every file of every listed image exists;
            otherwise `load` raises the error of a missing file.
    """

    augmentation: Augmentation
    batch_size: int = 8
    seed: int = 0
    cache: bool = False
    num_workers: int = 2
    normalise: bool = True
    check_files: bool = True


class Source(Protocol):
    """Source of samples of a pipeline, such as a `DenseDataset`."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(H, W, 3)` of the images in a batch."""

    @property
    def specs(self) -> Mapping[str, TargetSpec]:
        """`{task: TargetSpec}` of the targets."""

    def load(self, image_id: str) -> Sample:
        """Return the image and its targets at their original size."""

    def epoch_order(self, ids: Sequence[str], generator: np.random.Generator) -> np.ndarray:
        """Return positions in `ids` of the images of a training epoch, in order."""
