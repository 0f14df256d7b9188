"""Learning-rate schedules."""

from typing import Any

import keras
from keras import ops

from mtl_tf.typing import Tensor


@keras.saving.register_keras_serializable(package="mtl_tf")
class Poly(keras.optimizers.schedules.LearningRateSchedule):
    """`learning_rate * (1 - epoch / epochs) ** power`, constant within an epoch.

    Examples:
        >>> schedule = mtl.training.Poly(0.1, epochs=10, steps_per_epoch=5)
        >>> [round(float(schedule(step)), 4) for step in (0, 4, 25)]
        [0.1, 0.1, 0.0536]

    Source: Vandenhende et al., TPAMI 2021, supplement: power 0.9, set once per epoch.

    Args:
        learning_rate: at the first epoch.
        epochs: number of epochs; the rate is 0 from then on.
        steps_per_epoch: optimizer steps in an epoch.
        power: exponent.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(
        self, learning_rate: float, epochs: int, steps_per_epoch: int, power: float = 0.9
    ) -> None:
        arguments = {
            "learning_rate": learning_rate,
            "epochs": epochs,
            "steps_per_epoch": steps_per_epoch,
            "power": power,
        }
        for name, value in arguments.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive. Received: {value}")
        self.arguments = arguments

    def __call__(self, step: Tensor | int) -> Tensor:
        """Return the learning rate of an optimizer step, float32."""
        a = self.arguments
        epoch = ops.floor(ops.cast(step, "float32") / a["steps_per_epoch"])
        left = ops.maximum(1.0 - epoch / a["epochs"], 0.0)
        return a["learning_rate"] * left ** a["power"]

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return dict(self.arguments)


@keras.saving.register_keras_serializable(package="mtl_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose rate rises linearly from 0 in the first steps.

    Examples:
        >>> schedule = mtl.training.WarmUp(mtl.training.Poly(0.1, 10, 5), steps=4)
        >>> [round(float(schedule(step)), 4) for step in (0, 2, 4, 25)]
        [0.025, 0.075, 0.1, 0.0536]

    Source: Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2.

    Args:
        schedule: the schedule, whose steps count from the start of the training.
        steps: number of steps with a lower rate.

    Raises:
        ValueError: if the number of steps is not positive, or `schedule` is no schedule.
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int
    ) -> None:
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            raise ValueError(
                "schedule must be a learning-rate schedule, such as mtl_tf.training.Poly. "
                f"Received: {schedule!r}"
            )
        if not steps > 0:
            raise ValueError(f"steps must be positive. Received: {steps}")
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Tensor | int) -> Tensor:
        """Return the learning rate of an optimizer step, float32."""
        share = (ops.cast(step, "float32") + 1.0) / self.steps
        return ops.minimum(share, 1.0) * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """Create the schedule from the configuration of `get_config`."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["steps"])
