"""Claims: the trainer waits for data less than 5 % of the time, and data come at twice its pace.

Command: `make bench`, or `pytest benchmarks/test_pipeline.py --benchmark-enable -s`.
False if: the printed share is above 0.05 for the `quick` preset on NYU Depth v2 (needs
MTL_TF_DATA) or the `demo` preset on rendered rooms, from the second epoch on; or the pipeline of
the `quick` preset, which keeps nothing in memory, gives less than twice as many images a second
with two threads as a training step takes with two threads.
"""

import dataclasses
import os
import pathlib
import time

import numpy as np
import pytest

import mtl_tf as mtl
from benchmarks.support.workload import Bars
from mtl_tf import experiments
from mtl_tf.data.transforms import augment, normalise
from mtl_tf.experiments.from_config import build_trainer

STEPS = 30
IMAGES = 160


def configuration(preset):
    if preset == "demo":
        return experiments.make_config(preset, train_size=256)
    root = pathlib.Path(os.environ.get("MTL_TF_DATA") or "../shared/data") / "nyud"
    if not root.is_dir():
        pytest.skip("MTL_TF_DATA names no folder with nyud/")
    return experiments.make_config(preset, root=root)


def stepper(config, dataset):
    """Return a training step as a function of a batch."""
    train = dataset.train()
    trainer = build_trainer(config, dataset.tasks, int(train.cardinality()))
    trainer.make_train_function()
    return lambda batch: trainer.train_function(iter([batch]))


def waiting_share(config):
    """Share of the time of `STEPS` training steps spent waiting for the next batch."""
    dataset = experiments.load_data(config)
    train = dataset.train()
    *_, batch = train  # the first epoch fills the cache
    step = stepper(config, dataset)
    step(batch)
    iterator = iter(train)
    waited = 0.0
    begin = time.perf_counter()
    for _ in range(STEPS):
        before = time.perf_counter()
        batch = next(iterator)
        waited += time.perf_counter() - before
        step(batch)
    return waited / (time.perf_counter() - begin)


@pytest.mark.parametrize("preset", ["demo", "quick"])
def test_share_of_time_spent_waiting(benchmark, preset):
    config = configuration(preset)
    share = benchmark.pedantic(waiting_share, args=[config], rounds=1)
    benchmark.extra_info["share"] = share
    print(f"\n{preset}: {100 * share:.1f} % of the time spent waiting for data")
    assert share < 0.05


def images_a_second(dataset):
    """Of a whole epoch's first images, through `tf.data` with the data set's threads."""
    batches = IMAGES // dataset.options.batch_size
    begin = time.perf_counter()
    for _ in dataset.train().take(batches):
        pass
    return batches * dataset.options.batch_size / (time.perf_counter() - begin)


def milliseconds_by_stage(dataset):
    """Of one image in one thread: what it takes to load each of its files, and the rest."""
    ids = dataset.ids("train")[:40]
    found = {}

    def measure(name, call):
        begin = time.perf_counter()
        results = [call(i) for i in ids]
        found[name] = 1000 * (time.perf_counter() - begin) / len(ids)
        return results

    measure("photograph", lambda i: mtl.data.files.read_image(dataset.paths(i)["image"]))
    for task in dataset.tasks:
        measure(task, lambda i, task=task: dataset.layout.load(i, [task]))
        found[task] -= found["photograph"]
    samples = dict(zip(ids, measure("loading", dataset.load), strict=True))
    height, width, _ = dataset.input_shape
    generator = np.random.default_rng(0)
    options = dataset.options.augmentation
    augmented = dict(
        zip(
            ids,
            measure(
                "augmentation", lambda i: augment(samples[i], height, width, options, generator)
            ),
            strict=True,
        )
    )
    measure("normalisation", lambda i: normalise(augmented[i].image))
    return found


def test_rate_of_decoding_and_augmenting(benchmark):
    config = configuration("quick")
    dataset = experiments.load_data(config)
    dataset.options = dataclasses.replace(dataset.options, cache=False)
    step = stepper(config, dataset)
    batch = next(iter(dataset.train()))
    step(batch)
    given, taken = [], []
    for _ in range(3):
        given.append(images_a_second(dataset))
        begin = time.perf_counter()
        for _ in range(10):
            step(batch)
        taken.append(10 * dataset.options.batch_size / (time.perf_counter() - begin))
    stages = benchmark.pedantic(milliseconds_by_stage, args=[dataset], rounds=1)
    bars = Bars(benchmark, "quick preset, NYU Depth v2, two threads")
    bars.at_least("over training", float(np.median(np.array(given) / np.array(taken))), 2)
    bars.note("images a second given", float(np.median(given)))
    bars.note("images a second taken", float(np.median(taken)))
    for name, value in stages.items():
        bars.note(f"{name}, ms", value)
    bars.settle()
