"""Units that cannot be are refused with a hint: in fit, in evaluate, in every way of training."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, batch, tiny_model
from tests.helpers.slow import slow_but

SIZE = (8, 8)


def trainer(task, **options):
    keras.utils.set_random_seed(0)
    made = mtl.MultiTaskTrainer(tiny_model((task,), *SIZE), {task: TASKS[task]})
    made.compile("sgd", metrics={task: []}, **options)
    return made


def colours(normals):
    return np.rint((normals + 1) * 127.5)


WRONG = {
    "millimetres": ("depth", lambda t: 1000 * t, "metres, 0 to 1000: divide millimetres by 1000"),
    "millimetres of uint16": ("depth", lambda t: (1000 * t).astype(np.uint16), "divide millim"),
    "centimetres in part": ("depth", lambda t: np.where(t > 4.9, 1e4, t), "divide millimetres"),
    "-1 for unknown": ("depth", lambda t: np.where(t < 2, -1, t), "0 where depth is unknown"),
    "65535 for unknown": ("depth", lambda t: np.where(t < 2, 65535, t), "0 where depth is unk"),
    "colours": ("normals", colours, "unit length: decode colours as 2"),
    "colours of uint8": ("normals", lambda t: colours(t).astype(np.uint8), "decode colours"),
    "colours from 0 to 1": ("normals", lambda t: (t + 1) / 2, "decode colours"),
    "no normal": ("normals", lambda t: t * (np.arange(8) > 2)[:, None], "0 where there is no no"),
    "twice as long": ("normals", lambda t: 2 * t, "squared length"),
    "regions of 255": ("saliency", lambda t: 255 * t, "between 0 and 1: divide 0 and 255 by 255"),
    "regions of uint8": ("saliency", lambda t: (255 * t).astype(np.uint8), "by 255"),
    "edges of 255": ("edges", lambda t: 255 * t, "by 255"),
    "edges of -1": ("edges", lambda t: t - 1, "between 0 and 1"),
}


IN_GRAPHS = slow_but(("millimetres", "colours"), WRONG)


@pytest.mark.parametrize(
    ("name", "run_eagerly"),
    [
        *((name, True) for name in WRONG),
        *(pytest.param(p.id, False, id=f"{p.id} in a graph", marks=p.marks) for p in IN_GRAPHS),
    ],
)
def test_units_that_cannot_be(name, run_eagerly):
    task, change, message = WRONG[name]
    image, targets, masks = batch({task: TASKS[task]}, 2, *SIZE)
    targets[task] = change(targets[task])
    made = trainer(task, run_eagerly=run_eagerly)
    for weights in (masks, None):
        with pytest.raises(ValueError, match=f"Task '{task}' has .*{message}"):
            made.fit(image, targets, sample_weight=weights, verbose=0)
    with pytest.raises(ValueError, match=message):
        made.evaluate(image, targets, verbose=0)
    with pytest.raises(ValueError, match=f"Task '{task}' has .*{message}"):
        mtl.evaluation.evaluate(made, [(image, targets, masks)], {task: TASKS[task]})
    masks[task][:] = 0  # where they are invalid they may be anything
    made.fit(image, targets, sample_weight=masks, verbose=0)


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("depth", lambda t: t.astype(np.float16)),
        ("depth", lambda t: 999 + 0 * t),
        ("depth", lambda t: np.rint(t).astype(np.uint8)),
        ("normals", lambda t: (1.04 * t).astype(np.float16)),
        ("normals", lambda t: np.rint(t * 127) / 127),
        ("saliency", lambda t: t > 0.5),
        ("saliency", lambda t: t.astype(np.uint8)),
        ("edges", lambda t: 0.5 * t),
    ],
)
def test_units_that_can_be(task, change):
    image, targets, masks = batch({task: TASKS[task]}, 2, *SIZE)
    targets[task] = change(targets[task])
    made = trainer(task, run_eagerly=True)
    history = made.fit(image, targets, sample_weight=masks, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert history["not_finite"] == [0.0]
    mtl.evaluation.evaluate(made, [(image, targets, masks)], {task: TASKS[task]})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_left_out_and_counted_in_fit_and_refused_in_evaluate(value):
    image, targets, masks = batch({"depth": 1}, 2, *SIZE)
    targets["depth"][0, 0, 0] = value
    made = trainer("depth", run_eagerly=True)
    with pytest.warns(UserWarning, match="NaN or infinite"):
        history = made.fit(image, targets, sample_weight=masks, verbose=0).history
    assert history["not_finite"] == [1.0]
    with pytest.raises(ValueError, match="Task 'depth' has the value"):
        mtl.evaluation.evaluate(made, [(image, targets, masks)], {"depth": 1})
