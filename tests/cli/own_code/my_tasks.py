"""Own tasks, as a user writes them."""

import dataclasses

import tensorflow as tf

import mtl_tf as mtl

heat = mtl.Task(
    name="heat",
    channels=1,
    activation=tf.identity,
    loss=mtl.losses.L1,
    metrics=lambda channels: [mtl.metrics.RegressionMetrics(channels)],
    main_metric="abs_error",
    higher_is_better=False,
)


def parts():
    """Classes of the pixels of a vehicle."""
    return dataclasses.replace(mtl.TASKS["human_parts"], name="vehicle_parts", channels=4)
