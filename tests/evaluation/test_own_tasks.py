"""Evaluation, comparison, report and colours of tasks of one's own."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.evaluation import colourise, compare, evaluate, evaluate_images, trivial_baseline
from mtl_tf.evaluation.image_states import ImageStates
from mtl_tf.targets import TargetKind
from tests.helpers.own_tasks import (
    ALL,
    IMAGE_LEVEL,
    KINDS,
    MAPS,
    SIZE,
    TASKS,
    OwnData,
    network,
    sigmoid_of,
    target,
)


@pytest.fixture(scope="module")
def data():
    return OwnData()


@pytest.fixture(scope="module")
def states(data):
    keras.utils.set_random_seed(0)
    return [evaluate_images(network(), data.val(), ALL) for _ in range(2)]


@pytest.fixture(scope="module")
def baseline(data):
    plain = OwnData(augmentation=mtl.data.Augmentation(flip=False, zoom=(1.0,)))
    return trivial_baseline(plain.train(), data.val(), ALL, tuning=plain.train())


def raw_predictions(model, data):
    batches = list(data.val())
    outputs = [model(image, training=False) for image, _, _ in batches]
    return {
        task: [
            np.concatenate([np.asarray(x[task]) for x in part])
            for part in (outputs, [b[1] for b in batches], [b[2] for b in batches])
        ]
        for task in TASKS
    }


def test_results_are_what_one_would_compute_by_hand(data):
    keras.utils.set_random_seed(0)
    model = network()
    found = evaluate(model, data.val(), ALL)
    by_hand = raw_predictions(model, data)

    def mean(task, values):
        weights = by_hand[task][2]
        return float((values * weights).sum() / weights.sum())

    raw, truth = ({task: x[i] for task, x in by_hand.items()} for i in (0, 1))
    for task in ("heat", "flow"):
        error = np.abs(raw[task] - truth[task]).mean(-1)
        assert found[task]["mae"] == pytest.approx(mean(task, error), rel=1e-4)
        square = ((raw[task] - truth[task]) ** 2).mean(-1)
        assert found[task]["rms"] == pytest.approx(mean(task, square) ** 0.5, rel=1e-4)
    for task in ("lidar", "nyu/depth"):
        error = np.maximum(raw[task], 1e-9)[..., 0] - truth[task][..., 0]
        assert found[task]["rmse"] == pytest.approx(mean(task, error**2) ** 0.5, rel=1e-4)
    unit = raw["facing"] / np.maximum(np.linalg.norm(raw["facing"], axis=-1, keepdims=True), 1e-6)
    angle = np.degrees(np.arccos(np.clip((unit * truth["facing"]).sum(-1), -1, 1)))
    assert found["facing"]["mean"] == pytest.approx(mean("facing", angle), rel=1e-3)
    hit = (raw["road"] > 0) == (truth["road"] > 0.5)
    assert found["road"]["hits"] == pytest.approx(mean("road", hit[..., 0]), rel=1e-4)
    hit = raw["scene"].argmax(-1) == truth["scene"][..., 0]
    assert found["scene"]["share"] == pytest.approx(hit.mean(), rel=1e-4)
    error = np.abs(raw["pose"] - truth["pose"]).mean()
    assert found["pose"]["abs_error"] == pytest.approx(error, rel=1e-4)
    hit = raw["vehicle_parts"].argmax(-1) == truth["vehicle_parts"][..., 0]
    accuracy = found["vehicle_parts"]["pixel_accuracy"]
    assert accuracy == pytest.approx(mean("vehicle_parts", hit), rel=1e-4)
    assert 0 <= found["cracks"]["f"] <= 1


def test_results_of_single_images_survive_saving(states, tmp_path):
    states[0].save(tmp_path / "images.npz")
    with pytest.warns(UserWarning, match=r"activation 'sigmoid_of' of task '(cracks|road)'"):
        again = ImageStates.load(tmp_path / "images.npz")
    assert again.results() == states[0].results()
    assert list(again.tasks) == list(TASKS)
    for name, task in again.tasks.items():
        assert (task.kind, task.main_metric) == (KINDS[name], TASKS[name].main_metric)
        assert task.higher_is_better == TASKS[name].higher_is_better


def test_a_registered_activation_is_loaded_without_a_word(tmp_path, data):
    @keras.saving.register_keras_serializable(package="test_own_tasks")
    def twice(raw):
        return 2 * raw

    task = dataclasses.replace(TASKS["heat"], activation=twice)
    states = evaluate_images(network([task]), OwnData(["heat"]).val(), [task])
    states.save(tmp_path / "images.npz")
    assert ImageStates.load(tmp_path).tasks["heat"].activation is twice


def test_compare_knows_the_direction_of_own_metrics(states):
    rows = {(row.task, row.metric): row for row in compare(*states, num_resamples=20)}
    assert rows["lidar", "rmse"].higher_is_better is False
    assert rows["heat", "mae"].higher_is_better is False  # the task's main metric
    assert rows["heat", "rms"].higher_is_better is None  # nobody said
    assert rows["road", "hits"].higher_is_better is True
    better = rows["facing", "mean"]
    assert better.verdict in ("better", "worse", "same")
    if better.verdict != "same":
        assert (better.verdict == "better") == (better.first < better.second)
    assert ("all", "delta_m") not in rows  # a share of the second model is 0
    tasks = [TASKS[name] for name in ("heat", "lidar", "pose")]
    some = [dataclasses.replace(s, tasks={t.name: t for t in tasks}) for s in states]
    some = [dataclasses.replace(s, sums={t.name: s.sums[t.name] for t in tasks}) for s in some]
    changes = mtl.metrics.task_deltas(*(one.results() for one in some), tasks)
    row = compare(*some, num_resamples=20)[-1]
    assert (row.task, row.metric) == ("all", "delta_m")
    assert row.first == pytest.approx(np.mean(list(changes.values())))


def test_draws_without_a_right_answer_do_not_stop_compare():
    """A share of right images that is 0 in some draws has no relative change there."""
    task = TASKS["scene"]
    image = np.zeros((4, *SIZE, 3), np.float32)
    labels = {"scene": np.array([0, 1, 1, 1])}
    logits = tf.one_hot(tf.zeros(4, tf.int32), 4)
    model = lambda image, training: {"scene": logits}  # noqa: E731
    states = evaluate_images(model, [(image, labels)], [task])
    row = compare(states, states, num_resamples=50)[-1]
    assert (row.metric, row.first, row.low, row.high) == ("delta_m", 0, 0, 0)


def test_delta_m_counts_the_main_metric_of_each_task(states):
    ours, single = (one.results() for one in states)
    single["scene"] = {"share": 0.25}
    for task in ALL:
        gain = (ours[task.name][task.main_metric] - single[task.name][task.main_metric]) / (
            single[task.name][task.main_metric]
        )
        for definition in ("survey", "libmtl"):
            found = mtl.metrics.task_deltas(ours, single, [task], definition)[task.name]
            assert found == pytest.approx(gain if task.higher_is_better else -gain)
    with pytest.raises(ValueError, match=r"Unknown task 'heat'.*Pass the mtl_tf\.Task"):
        mtl.metrics.delta_m(ours, single, ["heat"])


def test_trivial_baseline_by_kind(baseline, data):
    assert set(baseline) == set(TASKS)
    train = np.stack([target("pose", i) for i in range(8)])
    test = np.stack([target("pose", i) for i in (100, 101, 102)])
    expected = np.abs(train.mean(0) - test).mean()
    assert baseline["pose"]["abs_error"] == pytest.approx(expected, rel=1e-4)
    labels = np.array([target("scene", i) for i in range(8)])
    most = np.bincount(labels, minlength=4).argmax()
    hits = np.mean([target("scene", i) == most for i in (100, 101, 102)])
    assert baseline["scene"]["share"] == pytest.approx(hits)
    lidar = np.stack([target("lidar", i) for i in range(8)])[:, 3:].mean(0)
    others = np.stack([target("lidar", i) for i in (100, 101, 102)])[:, 3:]
    expected = np.sqrt(np.mean((lidar - others) ** 2))
    assert baseline["lidar"]["rmse"] == pytest.approx(expected, rel=1e-4)


def test_the_baseline_leaves_invalid_numbers_and_missing_channels_out():
    """What a tf.data of one's own may hold: NaN where invalid, `[B, H, W]`, bool, no masks."""
    r = np.random.default_rng(0)
    depth = r.uniform(1, 5, (4, *SIZE)).astype(np.float32)
    valid = r.random((4, *SIZE)) < 0.7
    targets = {"lidar": np.where(valid, depth, np.nan), "scene": np.array([0, 1, 1, 3])}
    targets["vehicle_parts"] = r.integers(0, 5, (4, *SIZE))
    masks = {"lidar": valid, "scene": np.ones(4, bool), "vehicle_parts": None}
    tasks = [TASKS[name] for name in targets]
    image = np.zeros((4, *SIZE, 3), np.float32)
    found = trivial_baseline([(image, targets, masks)], [(image, targets, masks)], tasks)
    mean = np.nansum(targets["lidar"], 0) / np.maximum(valid.sum(0), 1)
    expected = np.sqrt(np.mean((mean - depth)[valid] ** 2))
    assert found["lidar"]["rmse"] == pytest.approx(expected, rel=1e-4)
    assert found["scene"]["share"] == 0.5
    labels = {"vehicle_parts": targets["vehicle_parts"]}
    one = trivial_baseline([(image, labels)], [(image, labels)], [TASKS["vehicle_parts"]])
    assert one["vehicle_parts"] == found["vehicle_parts"]


def test_report_of_own_tasks(states, baseline, tmp_path, data):
    image, targets, masks = next(iter(data.val()))
    outputs = network()(image)
    pictures = [
        {
            "image": mtl.data.denormalise(image[0]),
            **{
                key: {task: np.asarray(x[0]) for task, x in part.items()}
                for key, part in (("outputs", outputs), ("targets", targets), ("masks", masks))
            },
        }
    ]
    history = [{"loss": 2.0, "nyu/depth_loss": 1.0, "heat_loss": 1.0}, {"loss": 1.0}]
    summary = {
        "results": states[0].results(),
        "baseline": baseline,
        "history": history,
        "config": {"architecture": "own"},
        "environment": {"parameters": 7, "training_s": 1.0},
    }
    page = mtl.evaluation.write_report(tmp_path, summary, pictures, tasks=ALL).read_text()
    table = (tmp_path / "report.md").read_text()
    for task in TASKS:
        assert task in page
        assert f"| {task} |" in table
    assert "RMSE ↓" in table
    assert "hits ↑" in table
    assert json.loads((tmp_path / "results.json").read_text())["results"] == summary["results"]
    assert page.count("data:image/webp") == 2 + 3 * len(MAPS)  # whole images have no picture


@pytest.mark.parametrize("task", MAPS)
def test_colours_follow_the_kind(task):
    same = {
        TargetKind.DISTANCE: "depth",
        TargetKind.DIRECTION: "normals",
        TargetKind.BOUNDARY: "edges",
        TargetKind.BINARY: "saliency",
    }
    values = target(task, 1)
    values = values[..., None] if values.ndim == 2 else values
    picture = colourise(TASKS[task], values.astype(TASKS[task].kind.dtype))
    assert (picture.shape, picture.dtype) == ((*SIZE, 3), np.uint8)
    assert len(np.unique(picture)) > 1
    if KINDS[task] in same:
        known = colourise(same[KINDS[task]], values.astype(TASKS[task].kind.dtype))
        np.testing.assert_array_equal(picture, known)


def test_own_colours_and_what_has_none():
    red = dataclasses.replace(
        TASKS["heat"], colourise=lambda values: np.full((*values.shape[:2], 3), (255, 0, 0))
    )
    mask = np.ones(SIZE, bool)
    mask[0] = False
    picture = colourise(red, np.zeros((*SIZE, 1)), mask=mask)
    np.testing.assert_array_equal(picture[1, 1], [255, 0, 0])
    np.testing.assert_array_equal(picture[0], 0)
    for task in IMAGE_LEVEL:
        with pytest.raises(ValueError, match=rf"'{task}': only maps \[H, W, C\]"):
            colourise(TASKS[task], np.zeros(TASKS[task].channels))


# === Entrances of evaluate ===


def batch_of(task, **changes):
    image = np.zeros((2, *SIZE, 3), np.float32)
    values = np.stack([target(task, i) for i in (0, 1)])
    values = changes.get("target", lambda x: x)(values)
    size = (2,) if task in IMAGE_LEVEL else (2, *SIZE)
    mask = changes.get("mask", lambda x: x)(np.ones(size, np.float32))
    return [(image, {task: values}, {task: mask})]


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("vehicle_parts", {"target": lambda x: x + 255}, r"value 25\d \(\d+ times\): class ids"),
        ("vehicle_parts", {"target": lambda x: x - 1}, r"value -1 .*in 0\.\.4"),
        ("vehicle_parts", {"target": lambda x: x / 2}, "value 0.5|value 1.5"),
        ("vehicle_parts", {"target": lambda x: x * np.nan}, "value nan"),
        ("vehicle_parts", {"target": lambda x: np.eye(5)[x]}, r"must be \[B, H, W, 1\]"),
        ("scene", {"target": lambda x: x + 1 + 3 * (x > 2)}, "class ids"),
        ("lidar", {"target": lambda x: 1000 * x}, "metres.*millimetres"),
        ("nyu/depth", {"target": lambda x: -x}, "'nyu/depth' has the value -.*where depth is unk"),
        ("lidar", {"target": lambda x: x * np.inf}, "value inf"),
        ("heat", {"target": lambda x: x * np.nan}, "value nan.*finite"),
        ("facing", {"target": lambda x: x * 127.5 + 127.5}, "unit length.*colours"),
        ("facing", {"target": lambda x: 0 * x}, "squared length 0"),
        ("road", {"target": lambda x: 255 * x}, "between 0 and 1"),
        ("cracks", {"target": lambda x: 255.0 * x}, "between 0 and 1"),
        ("heat", {"target": lambda x: x[..., None, None]}, r"must be \[B, H, W, 1\]"),
        ("pose", {"target": lambda x: x[:, :3]}, r"must be \[B, 6\]"),
        ("heat", {"mask": lambda x: 255 * x}, "masks of 0 and 255"),
        ("heat", {"mask": lambda x: x - 1.5}, "values from -0.5"),
        ("heat", {"mask": lambda x: x * np.nan}, "values from nan"),
        ("heat", {"mask": lambda x: x[..., None]}, r"\[2, 16, 24, 1\]"),
        ("pose", {"mask": lambda x: x[:, None]}, r"Received: \[2, 1\]"),
    ],
)
def test_evaluate_refuses(task, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        evaluate(network([TASKS[task]]), batch_of(task, **changes), [TASKS[task]])
    assert repr(task) in str(caught.value)


@pytest.mark.parametrize("missing", [1, 2])
def test_evaluate_names_a_missing_entry(missing):
    one = list(batch_of("heat")[0])
    one[missing] = {}
    with pytest.raises(ValueError, match=r"(targets|masks) have none for 'heat'"):
        evaluate(network([TASKS["heat"]]), [tuple(one)], [TASKS["heat"]])


@pytest.mark.parametrize(
    "mask",
    [lambda x: x > 0, lambda x: x.astype(np.uint8), lambda x: x.astype(int), lambda x: x / 2],
)
def test_evaluate_takes_masks_of_any_dtype(mask):
    task = TASKS["heat"]
    plain, other = (
        evaluate(network([task]), batch_of("heat", mask=m), [task]) for m in (lambda x: x, mask)
    )
    assert plain.keys() == other.keys()


def metric_task(metrics, kind="heat", main="m"):
    return dataclasses.replace(TASKS[kind], metrics=metrics, main_metric=main)


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("vehicle_parts", lambda c: keras.metrics.MeanIoU(c, name="m", sparse_y_pred=False)),
        ("vehicle_parts", lambda c: keras.metrics.SparseTopKCategoricalAccuracy(2, name="m")),
        ("vehicle_parts", lambda c: keras.metrics.SparseCategoricalCrossentropy("m", None, True)),
        ("road", lambda c: keras.metrics.AUC(from_logits=True, name="m")),
        ("road", lambda c: keras.metrics.BinaryCrossentropy(from_logits=True, name="m")),
        ("road", lambda c: keras.metrics.Precision(thresholds=0.5, name="m")),
        ("flow", lambda c: keras.metrics.CosineSimilarity(name="m")),
        ("heat", lambda c: keras.metrics.MeanSquaredError(name="m")),
        ("lidar", lambda c: keras.metrics.MeanAbsolutePercentageError(name="m")),
    ],
)
def test_metrics_of_keras_agree_with_keras_own_evaluation(kind, metric):
    task = metric_task(lambda c: [metric(c)], kind)
    model = network([task])
    looks_at_probabilities = isinstance(metric(1), keras.metrics.Precision)
    if looks_at_probabilities:
        outputs = keras.layers.Activation("sigmoid")(model.output["road"])
        model = keras.Model(model.input, {"road": outputs})
    data = OwnData([kind])
    made = mtl.MultiTaskTrainer(model, [task])
    loss = {"road": keras.losses.BinaryCrossentropy()} if looks_at_probabilities else None
    made.compile("sgd", loss=loss)
    logs = made.evaluate(data.val(), verbose=0, return_dict=True)
    found = evaluate(model, data.val(), [task])[kind]["m"]
    assert found == pytest.approx(float(logs[f"{kind}_m"]), rel=1e-4)


class Largest(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name="m")
        self.largest = self.add_weight(name="largest", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = keras.ops.max(keras.ops.abs(y_true - y_pred))
        self.largest.assign(keras.ops.maximum(self.largest, error))

    def result(self):
        return self.largest


@pytest.mark.parametrize(
    ("kind", "metric", "message"),
    [
        ("heat", lambda: Largest(), "cannot be computed from sums.*DenseMetric"),
        ("pose", lambda: keras.metrics.R2Score(name="m"), "variables late"),
        ("heat", lambda: keras.metrics.R2Score(name="m"), r"R2Score\) of task 'heat' fails"),
    ],
)
def test_metrics_that_are_no_sums_are_refused_by_name(kind, metric, message):
    task = metric_task(lambda c: [metric()], kind)
    with pytest.raises(ValueError, match=message):
        evaluate(network([task]), OwnData([kind]).val(), [task])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": lambda c: keras.metrics.Mean()}, "must make a list of Keras metrics"),
        ({"metrics": lambda c: ["mae"]}, "must make a list of Keras metrics"),
        ({"loss": lambda y_true, y_pred: y_true, "kind": None}, "write lambda: my_function"),
        ({"loss": keras.losses.Huber()}, "not an object"),
        ({"activation": "relu"}, "needs functions"),
        ({"kind": "values"}, "must be one of"),
        ({"name": "a\nb"}, "printable"),
    ],
)
def test_a_task_that_cannot_work_is_refused_when_it_is_made(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TASKS["heat"], **({"kind": None} | change))


@pytest.mark.parametrize(
    "metric",
    [
        lambda: keras.metrics.CategoricalAccuracy(),
        lambda: keras.metrics.MeanIoU(5),
        lambda: keras.metrics.OneHotMeanIoU(5),
    ],
)
def test_metrics_that_would_make_nonsense_of_class_ids_are_refused(metric):
    task = metric_task(lambda c: [metric()], "vehicle_parts")
    for call in (
        task.new_metrics,
        lambda: evaluate(network([task]), OwnData(["vehicle_parts"]).val(), [task]),
        lambda: mtl.MultiTaskTrainer(network([task]), [task]).compile("sgd"),
    ):
        with pytest.raises(ValueError, match="'vehicle_parts' does not fit class ids"):
            call()


def test_evaluation_knows_activations_by_what_they_are():
    assert TASKS["road"].activation is sigmoid_of
    np.testing.assert_allclose(sigmoid_of(tf.zeros(1)), 0.5)
