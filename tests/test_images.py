"""Input images: one check of their shape, one set of statistics."""

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.data import transforms
from mtl_tf.images import IMAGENET_MEAN, IMAGENET_STD, checked_input_shape


def test_a_shape_becomes_a_tuple():
    assert checked_input_shape([32, 64, 3]) == (32, 64, 3)


@pytest.mark.parametrize("shape", [(32, 64), (32, 64, 1), (0, 64, 3), (32.0, 64, 3)])
def test_other_shapes_are_errors_for_data_and_models_alike(shape):
    for function in (checked_input_shape, mtl.backbones.image_input):
        with pytest.raises(ValueError, match="height, width, 3"):
            function(shape)


def test_data_normalises_by_the_same_statistics():
    np.testing.assert_allclose(transforms.IMAGENET_MEAN, IMAGENET_MEAN, rtol=1e-6)
    np.testing.assert_allclose(transforms.IMAGENET_STD, IMAGENET_STD, rtol=1e-6)
