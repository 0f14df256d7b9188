"""Experiments: a flat, validated configuration and the stages of a run.

================ ==========================================================
`Config`         all options of a run, one value per name
`make_config`    a `Config` from a preset and options
`PRESETS`        named configurations: `demo`, `quick`, `realtime`, the rows of the survey
`load_data`      the data set of a configuration
`run`            prepare, train, evaluate, collect, report into one folder
`Rows`           progress of a run: a row for each epoch, and the time left
`JsonLines`      progress for other programs; `Silent` for none
================ ==========================================================
"""

from typing import TYPE_CHECKING

from mtl_tf.optional_packages import imports_of_extra
from mtl_tf.startup import IS_COMMAND, on_first_use

if TYPE_CHECKING or not IS_COMMAND:
    with imports_of_extra(__name__, "experiments"):
        from mtl_tf.experiments.config import Config, make_config
        from mtl_tf.experiments.from_config import load_data
        from mtl_tf.experiments.presets import PRESETS
        from mtl_tf.experiments.progress import JsonLines, Rows, Silent
        from mtl_tf.experiments.run import run
else:
    __getattr__ = on_first_use(
        __name__,
        {
            **dict.fromkeys(("Config", "make_config"), "config"),
            **dict.fromkeys(("JsonLines", "Rows", "Silent"), "progress"),
            "PRESETS": "presets",
            "load_data": "from_config",
        },
    )

__all__ = ["PRESETS", "Config", "JsonLines", "Rows", "Silent", "load_data", "make_config", "run"]
