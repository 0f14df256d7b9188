"""Delta-m in its three definitions."""

import pytest

import mtl_tf as mtl
from mtl_tf.data.base import TaskChannels
from mtl_tf.metrics import HIGHER_IS_BETTER, MAIN_METRICS, delta_m

OURS = {
    "semseg": {"miou": 0.44, "pixel_accuracy": 0.72},  # +10 %, +20 %
    "depth": {"rmse": 0.8, "abs_error": 0.5, "abs_rel": 0.2},  # +20 %, -25 %, +20 %
    "saliency": {"miou": 0.66, "max_f": 0.1},  # +10 %, not counted
}
SINGLE = {
    "semseg": {"miou": 0.40, "pixel_accuracy": 0.60},
    "depth": {"rmse": 1.0, "abs_error": 0.4, "abs_rel": 0.25},
    "saliency": {"miou": 0.60, "max_f": 0.9},
}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("survey", (0.10 + 0.20 + 0.10) / 3),
        ("libmtl", (0.15 - 0.025 + 0.10) / 3),
        ("nash_mtl", -(0.10 + 0.20 - 0.25 + 0.20 + 0.10) / 5),
    ],
)
@pytest.mark.parametrize("tasks", [tuple(OURS), {"semseg": 40, "depth": 1, "saliency": 1}])
def test_equals_hand_computed_numbers(definition, expected, tasks):
    assert delta_m(OURS, SINGLE, tasks, definition) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("miou", "rmse", "percent"),
    [(44.4, 0.587, 0.40), (45.0, 0.584, 1.34), (44.2, 0.570, 1.62), (43.9, 0.585, 0.0)],
    ids=["multi-task baseline", "MTAN", "Cross-Stitch", "single task"],
)
def test_survey_table_5a(miou, rmse, percent):
    single = {"semseg": {"miou": 43.9}, "depth": {"rmse": 0.585}}
    ours = {"semseg": {"miou": miou}, "depth": {"rmse": rmse}}
    assert 100 * delta_m(ours, single, ("semseg", "depth")) == pytest.approx(percent, abs=0.02)


@pytest.mark.parametrize("definition", ["survey", "libmtl", "nash_mtl"])
@pytest.mark.parametrize("task", MAIN_METRICS)
def test_ten_percent_better_everywhere_is_ten_percent(task, definition):
    single = {task: dict.fromkeys(HIGHER_IS_BETTER[task], 2.0)}
    ours = {task: {key: 2.2 if up else 1.8 for key, up in HIGHER_IS_BETTER[task].items()}}
    expected = -0.1 if definition == "nash_mtl" else 0.1
    assert delta_m(ours, single, [task], definition) == pytest.approx(expected)


def test_counts_only_the_tasks_asked_for():
    assert delta_m(OURS, SINGLE, ["depth"]) == pytest.approx(0.2)
    assert delta_m(OURS, SINGLE, [mtl.TASKS["depth"]]) == pytest.approx(0.2)


def test_unknown_definition_is_refused():
    with pytest.raises(ValueError, match="Received: 'mean'"):
        delta_m(OURS, SINGLE, ["depth"], "mean")


def test_no_task_is_refused():
    with pytest.raises(ValueError, match="at least one task"):
        delta_m(OURS, SINGLE, [])


@pytest.mark.parametrize("definition", ["survey", "libmtl", "nash_mtl"])
def test_missing_metric_task_and_unknown_task_are_refused(definition):
    without = {**OURS, "depth": {"log_rmse": 1.0}}
    with pytest.raises(ValueError, match=r"^results has no .* of task 'depth'"):
        delta_m(without, SINGLE, ["depth"], definition)
    with pytest.raises(ValueError, match=r"single_task_results has no .* of task 'depth'"):
        delta_m(OURS, without, ["depth"], definition)
    with pytest.raises(ValueError, match=r"has no .* of task 'edges'"):
        delta_m(OURS, SINGLE, ["edges"], definition)


@pytest.mark.parametrize("definition", ["survey", "libmtl", "nash_mtl"])
def test_unknown_task_is_refused(definition):
    with pytest.raises(ValueError, match="'flow'"):
        delta_m({"flow": {"epe": 1.0}}, {"flow": {"epe": 1.0}}, ["flow"], definition)


def test_baseline_of_0_is_refused():
    with pytest.raises(ValueError, match="'rmse' = 0"):
        delta_m(OURS, {"depth": {"rmse": 0.0}}, ["depth"])


@pytest.mark.parametrize("definition", ["survey", "libmtl"])
def test_delta_m_is_the_mean_of_what_the_tasks_gain(definition):
    single = {
        "semseg": {"miou": 0.4, "pixel_accuracy": 0.5},
        "depth": {"rmse": 0.6, "abs_error": 0.5, "abs_rel": 0.2},
    }
    ours = {
        "semseg": {"miou": 0.44, "pixel_accuracy": 0.5},
        "depth": {"rmse": 0.66, "abs_error": 0.4, "abs_rel": 0.2},
    }
    gains = mtl.metrics.task_deltas(ours, single, single, definition)
    expected = {"survey": {"semseg": 0.1, "depth": -0.1}, "libmtl": {"semseg": 0.05, "depth": 0.1}}[
        definition
    ]
    assert gains == pytest.approx(expected)
    assert mtl.metrics.delta_m(ours, single, single, definition) == pytest.approx(
        sum(expected.values()) / 2
    )


def test_tasks_of_a_data_set_with_tasks_of_its_own():
    tasks = TaskChannels({"heat": 1}, {"heat": mtl.TASKS["depth"]})
    single, multi = {"depth": {"rmse": 2.0}}, {"depth": {"rmse": 1.0}}
    assert mtl.metrics.delta_m(multi, single, tasks) == 0.5
