"""All balancing methods on real images: losses, conflicts, step time and memory side by side.

What is compared: every method of `mtl.balancing.TABLE` trains `shared_trunk` with ResNet-18 from
the same seed for the same steps on NYU Depth v2 (`quick` preset, batch 4). It is a look at how the
methods differ, not a verdict: a hundred steps decide nothing about the end of a training.

    MTL_TF_DATA=... python -m benchmarks.compare_balancing --out runs/balancing.json

Each method runs in a process of its own. Memory is the peak of that process above its size before
the first step. Step time is the lower quartile of a method's own steps, so that other load on the
machine counts little; scalarizers are timed as users train them, without diagnostics.
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

    def timed_steps(made: Any, part: list[Any]) -> list[float]:
        step = tf.function(made.train_step)
        seconds = []
        for batch in part:
            begun = time.perf_counter()
            step(batch)["loss"].numpy()
            seconds.append(time.perf_counter() - begun)
        return seconds[1:]

    times: list[float] = []
    before = peak_mib()
    if mtl.balancing.TABLE[method].kind == "scalarizer":
        times = timed_steps(trainer_of(method, level, config, dataset.tasks), batches[:12])
        memory = peak_mib() - before
    made = trainer_of(method, level, config, dataset.tasks, diagnostics=True)
    step = tf.function(made.train_step)
    sums, own_times = {}, []
    for i, batch in enumerate(batches):
        if i % (steps // _EPOCHS) == 0:
            if i:
                made.balancing.end_epoch()
            for metric in made.metrics:
                metric.reset_state()
        begun = time.perf_counter()
        logs = {name: float(value) for name, value in step(batch).items()}
        own_times.append(time.perf_counter() - begun)
        for name in ("conflicts", "fallbacks", "unsolved"):
            if (i + 1) % (steps // _EPOCHS) == 0:
                sums[name] = sums.get(name, 0.0) + logs.get(name, 0.0)
    if not times:
        times, memory = own_times[1:], peak_mib() - before
    return {
        "method": method,
        "level": level,
        "losses": {task: logs[f"{task}_loss"] for task in dataset.tasks},
        "weights": {task: logs.get(f"{task}_weight") for task in dataset.tasks},
        "conflicts": sums["conflicts"] / _EPOCHS,
        "fallbacks": sums["fallbacks"],
        "unsolved": sums["unsolved"],
        "step_ms": 1000 * statistics.quantiles(times)[0],
        "memory_mib": memory,
    }


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
