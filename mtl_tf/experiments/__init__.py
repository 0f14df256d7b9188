"""Experiments: a flat, validated configuration and the stages of a run.

================ ========================================================
`Config`         everything a run depends on, one value per name
`PRESETS`        named configurations: `demo`, `quick`, the survey's rows
`run`            data, model, training, evaluation, report into one folder
================ ========================================================
"""

from mtl_tf.experiments.config import Config, make_config
from mtl_tf.experiments.presets import PRESETS
from mtl_tf.experiments.run import load_data, run

__all__ = ["PRESETS", "Config", "load_data", "make_config", "run"]
