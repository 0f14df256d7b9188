"""Own tasks, as a user writes them."""

import dataclasses

import keras
import tensorflow as tf

import mtl_tf as mtl


class HotShare(keras.metrics.Mean):
    """Share of the pixels that are predicted hot."""

    def __init__(self, limit=1.0, name="hot_share"):
        super().__init__(name)
        self.limit = limit

    def update_state(self, y_true, y_pred, sample_weight=None):
        is_hot = keras.ops.cast(y_pred[..., 0] > self.limit, "float32")
        return super().update_state(is_hot, sample_weight)

    def get_config(self):
        return super().get_config() | {"limit": self.limit}


heat = mtl.Task(
    name="heat",
    channels=1,
    activation=tf.identity,
    loss=mtl.losses.L1,
    metrics=lambda channels: [mtl.metrics.RegressionMetrics(channels), HotShare(0.5)],
    main_metric="abs_error",
    higher_is_better=False,
)


def parts():
    """Classes of the pixels of a vehicle."""
    return dataclasses.replace(mtl.TASKS["human_parts"], name="vehicle_parts", channels=4)
