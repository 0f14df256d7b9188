"""The three real packs train one network together, each with labels for some of its tasks."""

import pathlib

import keras
import numpy as np
import pytest

import mtl_tf as mtl


@pytest.mark.slow
def test_200_steps_with_missing_labels(data_root: pathlib.Path) -> None:
    options = {"input_shape": (96, 128, 3), "augmentation": mtl.data.Augmentation(zoom=(1.0,))}
    parts = [
        mtl.data.NYUDv2(data_root / "nyud", **options),
        mtl.data.BsdsSod(data_root / "bsds-sod", **options),
        mtl.data.ClothingCoParsing(data_root / "ccp", **options),
    ]
    data = mtl.data.union(parts, batch_size=4, cache=True)
    keras.utils.set_random_seed(0)
    model = mtl.architectures.SharedTrunk(
        "resnet18", data.tasks, data.input_shape, head="conv", output_stride=32
    )
    trainer = mtl.MultiTaskTrainer(model, data.tasks)
    trainer.compile(
        keras.optimizers.Adam(5e-4), balancing="uncertainty", metrics={t: [] for t in data.tasks}
    )
    history = trainer.fit(data.train(), epochs=4, steps_per_epoch=50, verbose=0).history
    assert history["not_finite"] == [0.0] * 4
    for task in data.tasks:
        losses = history[f"{task}_loss"]
        assert np.isfinite(losses).all() and losses[-1] < losses[0], (task, losses)
