"""Pure-TensorFlow references: same signatures and results as the native ops, any device."""

import tensorflow as tf

from mtl_tf.ops._gradients import TaskGradients, dense_task_gradients


def gramian(task_gradients: TaskGradients) -> tf.Tensor:
    """Inner products of all pairs of task gradients, in pure TensorFlow.

    Args:
        task_gradients: K lists of V tensors of any shape; `None` stands for zero.

    Returns:
        Tensor `[K, K]` float64.

    Raises:
        ValueError: if the lists differ in length or a tensor's shape differs between tasks.
    """
    rows = dense_task_gradients(task_gradients)
    total = tf.zeros([len(rows), len(rows)], tf.float64)
    for column in zip(*rows, strict=True):
        present = [g for g in column if g is not None]
        if not present:
            continue
        zero = tf.zeros([tf.size(present[0])], tf.float64)
        jacobian = tf.stack(
            [zero if g is None else tf.cast(tf.reshape(g, [-1]), tf.float64) for g in column]
        )
        total += tf.matmul(jacobian, jacobian, transpose_b=True)
    return (total + tf.transpose(total)) / 2  # symmetric to the last bit
