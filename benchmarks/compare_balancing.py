"""All balancing methods on real images: losses, conflicts, step time and memory side by side.

What is compared: every method of `mtl.balancing.TABLE` trains `shared_trunk` with ResNet-18 from
the same seed for the same steps on NYU Depth v2 (`quick` preset, batch 4). It is a look at how the
methods differ, not a verdict: a hundred steps decide nothing about the end of a training.

    MTL_TF_DATA=... python -m benchmarks.compare_balancing --out runs/balancing.json

Each method runs in a process of its own. Memory is the peak of that process above its size before
the first step. Step time is the lower quartile of a method's own steps, so that other load on the
machine counts little. Conflicts are the share of task pairs with negative inner products, over all
steps (for scalarizers over five batches, so that they are timed without diagnostics).
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

_EPOCHS = 5  # DWA and STCH think in epochs: 100 steps are five short ones


def trainer_of(method: str, level: str, config: Any, tasks: dict[str, int], **options: Any) -> Any:
    import keras

    import mtl_tf as mtl

    keras.utils.set_random_seed(config.seed)
    model = mtl.architectures.SharedTrunk(
        config.backbone, tasks, (config.height, config.width, 3), head=config.head,
        output_stride=config.output_stride,
    )  # fmt: skip
    made = mtl.MultiTaskTrainer(model, tasks)
    balancing: Any = mtl.balancing.get(method)
    if method == "stch":
        balancing = mtl.balancing.STCH(warmup_epochs=1)
    made.compile(
        keras.optimizers.Adam(config.learning_rate), balancing, level=level,
        loss_weights=dict(config.loss_weights), metrics={task: [] for task in tasks}, **options,
    )  # fmt: skip
    return made


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_one(method: str, level: str, steps: int) -> dict[str, Any]:
    import tensorflow as tf

    import mtl_tf as mtl
    from mtl_tf.experiments.config import make_config
    from mtl_tf.experiments.run import load_data

    root = pathlib.Path(os.environ["MTL_TF_DATA"]) / "nyud"
    config = make_config("quick", root=root, batch_size=4)
    dataset = load_data(config)
    batches = list(dataset.train().take(steps))

    # Weightings have the Gramian at hand; for scalarizers five batches are looked at apart.
    is_scalarizer = mtl.balancing.TABLE[method].kind == "scalarizer"
    before = peak_mib()
    made = trainer_of(method, level, config, dataset.tasks, diagnostics=not is_scalarizer)
    step = tf.function(made.train_step)
    part = steps // _EPOCHS
    sums: dict[str, float] = {"conflicts": 0.0, "fallbacks": 0.0, "unsolved": 0.0}
    times, memory = [], 0.0
    for i, batch in enumerate(batches):
        if i and i % part == 0:
            made.balancing.end_epoch()
            for metric in made.metrics:
                metric.reset_state()
        begun = time.perf_counter()
        logs = {name: float(value) for name, value in step(batch).items()}
        times.append(time.perf_counter() - begun)
        if i == 2:
            memory = peak_mib() - before
        if (i + 1) % part == 0:
            for name in sums:
                sums[name] += logs.get(name, 0.0)
            if is_scalarizer:
                sums["conflicts"] += share_of_conflicts(made, batch)
    return {
        "method": method,
        "level": level,
        "losses": {task: logs[f"{task}_loss"] for task in dataset.tasks},
        "weights": {task: logs.get(f"{task}_weight") for task in dataset.tasks},
        "conflicts": sums["conflicts"] / _EPOCHS,
        "fallbacks": sums["fallbacks"],
        "unsolved": sums["unsolved"],
        "step_ms": 1000 * statistics.quantiles(times[1:])[0],
        "memory_mib": memory,
    }


def share_of_conflicts(made: Any, batch: Any) -> float:
    """The share of task pairs whose gradients of the shared variables conflict on a batch."""
    import itertools

    import tensorflow as tf

    import mtl_tf as mtl

    image, targets, masks = batch
    losses = {task.name: task.loss() for task in made.tasks}
    shared = [v.value for v in made.model.trainable_variables if "decoders" not in v.path]
    rows = []
    with tf.GradientTape(persistent=True) as tape:
        outputs = made.model(image, training=False)
        terms = [losses[t](targets[t], outputs[t], masks[t]) for t in losses]
    rows = [tape.gradient(term, shared) for term in terms]
    gramian = mtl.ops.gramian(rows).numpy()
    pairs = list(itertools.combinations(range(len(rows)), 2))
    return sum(gramian[pair] < 0 for pair in pairs) / len(pairs)


def as_markdown(rows: list[dict[str, Any]]) -> str:
    tasks = list(rows[0]["losses"])
    heads = ["method", *tasks, "conflicts", "step, ms", "memory, MiB"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        name = row["method"] + (" (features)" if row["level"] == "features" else "")
        losses = [f"{row['losses'][task]:.3f}" for task in tasks]
        cells = [name, *losses, f"{100 * row['conflicts']:.0f} %", f"{row['step_ms']:.0f}",
                 f"{row['memory_mib']:.0f}"]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/balancing.json"))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--methods", nargs="*", help="name or name:features; all by default")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        method, _, level = arguments.one.partition(":")
        result = run_one(method, level or "parameters", arguments.steps)
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        return
    import mtl_tf as mtl

    rows = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    done = {f"{row['method']}:{row['level']}" for row in rows}
    for name in arguments.methods or mtl.balancing.TABLE:
        case = name if ":" in name else f"{name}:parameters"
        if case in done:
            continue
        command = [sys.executable, "-m", "benchmarks.compare_balancing", "--one", case]
        command += ["--steps", str(arguments.steps)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.splitlines()[-1]))
        print(f"{case}: {rows[-1]}", flush=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(rows, indent=1))
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
