"""Asynchronous task updates (UberNet): a task's own variables wait for enough of its labels."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf


class AsynchronousUpdates(keras.layers.Layer):
    """Applies gradients; task-specific variables only every n-th step with labels of their task.

    Until then their gradients add up, and the variable and the optimizer's statistics of it do not
    change; then the mean of the gradients is applied. Everything else is updated in every step.

    Source: Kokkinos, "UberNet", CVPR 2017, section 3.3.

    Args:
        tasks: names of all K tasks.
        update_every: `{task: steps}`; tasks that are not named are updated in every step.
        own_variables: `{task: variables}` that no other task has a gradient of.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        update_every: Mapping[str, int],
        own_variables: Mapping[str, list[keras.Variable]],
    ) -> None:
        super().__init__(name="asynchronous_updates", dtype="float32", autocast=False)
        self.tasks = list(tasks)
        self.update_every = dict(update_every)
        self.own_paths = {
            task: [v.path for v in own_variables.get(task, [])] for task in update_every
        }
        self.sums = {
            variable.path: self._state(f"sum_{i}_{task}", variable.shape)
            for task in update_every
            for i, variable in enumerate(own_variables.get(task, []))
        }
        self.counts = {task: self._state(f"count_{task}", ()) for task in update_every}
        self.built = True

    def _state(self, name: str, shape: Sequence[int]) -> keras.Variable:
        name = name.replace("/", "_")  # of a task such as nyu/depth
        return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False)

    def apply(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: list[tf.Tensor | None],
        variables: list[keras.Variable],
        is_used: tf.Tensor,
    ) -> None:
        """One step of the optimizer.

        Args:
            optimizer: a Keras optimizer.
            gradients: of the variables.
            variables: all trainable variables.
            is_used: bool `[K]`: the tasks that take part in this step.
        """
        if not optimizer.built:
            optimizer.build(variables)
        by_path = {v.path: (g, v) for g, v in zip(gradients, variables, strict=True)}
        step = tf.identity(optimizer.iterations)
        for task, every in self.update_every.items():
            self._apply_own(task, every, optimizer, by_path, is_used[self.tasks.index(task)])
            optimizer.iterations.assign(step)
        waiting = {path for paths in self.own_paths.values() for path in paths}
        others = [pair for path, pair in by_path.items() if path not in waiting]
        optimizer.apply_gradients(others)

    def _apply_own(
        self,
        task: str,
        every: int,
        optimizer: keras.optimizers.Optimizer,
        by_path: Mapping[str, tuple[tf.Tensor | None, keras.Variable]],
        is_used: tf.Tensor,
    ) -> None:
        count = self.counts[task]
        count.assign_add(tf.cast(is_used, tf.float32))
        for path in self.own_paths[task]:
            gradient = by_path[path][0]
            if gradient is not None:
                self.sums[path].assign_add(gradient)

        def apply() -> tf.Tensor:
            sums = [tf.convert_to_tensor(self.sums[path]) for path in self.own_paths[task]]
            means = [value / tf.convert_to_tensor(count) for value in sums]
            optimizer.apply(means, [by_path[path][1] for path in self.own_paths[task]])
            for path in self.own_paths[task]:
                self.sums[path].assign(tf.zeros_like(self.sums[path]))
            count.assign(0.0)
            return tf.constant(True)

        tf.cond(tf.convert_to_tensor(count) >= every, apply, lambda: tf.constant(False))
