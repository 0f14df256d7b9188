"""Claim: the trainer waits for data less than 5 % of the time.

Command: `make bench`, or `pytest benchmarks/test_pipeline.py --benchmark-enable --no-cov`.
False if: the printed share is above 0.05 for the `quick` preset on NYU Depth v2 (needs
MTL_TF_DATA) or the `demo` preset on rendered rooms, from the second epoch on.
"""

import os
import pathlib
import time

import pytest

from mtl_tf import experiments
from mtl_tf.experiments.run import build_trainer

STEPS = 30


def waiting_share(config):
    """Share of the time of `STEPS` training steps spent waiting for the next batch."""
    dataset = experiments.load_data(config)
    train = dataset.train()
    trainer = build_trainer(config, dataset.tasks, int(train.cardinality()))
    *_, batch = train  # the first epoch fills the cache
    trainer.make_train_function()
    step = trainer.train_function
    step(iter([batch]))
    iterator = iter(train)
    waited = 0.0
    begin = time.perf_counter()
    for _ in range(STEPS):
        before = time.perf_counter()
        batch = next(iterator)
        waited += time.perf_counter() - before
        step(iter([batch]))
    return waited / (time.perf_counter() - begin)


@pytest.mark.parametrize("preset", ["demo", "quick"])
def test_share_of_time_spent_waiting(benchmark, preset):
    values = {}
    if preset == "quick":
        root = pathlib.Path(os.environ.get("MTL_TF_DATA") or "../shared/data") / "nyud"
        if not root.is_dir():
            pytest.skip("MTL_TF_DATA names no folder with nyud/")
        values["root"] = root
    else:
        values["train_size"] = 256
    share = benchmark.pedantic(
        waiting_share, args=[experiments.make_config(preset, **values)], rounds=1
    )
    benchmark.extra_info["share"] = share
    print(f"\n{preset}: {100 * share:.1f} % of the time spent waiting for data")
    assert share < 0.05
