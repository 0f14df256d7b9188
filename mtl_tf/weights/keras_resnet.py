"""Keras' ResNet-50 as a state dictionary with torchvision's names, for normalised images."""

import keras
import numpy as np

from mtl_tf.images import IMAGENET_MEAN, IMAGENET_STD
from mtl_tf.weights.torch_state import leaf_layers

_KERAS_EPSILON = 1.001e-5
_EPSILON = 1e-5
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939])


def check_strides(model: keras.Model) -> None:
    """Raise a `ValueError` unless the strides of a ResNet-50 are where Keras has them."""
    for layer in leaf_layers(model):
        if layer.name.endswith("layer2.0.conv1") and layer.strides == (1, 1):
            raise ValueError(
                "Keras' ResNet-50 has its strides on the first convolution of a block: use the "
                "backbone 'resnet50_v1'"
            )


def state_of_keras_resnet50(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the tensors of `keras.applications.ResNet50` under torchvision's names.

    Its preprocessing is folded into the first convolution.

    Args:
        model: the model, with or without its classifier.
    """
    state: dict[str, np.ndarray] = {}
    for layer in model.layers:
        if layer.name.endswith("_conv"):
            norm = model.get_layer(layer.name.removesuffix("_conv") + "_bn")
            conv_name, norm_name = _torchvision_names(layer.name)
            kernel, bias = (np.asarray(w, np.float64) for w in layer.get_weights())
            if conv_name == "conv1":
                kernel, bias = _for_normalised_rgb(kernel, bias)
            gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in norm.get_weights())
            state[f"{conv_name}.weight"] = kernel.transpose(3, 2, 0, 1)
            state[f"{norm_name}.weight"] = gamma
            state[f"{norm_name}.bias"] = beta
            state[f"{norm_name}.running_mean"] = mean - bias
            state[f"{norm_name}.running_var"] = variance + (_KERAS_EPSILON - _EPSILON)
    return state


def _torchvision_names(name: str) -> tuple[str, str]:
    """Map `conv3_block1_2_conv` to `layer2.0.conv2`, `layer2.0.bn2`; 0 is the shortcut."""
    if name == "conv1_conv":
        return "conv1", "bn1"
    stage, block, index, _ = name.split("_")
    block_name = (
        f"layer{int(stage.removeprefix('conv')) - 1}.{int(block.removeprefix('block')) - 1}"
    )
    if index == "0":
        return f"{block_name}.downsample.0", f"{block_name}.downsample.1"
    return f"{block_name}.conv{index}", f"{block_name}.bn{index}"


def _for_normalised_rgb(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert a first convolution of BGR minus Caffe's mean to one of normalised RGB."""
    kernel = kernel[:, :, ::-1]
    offset = 255.0 * IMAGENET_MEAN - _CAFFE_MEAN
    bias = bias + np.einsum("hwio,i->o", kernel, offset)
    return kernel * (255.0 * IMAGENET_STD)[:, None], bias
