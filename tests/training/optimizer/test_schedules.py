"""The warm-up of a schedule; the schedules themselves are tested with the runs that use them."""

import keras
import pytest

import mtl_tf as mtl


def test_it_rises_to_the_schedule_and_follows_it():
    poly = mtl.training.Poly(0.1, epochs=10, steps_per_epoch=5)
    schedule = mtl.training.WarmUp(poly, steps=4)
    for step in range(20):
        expected = min(1.0, (step + 1) / 4) * float(poly(step))
        assert float(schedule(step)) == pytest.approx(expected)


def test_it_is_saved_with_its_schedule():
    schedule = mtl.training.WarmUp(keras.optimizers.schedules.CosineDecay(0.1, 40), steps=4)
    again = mtl.training.WarmUp.from_config(schedule.get_config())
    assert [float(again(i)) for i in range(9)] == [float(schedule(i)) for i in range(9)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0.1, 4), "schedule must be a learning-rate schedule"), ((None, 0), "schedule must be")],
)
def test_a_number_is_no_schedule(arguments, message):
    with pytest.raises(ValueError, match=message):
        mtl.training.WarmUp(*arguments)


@pytest.mark.parametrize("steps", [0, -1])
def test_steps_are_positive(steps):
    with pytest.raises(ValueError, match="steps must be positive"):
        mtl.training.WarmUp(mtl.training.Poly(0.1, 1, 1), steps)


def test_an_epoch_is_not_negative():
    with pytest.raises(ValueError, match="epoch must not be negative"):
        mtl.training.UnfreezeBackbone(-1)
