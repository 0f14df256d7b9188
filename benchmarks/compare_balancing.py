"""All balancing methods on real images: losses, conflicts, step time and memory side by side.

What is compared: every method of `mtl.balancing.TABLE` trains `shared_trunk` with ResNet-18 from
the same seed for the same steps on NYU Depth v2 (`quick` preset, batch 4). It is a look at how the
methods differ, not a verdict: a hundred steps decide nothing about the end of a training.

    MTL_TF_DATA=... python -m benchmarks.compare_balancing --out runs/balancing.json

A case is a method, or `method:features`. Conflicts are the share of task pairs with negative inner
products, over all steps (for scalarizers over five batches, so that they are timed without
diagnostics). Times and memory: see `side_by_side.py`.
"""

import itertools
from typing import Any

from benchmarks.support import side_by_side

_EPOCHS = 5  # DWA and STCH think in epochs: 100 steps are five short ones


def trainer_of(method: str, level: str, config: Any, tasks: dict[str, int], **options: Any) -> Any:
    import keras

    import mtl_tf as mtl

    keras.utils.set_random_seed(config.seed)
    model = mtl.architectures.SharedTrunk(
        config.backbone,
        tasks,
        (config.height, config.width, 3),
        head=config.head,
        output_stride=config.output_stride,
    )
    made = mtl.MultiTaskTrainer(model, tasks)
    balancing: Any = mtl.balancing.get(method)
    if method == "stch":
        balancing = mtl.balancing.STCH(warmup_epochs=1)
    made.compile(
        keras.optimizers.Adam(config.learning_rate),
        balancing=balancing,
        level=level,
        loss_weights=dict(config.loss_weights),
        metrics={task: [] for task in tasks},
        **options,
    )
    return made


def run_one(case: str, steps: int) -> side_by_side.Result:
    import mtl_tf as mtl

    method, _, level = case.partition(":")
    config, dataset, batches = side_by_side.nyud(steps)
    # Weightings have the Gramian at hand; for scalarizers five batches are looked at apart.
    is_scalarizer = mtl.balancing.TABLE[method].kind == "scalarizer"
    made = trainer_of(
        method, level or "parameters", config, dataset.tasks, diagnostics=not is_scalarizer
    )
    part = steps // _EPOCHS
    sums: dict[str, float] = {"conflicts": 0.0, "fallbacks": 0.0, "unsolved": 0.0}

    def after_step(i: int, logs: dict[str, float]) -> None:
        if (i + 1) % part:
            return
        for name in sums:
            sums[name] += logs.get(name, 0.0)
        if is_scalarizer:
            sums["conflicts"] += share_of_conflicts(made, batches[i])
        if i + 1 < len(batches):
            made.balancing.end_epoch()
            for metric in made.metrics:
                metric.reset_state()

    result = side_by_side.train(made, batches, after_step)
    logs = result.pop("logs")
    return {
        **result,
        "losses": {task: logs[f"{task}_loss"] for task in dataset.tasks},
        "weights": {task: logs.get(f"{task}_weight") for task in dataset.tasks},
        **sums,
        "conflicts": sums["conflicts"] / _EPOCHS,
    }


def share_of_conflicts(made: Any, batch: Any) -> float:
    """Return the share of task pairs whose shared gradients conflict on a batch."""
    import tensorflow as tf

    import mtl_tf as mtl

    image, targets, masks = batch
    losses = {task.name: task.loss() for task in made.tasks}
    shared = [v.value for v in made.network.trainable_variables if "decoders" not in v.path]
    with tf.GradientTape(persistent=True) as tape:
        outputs = made.network(image, training=False)
        terms = [losses[t](targets[t], outputs[t], masks[t]) for t in losses]
    gramian = mtl.ops.gramian([tape.gradient(term, shared) for term in terms]).numpy()
    pairs = list(itertools.combinations(range(len(terms)), 2))
    return sum(gramian[pair] < 0 for pair in pairs) / len(pairs)


def as_markdown(rows: list[side_by_side.Result]) -> str:
    tasks = list(rows[0]["losses"])
    header = ["method", *tasks, "conflicts", "step, ms", "memory, MiB"]
    return side_by_side.as_markdown(
        header,
        [
            [
                row["case"],
                *(f"{row['losses'][task]:.3f}" for task in tasks),
                f"{100 * row['conflicts']:.0f} %",
                f"{row['step_ms']:.0f}",
                f"{row['memory_mib']:.0f}",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    import mtl_tf as mtl

    side_by_side.main(
        "benchmarks.compare_balancing",
        list(mtl.balancing.TABLE),
        run_one,
        as_markdown,
        "runs/balancing.json",
    )
