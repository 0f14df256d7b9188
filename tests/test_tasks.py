"""The table of tasks and what a user may give for it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mtl_tf import losses, metrics
from mtl_tf.tasks import TASKS, Task, as_tasks

SHAPE = (2, 6, 7)
SEGMENTATION = ("semseg", "human_parts")
OWN = Task("heat", 2, tf.identity, losses.L1, lambda c: [metrics.DepthMetrics()], "rmse", False)


def target(task, r):
    if task.name in SEGMENTATION:
        return r.integers(0, task.channels, (*SHAPE, 1))
    if task.name == "normals":
        vectors = r.standard_normal((*SHAPE, 3)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    if task.name == "depth":
        return r.uniform(1, 9, (*SHAPE, 1)).astype(np.float32)
    return r.integers(0, 2, (*SHAPE, task.channels)).astype(np.float32)


def given(channels):
    """Every task, segmentation also with a number of classes of the user's own."""
    return [
        as_tasks({name: channels})[0] if name in SEGMENTATION else task
        for name, task in TASKS.items()
    ]


@pytest.mark.parametrize(
    "task", [*TASKS.values(), *given(3)], ids=lambda task: f"{task.name}-{task.channels}"
)
def test_loss_metrics_and_activation_run_on_the_channels(task):
    r = np.random.default_rng(0)
    y_true, y_pred = target(task, r), r.standard_normal((*SHAPE, task.channels), np.float32)
    mask = (r.random(SHAPE) < 0.7).astype(np.float32)
    assert float(task.loss()(y_true, y_pred, mask)) > 0
    results = {}
    for metric in task.metrics(task.channels):
        metric.update_state(y_true, y_pred, mask)
        results |= {key: float(value) for key, value in metric.result().items()}
    assert task.main_metric in results
    assert np.all(np.isfinite(list(results.values())))
    assert task.activation(tf.constant(y_pred)).shape == y_pred.shape


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_main_metric_and_direction_are_those_of_delta_m(task):
    assert TASKS[task.name] is task
    assert task.main_metric == metrics.MAIN_METRICS[task.name]
    assert task.higher_is_better == metrics.HIGHER_IS_BETTER[task.name][task.main_metric]


def test_table_has_every_task_of_delta_m():
    assert set(TASKS) == set(metrics.MAIN_METRICS) == set(metrics.HIGHER_IS_BETTER)


def test_channels_and_directions_of_the_survey():
    assert {name: task.channels for name, task in TASKS.items()} == {
        "semseg": 40,
        "human_parts": 7,
        "saliency": 1,
        "normals": 3,
        "edges": 1,
        "depth": 1,
        "keypoints": 1,
        "principal_curvature": 2,
    }
    lower = {name for name, task in TASKS.items() if not task.higher_is_better}
    assert lower == {"depth", "normals", "keypoints", "principal_curvature"}


def test_losses_and_metrics_of_the_survey():
    assert TASKS["edges"].loss().positive_weight == 0.95
    assert TASKS["saliency"].loss().positive_weight is None
    assert TASKS["human_parts"].metrics(7)[0].skip_background_images
    assert not TASKS["semseg"].metrics(40)[0].skip_background_images


def test_activations():
    raw = tf.constant(np.random.default_rng(0).standard_normal((*SHAPE, 3)), tf.float32)
    activated = {name: task.activation(raw).numpy() for name, task in TASKS.items()}
    for name in SEGMENTATION:
        np.testing.assert_allclose(activated[name], tf.nn.softmax(raw), rtol=1e-6)
    for name in ("edges", "saliency"):
        np.testing.assert_allclose(activated[name], 1 / (1 + np.exp(-raw)), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(activated["normals"], axis=-1), 1, rtol=1e-5)
    assert np.all(np.sum(activated["normals"] * raw, axis=-1) > 0)
    np.testing.assert_array_equal(activated["depth"], raw)


def test_each_call_makes_new_metrics():
    for task in TASKS.values():
        assert task.metrics(task.channels)[0] is not task.metrics(task.channels)[0]


def test_as_tasks_takes_channels_by_name_in_the_order_given():
    tasks = as_tasks({"normals": 3, "semseg": 13})
    assert [(task.name, task.channels) for task in tasks] == [("normals", 3), ("semseg", 13)]
    assert tasks[1] == dataclasses.replace(TASKS["semseg"], channels=13)
    assert TASKS["semseg"].channels == 40


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_as_tasks_takes_names_and_task_objects(kind):
    assert as_tasks(kind(["depth", OWN, "semseg"])) == (TASKS["depth"], OWN, TASKS["semseg"])


def test_as_tasks_of_its_result_is_the_same():
    tasks = as_tasks({"semseg": 13, "depth": 1})
    assert as_tasks(tasks) == tasks


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"flow": 2}, "Unknown task 'flow'"),
        (["semseg", "flow"], "Unknown task 'flow'"),
        ({"semseg": 0}, "Received: 0"),
        ({"depth": -1}, "Received: -1"),
        ({}, "at least one task"),
        ([], "at least one task"),
        (["depth", "depth"], r"once.*\['depth', 'depth'\]"),
        ([OWN, OWN], "once"),
        ([dataclasses.replace(OWN, channels=0)], "Received: 0"),
    ],
)
def test_as_tasks_refuses(tasks, message):
    with pytest.raises(ValueError, match=message):
        as_tasks(tasks)
