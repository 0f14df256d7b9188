"""Surveys: grids of runs in processes with limits, their table and report; hyperparameter search.

========================= ==================================================================
`survey`                  train every combination of architecture, balancing method and seed
`tune`                    search the learning rate and the loss weights
`SURVEYS`                 named surveys: `smoke`, `micro`, the survey's tables
========================= ==================================================================
"""

from mtl_tf.optional_packages import imports_of_extra

with imports_of_extra(__name__, "experiments"):
    from mtl_tf.experiments.presets import SURVEYS
    from mtl_tf.surveys.survey import survey
    from mtl_tf.surveys.tune import tune

__all__ = ["SURVEYS", "survey", "tune"]
