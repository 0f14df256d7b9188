"""The Gramian in the coordinates the reference solvers work in: gradients of unit length."""

from typing import NamedTuple

import tensorflow as tf

_EPSILON = 2.220446049250313e-16


class UnitGramian(NamedTuple):
    """Cosines between the gradients that are not zero.

    Attributes:
        present: bool `[K]`, whether a task has a gradient.
        count: float64 scalar, the number of present tasks.
        cosines: float64 `[K, K]`; an absent task has a row of the unit matrix.
        norms: float64 `[K]`, lengths divided by `scale`; 1 for absent tasks.
        scale: float64 scalar, the length of the longest gradient.
    """

    present: tf.Tensor
    count: tf.Tensor
    cosines: tf.Tensor
    norms: tf.Tensor
    scale: tf.Tensor

    def mean_of_present(self) -> tf.Tensor:
        """`[K]`: `1 / count` for present tasks, 0 for the others."""
        return tf.where(self.present, 1 / self.count, tf.zeros_like(self.norms))


def unit_gramian(gramian: tf.Tensor) -> UnitGramian:
    """Return the `UnitGramian` of a finite Gramian `[K, K]` float64."""
    diagonal = tf.linalg.diag_part(gramian)
    present = diagonal > 0
    largest = tf.reduce_max(diagonal)
    scale = tf.where(largest > 0, tf.sqrt(tf.maximum(largest, 0)), tf.ones([], tf.float64))
    one = tf.ones_like(diagonal)
    norms = tf.where(present, tf.sqrt(tf.maximum(diagonal, 0)) / scale, one)
    lengths = norms * scale
    cosines = tf.clip_by_value(gramian / lengths[:, None] / lengths[None, :], -1.0, 1.0)
    both = tf.logical_and(present[:, None], present[None, :])
    cosines = tf.linalg.set_diag(tf.where(both, cosines, tf.zeros_like(cosines)), one)
    count = tf.reduce_sum(tf.cast(present, tf.float64))
    return UnitGramian(present, tf.maximum(count, 1), cosines, norms, scale)


def times(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Matrix times vector."""
    return tf.linalg.matvec(matrix, vector)


def solve(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Solution of a symmetric positive semidefinite system; eigenvalues near zero are left out.

    Refined twice: XLA's eigenvectors are right to 1e-6 only.
    """
    values, vectors = tf.linalg.eigh(matrix)
    kept = values > 4 * _EPSILON * tf.reduce_max(values)
    inverse = tf.where(
        kept, 1 / tf.where(kept, values, tf.ones_like(values)), tf.zeros_like(values)
    )

    def apply(right: tf.Tensor) -> tf.Tensor:
        return times(vectors, inverse * tf.linalg.matvec(vectors, right, transpose_a=True))

    solution = apply(vector)
    for _ in range(2):
        solution += apply(vector - times(matrix, solution))
    return solution
