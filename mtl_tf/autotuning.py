"""`tf.data` without its autotuning thread, which blocks the deletion of an iterator."""

from typing import TypeVar

import tensorflow as tf

_Data = TypeVar("_Data")


def without_autotuning(dataset: _Data) -> _Data:
    """Return a data set without TensorFlow's autotuning thread, unless its options enable it.

    Deleting an iterator, as `fit` does after each epoch, waits for that thread while holding the
    GIL: up to 60 s on a busy machine (TensorFlow 2.21, `Model::OptimizeLoop`). Without the thread
    `tf.data.AUTOTUNE` means the default parallelism.

    Args:
        dataset: a `tf.data.Dataset`; anything else is returned unchanged.
    """
    if not isinstance(dataset, tf.data.Dataset) or dataset.options().autotune.enabled is not None:
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
