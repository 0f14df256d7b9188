"""`tf.data` without its autotuning thread, for which a dropped iterator waits."""

from typing import Any

import tensorflow as tf


def without_autotuning(dataset: Any) -> Any:
    """The data set without TensorFlow's autotuning thread, unless its options ask for it.

    An iterator that is dropped, as at the end of each epoch of `fit`, waits for that thread with
    Python's lock held: up to 60 s on a busy machine (TensorFlow 2.21, `Model::OptimizeLoop`).
    Without it `tf.data.AUTOTUNE` takes its default parallelism.

    Args:
        dataset: a `tf.data.Dataset`; anything else is returned as it is.
    """
    if not isinstance(dataset, tf.data.Dataset) or dataset.options().autotune.enabled is not None:
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
