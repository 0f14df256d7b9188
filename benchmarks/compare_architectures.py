"""All architectures on real images: losses, step time, memory and size side by side.

What is compared: every architecture of `mtl.architectures.TABLE` with ResNet-18 trains from scratch
from the same seed for the same steps on NYU Depth v2 (`quick` preset, batch 4, equal weights,
Adam). It is a look at what they cost, not a verdict: a hundred steps decide nothing about the end
of a training.

    MTL_TF_DATA=... python -m benchmarks.compare_architectures --out runs/architectures.json

A case is an architecture, `single_task:TASK`, or `architecture:option=number`. Times and memory:
see `side_by_side.py`. Losses are those of the final predictions on the last fifth of the batches,
by the trained network in training mode. JTRL has two tasks, the first of them.
"""

import inspect
import json
from typing import Any

from benchmarks.support import side_by_side


def run_one(case: str, steps: int) -> side_by_side.Result:
    import keras

    import mtl_tf as mtl

    name, _, rest = case.partition(":")
    config, dataset, batches = side_by_side.nyud(steps)
    tasks, options = dict(dataset.tasks), {}
    if name == "single_task":
        tasks = {rest: tasks[rest]}
    elif name == "jtrl":
        tasks = dict(list(tasks.items())[:2])
    elif rest:
        option, _, value = rest.partition("=")
        options[option] = json.loads(value)
    keras.utils.set_random_seed(config.seed)
    cls: Any = mtl.architectures.TABLE[name].cls
    if "head" in inspect.signature(cls).parameters:
        options["head"] = config.head
    model = cls(
        config.backbone,
        tasks,
        (config.height, config.width, 3),
        output_stride=config.output_stride,
        **options,
    )
    made = mtl.MultiTaskTrainer(model, tasks)
    weights = {task: w for task, w in config.loss_weights.items() if task in tasks}
    made.compile(
        keras.optimizers.Adam(config.learning_rate),
        loss_weights=weights,
        metrics={task: [] for task in tasks},
    )

    result = side_by_side.train(made, batches, lambda i, logs: None)
    result.pop("logs")
    cost = mtl.architectures.summary(model)
    return {
        **result,
        "losses": _losses(model, tasks, batches[-steps // 5 :]),
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
    }


def _losses(model: Any, tasks: dict[str, int], batches: list[Any]) -> dict[str, float]:
    import numpy as np

    import mtl_tf as mtl

    functions = {task: mtl.TASKS[task].loss() for task in tasks}
    found: dict[str, list[float]] = {task: [] for task in tasks}
    for image, targets, masks in batches:
        outputs = model(image, training=True)
        for task, loss in functions.items():
            found[task].append(float(loss(targets[task], outputs[task], masks[task])))
    return {task: float(np.mean(values)) for task, values in found.items()}


def as_markdown(rows: list[side_by_side.Result]) -> str:
    tasks = list(dict.fromkeys(task for row in rows for task in row["losses"]))
    header = ["architecture", *tasks, "step, ms", "memory, MiB", "parameters, M", "GMACs"]
    return side_by_side.as_markdown(
        header,
        [
            [
                row["case"],
                *(f"{row['losses'][t]:.3f}" if t in row["losses"] else "" for t in tasks),
                f"{row['step_ms']:.0f}",
                f"{row['memory_mib']:.0f}",
                f"{row['parameters'] / 1e6:.1f}",
                f"{row['multiply_adds'] / 1e9:.2f}",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    import mtl_tf as mtl

    single = [f"single_task:{task}" for task in ("semseg", "depth", "normals", "edges")]
    others = [name for name in mtl.architectures.TABLE if name != "single_task"]
    side_by_side.main(
        "benchmarks.compare_architectures",
        single + others,
        run_one,
        as_markdown,
        "runs/architectures.json",
    )
