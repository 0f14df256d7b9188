"""Evaluation: numbers of a trained model, a trivial baseline beside them, and a report.

====================== ==========================================================================
`evaluate`             `{task: {metric: value}}` of a model on a data set, at the targets' size
`trivial_baseline`     the same for per-pixel statistics of the training set, without a network
`write_report`         `results.json`, `report.md` and the self-contained `report.html`
`colourise`            predictions and targets as pictures in the field's usual colours
====================== ==========================================================================
"""

from mtl_tf.evaluation.baselines import trivial_baseline
from mtl_tf.evaluation.colours import colourise
from mtl_tf.evaluation.evaluate import evaluate
from mtl_tf.evaluation.report import write_report

__all__ = ["colourise", "evaluate", "trivial_baseline", "write_report"]
