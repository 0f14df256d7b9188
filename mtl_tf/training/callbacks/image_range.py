"""The range of the images in an epoch: to tell the user of images that are not normalised."""

import keras
import tensorflow as tf

_LARGEST_NORMALISED = 20.0


class ImageRange(keras.metrics.Metric):
    """Smallest and largest value of the first image of each batch."""

    def __init__(self) -> None:
        super().__init__(name="image_range", dtype="float32")
        # The mean over several replicas.
        self.smallest = self.add_variable((), "zeros", name="smallest", aggregation="mean")
        self.largest = self.add_variable((), "zeros", name="largest", aggregation="mean")

    def update_state(self, image: tf.Tensor) -> None:
        """Add a batch of images `[B, H, W, 3]`."""
        first = tf.cast(image[:1], tf.float32)
        self.smallest.assign(tf.minimum(self.smallest, tf.reduce_min(first)))
        self.largest.assign(tf.maximum(self.largest, tf.reduce_max(first)))

    def result(self) -> tf.Tensor:
        """Return `[smallest, largest]`; 0 lies between them."""
        return tf.stack([tf.convert_to_tensor(x) for x in (self.smallest, self.largest)])


def fault_of(smallest: float, largest: float, includes_preprocessing: bool) -> str | None:
    """Return what is wrong with images of a range, and the remedy; `None` if nothing is.

    Args:
        smallest: value in the images.
        largest: value in the images.
        includes_preprocessing: whether the network normalises the images itself.
    """
    if includes_preprocessing and smallest < 0:
        return (
            f"The images have values from {smallest:g} to {largest:g}, and the network normalises "
            "RGB images 0..255 itself (include_preprocessing=True): pass raw images, from the data "
            "sets of mtl_tf.data with normalise=False"
        )
    if includes_preprocessing:
        return None
    if largest > _LARGEST_NORMALISED:
        return (
            f"The images have values up to {largest:g}: they look like RGB 0..255, and the network "
            "expects normalised images. Use mtl_tf.data.normalise, or build the network with "
            "include_preprocessing=True"
        )
    if smallest == 0 and 0 < largest <= 1:
        return (
            f"The images have values from 0 to {largest:g}: they look like RGB 0..1, and the "
            "network expects normalised images. Use mtl_tf.data.normalise(255 * images)"
        )
    return None
