"""Metrics as users give them: of valid pixels alone, or refused by name."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import batch, tiny_model

SIZE = (8, 8)
CHANNELS = {"depth": 1, "semseg": 5, "saliency": 1, "normals": 3, "edges": 1}


def trainer(task, metrics, **options):
    keras.utils.set_random_seed(0)
    made = mtl.MultiTaskTrainer(tiny_model((task,), *SIZE), {task: CHANNELS[task]})
    options.setdefault("run_eagerly", True)
    made.compile("sgd", metrics={task: metrics}, **options)
    return made


def data(task):
    """Two batches with unlike numbers of valid pixels; NaN where invalid, if numbers allow it."""
    image, targets, _ = batch({task: CHANNELS[task]}, 4, *SIZE)
    valid = np.random.default_rng(0).random((4, *SIZE)) < np.array([0.2, 0.9, 1, 0])[:, None, None]
    if targets[task].dtype == np.float32:
        targets[task][~valid] = np.nan
    return image, targets, {task: valid}


def of_valid(made, task, function):
    image, targets, masks = data(task)
    outputs = made.predict(image, verbose=0)[task]
    valid = masks[task]
    return float(np.mean(function(targets[task][valid], outputs[valid])))


def logged(made, task, with_fit=False):
    image, targets, masks = data(task)
    options = {"sample_weight": masks, "batch_size": 2, "verbose": 0}
    if with_fit:
        return {
            k: v[0] for k, v in made.fit(image, targets, shuffle=False, **options).history.items()
        }
    return made.evaluate(image, targets, return_dict=True, **options)


def share_right(t, p):
    return t[:, 0] == p.argmax(-1)


def share_of_sign(t, p):
    return (t > 0.5) == (p > 0)


ACCURACIES = [("semseg", share_right), ("saliency", share_of_sign), ("edges", share_of_sign)]


@pytest.mark.parametrize("word", ["accuracy", "acc"])
@pytest.mark.parametrize(("task", "function"), ACCURACIES)
def test_accuracy_is_the_share_of_right_valid_pixels(word, task, function):
    for metrics in (word, [word]):
        made = trainer(task, metrics)
        expected = of_valid(made, task, function)
        assert 0 < expected < 1
        assert logged(made, task)[f"{task}_{word}"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", ["depth", "normals"])
@pytest.mark.parametrize("word", ["accuracy", "acc"])
def test_accuracy_of_numbers_is_refused(task, word):
    with pytest.raises(ValueError, match=f"Task '{task}' .* has no accuracy: .*MeanAbsoluteError"):
        trainer(task, [word])


def function_of_pixels(y_true, y_pred):
    return tf.abs(y_true - y_pred)[..., 0]


def function_of_all(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_true - y_pred))


def function_of_images(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_true - y_pred), axis=(1, 2, 3))


@pytest.mark.parametrize(
    "metric",
    [
        "mae",
        "MeanAbsoluteError",
        keras.metrics.MeanAbsoluteError(name="m"),
        keras.metrics.MeanAbsoluteError,
        function_of_pixels,
        function_of_all,
        function_of_images,
        functools.partial(function_of_pixels),
        lambda t, p: tf.abs(t - p),
        keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error, name="m"),
    ],
)
@pytest.mark.parametrize("with_fit", [False, True])
def test_every_form_of_an_error_is_of_valid_pixels(metric, with_fit):
    fresh = metric
    if isinstance(metric, keras.metrics.Metric):
        fresh = type(metric).from_config(metric.get_config())
    made = trainer("depth", [fresh])
    made.optimizer.learning_rate = 0.0
    expected = of_valid(made, "depth", lambda t, p: np.abs(t - p))
    names = {m.name for m in made.metrics}
    logs = logged(made, "depth", with_fit)
    (name,) = [
        n
        for n in logs
        if n.startswith("depth_")
        and n.removeprefix("depth_") in names
        and n not in ("depth_loss", "depth_weight")
    ]
    assert logs[name] == pytest.approx(expected, rel=1e-5)


def test_a_metric_of_two_results_of_ones_own():
    class Both(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="both")
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            weights = 1.0 if sample_weight is None else tf.cast(sample_weight, tf.float32)
            self.total.assign_add(tf.reduce_sum(tf.abs(y_true - y_pred)[..., 0] * weights))

        def result(self):
            return {"first": self.total, "second": 2 * self.total}

    logs = logged(trainer("depth", [Both()]), "depth")
    assert np.isfinite(logs["depth_first"])


def mean_iou(t, p, classes=5):
    found = []
    for i in range(classes):
        a, b = t[:, 0] == i, p.argmax(-1) == i
        found.append((a & b).sum() / max((a | b).sum(), 1))
    return np.mean(found)


def test_mean_iou_of_keras_without_a_warning():
    made = trainer("semseg", [keras.metrics.MeanIoU(5, name="m", sparse_y_pred=False)])
    logs = logged(made, "semseg")
    assert logs["semseg_m"] == pytest.approx(of_valid(made, "semseg", mean_iou), rel=1e-5)
    one = trainer("semseg", keras.metrics.IoU(5, [0, 2], name="m", sparse_y_pred=False))
    assert 0 <= logged(one, "semseg")["semseg_m"] <= 1


@pytest.mark.parametrize(
    ("metric", "remedy"),
    [
        (lambda: keras.metrics.MeanIoU(5), "sparse_y_pred=False"),
        (lambda: keras.metrics.IoU(5, [0]), "sparse_y_pred=False"),
        (lambda: keras.metrics.OneHotMeanIoU(5), "Sparse"),
        (lambda: keras.metrics.OneHotIoU(5, [0]), "Sparse"),
        (lambda: "categorical_accuracy", "SparseCategoricalAccuracy"),
        (lambda: keras.metrics.TopKCategoricalAccuracy(2), "SparseCategoricalAccuracy"),
    ],
)
def test_what_makes_nonsense_of_class_ids_is_refused(metric, remedy):
    with pytest.raises(ValueError, match=rf"'semseg' does not fit class ids.*{remedy}"):
        trainer("semseg", [metric()])


@pytest.mark.parametrize(
    ("task", "metric", "message"),
    [
        ("semseg", lambda: keras.metrics.F1Score(), r"\(F1Score\) of task 'semseg' fails"),
        ("depth", lambda: keras.metrics.R2Score(), r"\(R2Score\) of task 'depth' fails"),
        ("saliency", lambda: keras.metrics.AUC(), "of task 'saliency' takes .*from_logits"),
        ("saliency", lambda: keras.metrics.BinaryCrossentropy(), "probabilities"),
        ("semseg", lambda: keras.metrics.SparseCategoricalCrossentropy(), "probabilities"),
        ("depth", lambda: lambda t, p: t[:, 1:] - p, "metric of task 'depth', <lambda>, fails"),
        (
            "depth",
            lambda: lambda t, p: 1 - tf.image.ssim(t, p, 9.0, filter_size=3),
            "metric of task 'depth', <lambda>, looks at the neighbours",
        ),
    ],
)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_metrics_that_fail_are_named(task, metric, message, run_eagerly):
    made = trainer(task, [metric()], run_eagerly=run_eagerly)
    with pytest.raises(ValueError, match=message):
        logged(made, task)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("acuracy", "metrics of task 'depth' must be .*'acuracy'"),
        (keras.metrics.MeanIoU, "metrics of task 'depth' must be .*num_classes"),
        (7, "metrics of task 'depth' must be"),
        ([["mae"]], "metrics of task 'depth' must be"),
    ],
)
def test_what_is_no_metric_is_refused_when_compiling(metric, message):
    with pytest.raises(ValueError, match=message):
        trainer("depth", metric)


@pytest.mark.parametrize("none", [None, [], ()])
def test_no_metrics(none):
    assert set(logged(trainer("depth", none), "depth")) == {"loss", "depth_loss"}


def test_one_object_for_two_tasks_is_refused():
    made = mtl.MultiTaskTrainer(tiny_model(), {"depth": 1, "normals": 3})
    metric = keras.metrics.MeanAbsoluteError()
    with pytest.raises(ValueError, match="of task 'normals' is also that of 'depth'"):
        made.compile("sgd", metrics={"depth": metric, "normals": [metric]})


def scene():
    image = keras.Input((*SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    outputs = {
        "scene": keras.layers.Dense(4)(x),
        "age": keras.layers.Dense(1)(x),
        "fire": keras.layers.Dense(1)(x),
    }
    tasks = [
        mtl.Task(
            "scene",
            4,
            tf.nn.softmax,
            mtl.losses.SegmentationCrossEntropy,
            lambda c: [mtl.metrics.SegmentationMetrics(c, True)],
            "miou",
            True,
        ),
        mtl.Task(
            "age",
            1,
            tf.identity,
            mtl.losses.L1,
            lambda c: [mtl.metrics.RegressionMetrics(c)],
            "rmse",
            False,
        ),
        mtl.Task(
            "fire",
            1,
            tf.sigmoid,
            mtl.losses.BalancedBinaryCrossEntropy,
            lambda c: [mtl.metrics.SaliencyMetrics()],
            "miou",
            True,
        ),
    ]
    return mtl.MultiTaskTrainer(keras.Model(image, outputs), tasks)


@pytest.mark.parametrize(
    "metrics",
    [
        None,
        {"scene": "accuracy", "age": "mae", "fire": "acc"},
        {
            "scene": keras.metrics.SparseTopKCategoricalAccuracy(2),
            "age": [function_of_pixels],
            "fire": keras.metrics.AUC(from_logits=True),
        },
        {
            "scene": [lambda t, p: p[:, 0]],
            "age": keras.metrics.R2Score(),
            "fire": keras.metrics.F1Score(threshold=0.5),
        },
    ],
)
def test_metrics_of_whole_images(metrics):
    made = scene()
    made.compile("sgd", metrics=metrics, run_eagerly=True)
    r = np.random.default_rng(0)
    image = r.normal(size=(6, *SIZE, 3)).astype(np.float32)
    targets = {"scene": r.integers(0, 4, 6), "age": r.normal(size=6), "fire": r.integers(0, 2, 6)}
    masks = {task: np.array([1, 1, 0, 1, 1, 1]) for task in targets}
    logs = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
    made.fit(image, targets, sample_weight=masks, verbose=0)
    assert len(logs) == 7
    assert all(np.isfinite(np.mean(value)) for value in logs.values())
    if metrics and metrics["scene"] == "accuracy":
        outputs = made.predict(image, verbose=0)
        again = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
        valid = masks["scene"] > 0
        hits = outputs["scene"].argmax(-1) == targets["scene"]
        assert again["scene_accuracy"] == pytest.approx(hits[valid].mean())
        error = np.abs(outputs["age"][:, 0] - targets["age"])
        assert again["age_mean_absolute_error"] == pytest.approx(error[valid].mean(), rel=1e-5)


def test_edges_have_no_place_in_a_whole_image():
    metric = mtl.metrics.EdgeMetrics()
    with pytest.raises(ValueError, match=r"needs maps \[B, H, W, 1\]"):
        metric.update_state(np.ones((2, 1)), np.ones((2, 1)))
