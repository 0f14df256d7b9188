"""ASTMT's adapters: 1x1 convolutions beside larger ones, strided and cropped as these are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_tf.architectures.astmt import _adapter


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "dilation"),
    [(7, 2, "valid", 1), (3, 2, "valid", 1), (3, 1, "same", 1), (3, 1, "valid", 2)],
)
def test_an_adapter_is_the_middle_of_a_larger_kernel(kernel, strides, padding, dilation):
    image = keras.Input((38, 70, 3))
    larger = keras.layers.Conv2D(
        16, kernel, strides, padding, dilation_rate=dilation, use_bias=False
    )
    y = larger(image)
    model = keras.Model(image, [y, _adapter(image, larger, "adapter")])
    weights = np.random.default_rng(0).standard_normal((1, 1, 3, 16)).astype(np.float32)
    model.get_layer("adapter").set_weights([weights])
    middle = np.zeros((kernel, kernel, 3, 16), np.float32)
    middle[kernel // 2, kernel // 2] = weights[0, 0]
    larger.set_weights([middle])

    @tf.function(autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            outputs = model(x)
            loss = tf.add_n([tf.reduce_sum(tf.square(o)) for o in outputs])
        return outputs, tape.gradient(loss, model.trainable_variables)

    x = np.random.default_rng(1).standard_normal((4, 38, 70, 3)).astype(np.float32)
    (expected, actual), (of_larger, of_adapter) = gradients(tf.constant(x))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    inner = of_larger.numpy()[kernel // 2, kernel // 2]
    np.testing.assert_allclose(of_adapter.numpy()[0, 0], inner, rtol=1e-4, atol=1e-2)
