"""Diagnostics: the CSV of single steps, and that nothing of it is there when it is off."""

import csv

import pytest

import mtl_tf as mtl
from tests.helpers.inputs import tiny_batch, tiny_trainer


def fit(made, path, epochs=2, begin=0):
    image, targets, masks = tiny_batch(size=8)
    callback = mtl.training.GradientDiagnostics(path, every=2)
    return made.fit(
        image,
        targets,
        sample_weight=masks,
        batch_size=2,
        epochs=epochs,
        initial_epoch=begin,
        verbose=0,
        callbacks=[callback],
    ).history


def test_every_second_step_is_a_row_and_a_resumed_run_goes_on(tmp_path):
    path = tmp_path / "diagnostics" / "gradients.csv"
    made = tiny_trainer("pcgrad", diagnostics=True)
    history = fit(made, path)
    fit(made, path, epochs=3, begin=2)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["step"]) for row in rows] == [
        (str(epoch), str(step)) for epoch in range(3) for step in (0, 2)
    ]
    cosine = [float(row["depth_normals_cosine"]) for row in rows[:2]]
    assert all(-1.0 <= value <= 1.0 for value in cosine)
    for row in rows:
        conflicts = float(row["conflicts"])
        assert conflicts == float(float(row["depth_normals_cosine"]) < 0)
        assert float(row["depth_weight"]) >= 1.0  # PCGrad adds what it projects away
    assert {"conflicts", "depth_gradient_norm", "depth_normals_cosine"} <= set(history)


def test_without_diagnostics_there_is_nothing(tmp_path):
    made = tiny_trainer("pcgrad")
    assert made.last_gradients() == {}
    with pytest.raises(ValueError, match="diagnostics=True"):
        fit(made, tmp_path / "gradients.csv")
    with pytest.raises(ValueError, match="every"):
        mtl.training.GradientDiagnostics(tmp_path / "gradients.csv", every=0)


def test_an_aggregator_has_no_weights_to_report():
    made = tiny_trainer("graddrop", diagnostics=True)
    made.train_step(tiny_batch())
    assert made.last_gradients()["depth_weight"] == 0.0
    assert made.last_gradients()["depth_gradient_norm"] > 0.0


def test_a_faulty_task_does_not_spoil_the_others():
    tasks = ("depth", "normals", "saliency")
    made = tiny_trainer("upgrad", tasks, diagnostics=True)
    made.network.get_layer("head_depth").bias.assign([float("inf")])
    logs = made.train_step(tiny_batch(tasks))
    assert logs["not_finite"] == 1.0
    assert -1.0 <= logs["normals_saliency_cosine"] <= 1.0
    assert logs["normals_saliency_cosine"] != 0.0
