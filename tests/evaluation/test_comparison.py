"""Per-image sums, the paired bootstrap, and result files of others."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.evaluation import ImageStates, compare, evaluate, evaluate_images
from mtl_tf.evaluation.evaluate import evaluate_predictor
from tests.helpers.inputs import TASKS, batch, dataset, small_model


def constant(shift):
    """A depth model whose error is `shift` everywhere, on targets of 2 m."""
    return lambda image, training: {"depth": np.full((len(image), 8, 8, 1), 2.0, np.float32)}


def depth_images(errors):
    """Batches of two images of constant depth error."""
    target = 2.0 + np.asarray(errors, np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1))
    mask = np.ones((len(errors), 8, 8), np.float32)
    image = np.zeros((len(errors), 8, 8, 3), np.float32)
    return [
        (image[i : i + 2], {"depth": target[i : i + 2]}, {"depth": mask[i : i + 2]})
        for i in range(0, len(errors), 2)
    ]


def test_results_are_those_of_the_streaming_metrics():
    model = small_model()
    images = evaluate_images(model, dataset(), TASKS)
    assert len(images) == sum(len(b[0]) for b in dataset())
    results = images.results()
    trainer = mtl.MultiTaskTrainer(model, TASKS)
    trainer.compile("sgd")
    logs = trainer.evaluate(dataset(), return_dict=True, verbose=0)
    for task in TASKS:
        main = mtl.TASKS[task].main_metric
        assert results[task][main] == pytest.approx(float(logs[f"{task}_{main}"]), rel=1e-6)


def test_a_selection_is_judged_as_if_there_were_nothing_else():
    errors = np.array([0.1, 0.5, 0.2, 0.9])
    images = evaluate_images(constant(0), depth_images(errors), {"depth": 1})
    weights = np.array([[1, 0, 0, 0], [2, 0, 1, 0], [0, 1, 0, 3]])
    for row, found in zip(weights, images.resampled(weights), strict=True):
        drawn = np.repeat(errors, row)
        assert found["depth"]["rmse"] == pytest.approx(np.sqrt(np.mean(drawn**2)), rel=1e-5)
        assert found["depth"]["abs_error"] == pytest.approx(drawn.mean(), rel=1e-5)


def test_edges_by_the_boundary_benchmark():
    targets = np.zeros((3, 30, 40, 1), np.float32)
    targets[:, 10, 5:35] = 1
    logits = np.where(np.roll(targets, 1, axis=1) > 0, 5.0, -5.0).astype(np.float32)
    logits[2] = -5.0
    data = [(np.zeros((3, 30, 40, 3), np.float32), {"edges": targets}, None)]

    def model(image, training):
        return {"edges": logits}

    found = evaluate(model, data, {"edges": 1}, edge_tolerance=1.5 / 50)["edges"]
    assert found["ods_f"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert set(found) == {"f", "precision", "recall", "ods_f", "ois_f", "ap"}
    images = evaluate_images(model, data, {"edges": 1}, 1.5 / 50)
    (only,) = images.resampled(np.array([[1, 1, 0]]))
    assert only["edges"]["ods_f"] == 1.0


def test_saved_and_loaded(tmp_path):
    images = evaluate_images(small_model(), dataset(), TASKS)
    images.save(tmp_path / "images.npz")
    for path in (tmp_path, tmp_path / "images.npz"):
        assert ImageStates.load(path).results() == images.results()
    with pytest.raises(ValueError, match="missing"):
        ImageStates.load(tmp_path / "other.npz")
    intact = (tmp_path / "images.npz").read_bytes()
    for broken in (b"", intact[:200], b"text"):
        (tmp_path / "images.npz").write_bytes(broken)
        with pytest.raises(ValueError, match=r"images\.npz"):
            ImageStates.load(tmp_path)


def judged(errors):
    """A model whose absolute depth errors on the same images are these."""
    images = depth_images(np.zeros(len(errors)))
    errors = iter(errors)

    def model(image):
        wrong = np.array([next(errors) for _ in range(len(image))], np.float32)
        depth = 2.0 + wrong[:, None, None, None] * np.ones((1, 8, 8, 1), np.float32)
        return {"depth": tf.constant(depth)}

    return evaluate_predictor(model, images, mtl.tasks.as_tasks({"depth": 1}))


def test_intervals_are_those_of_the_t_test():
    """The mean absolute error is a plain mean: its paired bootstrap must agree with Student."""
    generator = np.random.default_rng(0)
    a = generator.uniform(0.2, 0.6, 200)
    b = a + generator.normal(0.04, 0.1, 200)
    found = {c.metric: c for c in compare(judged(a), judged(np.abs(b)), 2000)}
    differences = a - np.abs(b)
    row = found["abs_error"]
    assert row.difference == pytest.approx(differences.mean(), rel=1e-4)
    test = scipy.stats.ttest_1samp(differences, 0)
    low, high = test.confidence_interval(0.95)
    assert row.low == pytest.approx(low, abs=0.1 * (high - low))
    assert row.high == pytest.approx(high, abs=0.1 * (high - low))
    assert row.p_value == pytest.approx(test.pvalue, abs=0.02)
    assert row.verdict == "better" and not row.higher_is_better
    assert found["delta_m"].difference > 0 and found["delta_m"].task == "all"


def test_two_equal_models_are_the_same_and_the_better_one_is_named():
    generator = np.random.default_rng(1)
    errors = generator.uniform(0.1, 0.5, 60)
    same = {c.metric: c for c in compare(judged(errors), judged(errors), 200)}
    assert all(c.verdict == "same" and c.difference == 0 for c in same.values())
    assert same["rmse"].p_value == 1.0
    worse = {c.metric: c for c in compare(judged(errors + 0.05), judged(errors), 200)}
    assert worse["rmse"].verdict == "worse" and worse["rmse"].p_value < 0.02
    assert worse["delta_m"].verdict == "worse"


def test_noise_is_called_the_same():
    """At 95 % a difference of nothing is called one in about one of twenty trials."""
    generator = np.random.default_rng(2)
    known = judged(np.full(40, 0.1))
    called = 0
    for _ in range(12):
        pair = []
        for errors in generator.uniform(0.1, 0.9, (2, 40)):
            sums = dict(known.sums["depth"])
            sums["absolute"] = errors * sums["count"]
            pair.append(dataclasses.replace(known, sums={"depth": sums}))
        rows = {c.metric: c for c in compare(*pair, 100)}
        called += rows["abs_error"].verdict != "same"
    assert called <= 3


def test_what_cannot_be_compared_is_told():
    first = judged(np.full(4, 0.1))
    with pytest.raises(ValueError, match="4 and 6 images"):
        compare(first, judged(np.full(6, 0.1)))
    other = evaluate_images(constant(0), depth_images([1, 2, 3, 4]), {"depth": 1})
    with pytest.raises(ValueError, match="different images"):
        compare(first, other)
    _, targets, masks = batch({"normals": 3})
    model = small_model({"normals": 3})
    normals = evaluate_images(model, [(batch()[0], targets, masks)], {"normals": 3})
    with pytest.raises(ValueError, match="no task"):
        compare(first, normals)
    for wrong in ({"num_resamples": 1}, {"confidence": 1.0}):
        with pytest.raises(ValueError, match="num_resamples"):
            compare(first, first, **wrong)


RESULTS = {
    "semseg": {"miou": 0.4, "pixel_accuracy": 0.7},
    "saliency": {"miou": 0.6, "max_f": 0.7},
    "normals": {
        "mean": 15.0,
        "median": 10.0,
        "rmse": 20.0,
        "within_11_25": 0.5,
        "within_22_5": 0.7,
        "within_30": 0.8,
    },
    "edges": {"f": 0.3, "ods_f": 0.7, "ois_f": 0.72, "ap": 0.6},
}


def test_official_files_there_and_back(tmp_path):
    paths = mtl.evaluation.write_official_results(tmp_path / "run", RESULTS, "NYUD")
    assert [p.name for p in paths] == [
        f"NYUD_test_{task}.json" for task in ("semseg", "sal", "normals", "edge")
    ]
    assert json.loads(paths[2].read_text())["11.25"] == pytest.approx(50.0)
    assert json.loads(paths[3].read_text()) == {"odsF": 0.7, "oisF": 0.72, "AP": 0.6}
    found = mtl.evaluation.read_official_results(tmp_path / "run", "NYUD")
    for task, values in found.items():
        assert values == pytest.approx({key: RESULTS[task][key] for key in values})
    assert mtl.metrics.delta_m(RESULTS, found, ["semseg", "edges"]) == pytest.approx(0)


def test_wrong_official_files_are_told(tmp_path):
    with pytest.raises(ValueError, match="database"):
        mtl.evaluation.read_official_results(tmp_path, "COCO")
    with pytest.raises(ValueError, match="no NYUD_test"):
        mtl.evaluation.read_official_results(tmp_path, "NYUD")
    with pytest.raises(ValueError, match="edges"):
        mtl.evaluation.write_official_results(tmp_path, {"edges": {"f": 0.3}}, "NYUD")
    for wrong in ("{", "[1]", '{"mIoU": "x"}', '{"other": 1}'):
        (tmp_path / "NYUD_test_semseg.json").write_text(wrong)
        with pytest.raises(ValueError, match="semseg"):
            mtl.evaluation.read_official_results(tmp_path, "NYUD")


def test_delta_m_of_seeds():
    def depth(rmse):
        return {"depth": {"rmse": rmse}}

    found = mtl.metrics.delta_m_of_seeds(
        [depth(0.9), depth(1.1)], [depth(0.8), depth(1.2)], ["depth"]
    )
    assert found["mean"] == pytest.approx(0)
    assert found["std"] == pytest.approx(np.std([0.1, -0.1], ddof=1))
    assert found["std_single"] == pytest.approx(np.std([0.2, -0.2], ddof=1))
    one = mtl.metrics.delta_m_of_seeds([depth(0.9)], [depth(1.0)], ["depth"])
    assert one == {"mean": pytest.approx(0.1), "std": 0.0, "std_single": 0.0}
    with pytest.raises(ValueError, match="at least one"):
        mtl.metrics.delta_m_of_seeds([], [depth(1.0)], ["depth"])
