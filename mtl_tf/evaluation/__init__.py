"""Evaluation: metrics of a trained model, their intervals, a trivial baseline, and a report.

========================= =======================================================================
`evaluate`                `{task: {metric: value}}` of a model on a data set, at the targets' size
`evaluate_images`         the same, with the metric sums of each image
`compare`                 two models on the same images: differences, intervals, p-values
`trivial_baseline`        results of per-pixel statistics of the training set, without a network
`read_official_results`   result files of the survey's code; `write_official_results` writes them
`Diagnostics`             where a model fails: classes, ranges of depth, thresholds, images
`write_report`            `results.json`, tables, and the self-contained `report.html`
`colourise`               predictions and targets as pictures in the usual colours
========================= =======================================================================
"""

from mtl_tf.optional_packages import imports_of_extra

with imports_of_extra(__name__, "experiments"):
    from mtl_tf.evaluation.baselines import trivial_baseline
    from mtl_tf.evaluation.comparison import Comparison, compare
    from mtl_tf.evaluation.diagnostics.collector import Diagnostics
    from mtl_tf.evaluation.evaluate import evaluate, evaluate_images
    from mtl_tf.evaluation.image_states import ImageStates
    from mtl_tf.evaluation.official_json import read_official_results, write_official_results
    from mtl_tf.evaluation.reporting.colours import colourise
    from mtl_tf.evaluation.reporting.run_report import write_report

__all__ = [
    "Comparison",
    "Diagnostics",
    "ImageStates",
    "colourise",
    "compare",
    "evaluate",
    "evaluate_images",
    "read_official_results",
    "trivial_baseline",
    "write_official_results",
    "write_report",
]
