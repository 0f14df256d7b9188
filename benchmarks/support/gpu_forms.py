"""The work of the CUDA kernels written for PyTorch's and JAX's compilers.

Claim: none of its own; `benchmarks.gpu` compares the kernels with these forms.
Command: imported by `benchmarks.gpu`.
False if: a form does other work than the kernel, or a user would write a faster one.
"""

from typing import Any

import numpy as np

Tasks = list[list[Any]]


class LibraryForms:
    """Functions of `torch` or `jax.numpy` (`xp`), which agree in all that is used here.

    `tasks` is a list of K lists of tensors. `jacobian` is a ready matrix `[K, P]`, which saves the
    concatenation that a user's gradients would need.
    """

    def __init__(self, xp: Any, order: np.ndarray) -> None:
        self._xp = xp
        self._order = order.tolist()

    def flat(self, task: list[Any]) -> Any:
        """All tensors of a task as one vector."""
        return self._xp.concatenate([g.reshape(-1) for g in task])

    def gramian_stack(self, tasks: Tasks) -> Any:
        """Concatenate and multiply."""
        return self.gramian_of_matrix(self._xp.stack([self.flat(task) for task in tasks]))

    def gramian_by_tensor(self, tasks: Tasks) -> Any:
        """Multiply tensor by tensor and add."""
        total = 0.0
        for column in zip(*tasks, strict=True):
            total = total + self.gramian_of_matrix(self._xp.stack([g.reshape(-1) for g in column]))
        return total

    def gramian_of_matrix(self, jacobian: Any) -> Any:
        """One product."""
        return jacobian @ jacobian.T

    def weighted_sum(self, tasks: Tasks, weights: Any) -> list[Any]:
        """Tensor by tensor."""
        return [
            sum(weights[k] * g for k, g in enumerate(column)) for column in zip(*tasks, strict=True)
        ]

    def weighted_sum_of_matrix(self, jacobian: Any, weights: Any) -> Any:
        """One product."""
        return weights @ jacobian

    def projection_stack(self, tasks: Tasks) -> list[Any]:
        """PCGrad through the Gramian of `gramian_stack`."""
        return self.weighted_sum(tasks, self._projected_weights(self.gramian_stack(tasks)))

    def projection_by_tensor(self, tasks: Tasks) -> list[Any]:
        """PCGrad through the Gramian of `gramian_by_tensor`."""
        return self.weighted_sum(tasks, self._projected_weights(self.gramian_by_tensor(tasks)))

    def projection_of_matrix(self, jacobian: Any) -> Any:
        """PCGrad of a ready matrix."""
        return self._projected_weights(self.gramian_of_matrix(jacobian)) @ jacobian

    def _projected_weights(self, gramian: Any) -> Any:
        num_tasks = len(self._order)
        total = [0.0] * num_tasks
        for i in range(num_tasks):
            weights = [1.0 if k == i else 0.0 for k in range(num_tasks)]
            for j in self._order[i]:
                product = sum(weights[k] * gramian[j, k] for k in range(num_tasks))
                weights[j] = weights[j] - self._xp.clip(product, None, 0.0) / gramian[j, j]
            total = [t + w for t, w in zip(total, weights, strict=True)]
        return self._xp.stack(total)

    def grad_drop(self, tasks: Tasks, uniform: list[Any], leak: Any) -> list[Any]:
        """Tensor by tensor."""
        return [
            self._drop(column, numbers, leak)
            for column, numbers in zip(zip(*tasks, strict=True), uniform, strict=True)
        ]

    def grad_drop_of_matrix(self, jacobian: Any, uniform: Any, leak: Any) -> Any:
        """All columns at once."""
        return self._drop([jacobian[k] for k in range(len(self._order))], uniform, leak)

    def _drop(self, rows: Any, uniform: Any, leak: Any) -> Any:
        total, magnitude = sum(rows), sum(self._xp.abs(g) for g in rows)
        excess = total - (2 * uniform - 1) * magnitude
        direction = 0.0
        for k, g in enumerate(rows):
            keep = ((excess > 0) & (g > 0)) | ((excess < 0) & (g < 0))
            direction = direction + self._xp.where(keep, g, leak[k] * g)
        return direction
