"""Mean IoU and F of saliency maps over thresholds, in both conventions in use.

Survey (section 4): the sigmoid of the prediction is binarised at 15 thresholds from 0.2 to 0.9. The
Jaccard index (1 where prediction and target are both empty), precision and recall are computed per
image and averaged over images. `miou` is the maximum mean Jaccard index over thresholds, `max_f`
the maximum F1 (beta² = 1) of mean precision and mean recall.

ATRC and InvPT: 19 thresholds from 0.05 to 0.95, pixels of all images pooled, beta² = 0.3.
`max_f_pooled` is much larger than `max_f`: the two are not comparable.
"""

from collections.abc import Mapping
from typing import ClassVar

import keras
import tensorflow as tf

from mtl_tf.metrics.base import DenseMetric, MetricInfo
from mtl_tf.targets import TargetKind

_THRESHOLDS = tuple(0.2 + 0.05 * i for i in range(-3, 16))
_SURVEY = slice(3, 18)  # of the thresholds
_BETA_SQUARED = 0.3


@keras.saving.register_keras_serializable(package="mtl_tf")
class SaliencyMetrics(DenseMetric):
    """Maximum mean IoU and maximum F over thresholds, as fractions.

    Results: `miou`, `max_f`, `max_f_pooled`.

    `y_true` is `[B, H, W, 1]`, salient where >= 0.5; `y_pred` holds logits `[B, H, W, 1]`. Images
    without a valid pixel are excluded.

    Source: Vandenhende et al., TPAMI 2021, section 4; Brüggemann et al., "Exploring Relational
    Context for Multi-Task Dense Prediction", ICCV 2021 (`max_f_pooled`).

    Args:
        name: name of the metric.

    Raises:
        ValueError: if shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> metric = mtl.metrics.SaliencyMetrics()
        >>> metric.update_state(keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((1, 8, 8, 1)))
        >>> sorted(metric.result())
        ['max_f', 'max_f_pooled', 'miou']
    """

    kind = TargetKind.BINARY
    info: ClassVar[Mapping[str, MetricInfo]] = {
        "miou": MetricInfo(True, "%", label="mean IoU"),
        "max_f": MetricInfo(True, "%", label="maximum F"),
        "max_f_pooled": MetricInfo(True, "%", label="maximum F, pooled"),
    }

    def __init__(self, name: str = "saliency_metrics") -> None:
        super().__init__(name=name)
        self.num_images = self.add_sum("num_images")
        num_thresholds = len(_THRESHOLDS[_SURVEY])
        self.jaccard = self.add_sum("jaccard", (num_thresholds,))
        self.precision = self.add_sum("precision", (num_thresholds,))
        self.recall = self.add_sum("recall", (num_thresholds,))
        self.num_hits = self.add_sum("num_hits", (len(_THRESHOLDS),))
        self.num_predicted = self.add_sum("num_predicted", (len(_THRESHOLDS),))
        self.num_target = self.add_sum("num_target")

    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add pixels, and each image's Jaccard index, precision and recall, at every threshold."""
        if len(valid.shape) == 1:  # one pixel per image
            y_true, y_pred, valid = (x[:, None, None] for x in (y_true, y_pred, valid))
        target = ((tf.cast(y_true, tf.float32) >= 0.5) & valid[..., None])[..., 0]
        score = tf.sigmoid(y_pred[..., 0])
        has_label = tf.cast(tf.reduce_any(valid, axis=(1, 2)), tf.float64)
        predicted = (score[..., None] >= tf.constant(_THRESHOLDS)) & valid[..., None]
        num_target = _count(target[..., None])
        num_predicted = _count(predicted)
        hits = _count(predicted & target[..., None])
        self.num_hits.assign_add(tf.reduce_sum(hits, axis=0))
        self.num_predicted.assign_add(tf.reduce_sum(num_predicted, axis=0))
        self.num_target.assign_add(tf.reduce_sum(num_target))
        hits, num_predicted = hits[:, _SURVEY], num_predicted[:, _SURVEY]
        union = num_target + num_predicted - hits
        one = tf.ones_like(union)
        for total, values in (
            (self.jaccard, tf.where(union > 0, tf.math.divide_no_nan(hits, union), one)),
            (self.precision, tf.math.divide_no_nan(hits, num_predicted)),
            (self.recall, tf.math.divide_no_nan(hits, num_target)),
        ):
            total.assign_add(tf.reduce_sum(values * has_label[:, None], axis=0))
        self.num_images.assign_add(tf.reduce_sum(has_label))

    def result(self) -> dict[str, tf.Tensor]:
        """Return `miou`, `max_f` and `max_f_pooled`, fractions."""
        jaccard, precision, recall = (
            tf.math.divide_no_nan(
                tf.convert_to_tensor(total), tf.convert_to_tensor(self.num_images)
            )
            for total in (self.jaccard, self.precision, self.recall)
        )
        hits, predicted, target = (
            tf.convert_to_tensor(count)
            for count in (self.num_hits, self.num_predicted, self.num_target)
        )
        pooled = tf.math.divide_no_nan(hits, predicted), tf.math.divide_no_nan(hits, target)
        return {
            "miou": tf.reduce_max(jaccard),
            "max_f": tf.reduce_max(_f(precision, recall, 1.0)),
            "max_f_pooled": tf.reduce_max(_f(*pooled, _BETA_SQUARED)),
        }


def _f(precision: tf.Tensor, recall: tf.Tensor, beta_squared: float) -> tf.Tensor:
    numerator = (1 + beta_squared) * precision * recall
    return tf.math.divide_no_nan(numerator, beta_squared * precision + recall)


def _count(mask: tf.Tensor) -> tf.Tensor:
    """Count the true pixels of each image and threshold, `[B, T]` float64."""
    return tf.reduce_sum(tf.cast(mask, tf.float64), axis=(1, 2))
