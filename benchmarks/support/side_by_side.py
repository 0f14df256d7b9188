"""Networks trained side by side on real images: one process each, results kept as they come.

Claim: none of its own. Command: imported by `compare_balancing.py` and `compare_architectures.py`.
False if: two runs of a case from the same seed differ in their losses.
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
from collections.abc import Callable, Iterable
from typing import Any

Result = dict[str, Any]


def nyud(steps: int) -> tuple[Any, Any, list[Any]]:
    """Return the quick preset with batches of 4, its data set, and its first batches."""
    from mtl_tf.experiments.config import make_config
    from mtl_tf.experiments.from_config import load_data

    root = pathlib.Path(os.environ["MTL_TF_DATA"]) / "nyud"
    config = make_config("quick", root=root, batch_size=4)
    dataset = load_data(config)
    return config, dataset, list(dataset.train().take(steps))


def peak_mib() -> float:
    """Return the largest size this process has had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(trainer: Any, batches: list[Any], after_step: Callable[..., None]) -> Result:
    """Trains on the batches; `after_step(index, logs)` is called after every step.

    Step time is the lower quartile of the steps, so that other load on the machine counts little;
    memory is the peak of the process above its size before the first step.
    """
    import tensorflow as tf

    before, memory = peak_mib(), 0.0
    step = tf.function(trainer.train_step, autograph=False)
    times, logs = [], {}
    for i, batch in enumerate(batches):
        begun = time.perf_counter()
        logs = {name: float(value) for name, value in step(batch).items()}
        times.append(time.perf_counter() - begun)
        if i == 2:
            memory = peak_mib() - before
        after_step(i, logs)
    step_ms = 1000 * statistics.quantiles(times[1:])[0]
    return {"logs": logs, "step_ms": step_ms, "memory_mib": memory}


def as_markdown(header: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main(
    module: str,
    cases: list[str],
    run_one: Callable[[str, int], Result],
    print_table: Callable[[list[Result]], str],
    out: str,
) -> None:
    """Run the cases that `--out` does not hold yet, and print the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(out))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--cases", nargs="*", help="all by default")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write("\n" + json.dumps(run_one(arguments.one, arguments.steps)) + "\n")
        return
    rows = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    for case in arguments.cases or cases:
        if case in {row["case"] for row in rows}:
            continue
        command = [sys.executable, "-m", module, "--one", case, "--steps", str(arguments.steps)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append({"case": case, **json.loads(output.splitlines()[-1])})
        print(rows[-1], flush=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = arguments.out.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(rows, indent=1))
        unfinished.replace(arguments.out)
    print(print_table(rows))
