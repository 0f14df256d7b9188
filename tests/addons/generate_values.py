"""Freezes what tensorflow-addons 0.23 computes, for `test_migration.py` to compare with.

tensorflow-addons needs Keras 2, so this script runs by hand in an environment of its own, from the
root of the repository (Python 3.11):

    python3.11 -m venv ../addons
    ../addons/bin/pip install --no-cache-dir \
        tensorflow==2.15.0 tensorflow-addons==0.23.0 "numpy<2"
    ../addons/bin/python tests/addons/generate_values.py

(`tensorflow`, not `tensorflow-cpu`: the C++ ops of tensorflow-addons' wheel need the symbols of a
build with CUDA. No GPU is needed.)

It writes `values.npz` beside itself. Each case has the name of what it calls in `tfa`; the file
holds its inputs as `<case>:<argument>` and its output as `<case>:result`. Inputs come from one seed
per case, so that adding a case changes no other.
"""

import pathlib
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

VALUES = {}


def freeze(case, function, **inputs):
    """Calls `function` with the inputs in their order."""
    VALUES.update({f"{case}:{name}": np.asarray(value) for name, value in inputs.items()})
    VALUES[f"{case}:result"] = np.asarray(function(*inputs.values()))


def rng(case):
    return np.random.default_rng(zlib.crc32(case.encode()))


def normal(case, *shape):
    return rng(case).standard_normal(shape, np.float32)


def images(case, *shape):
    """In [0, 1]; height and width differ, to tell x from y."""
    return rng(case).random(shape or (2, 7, 9, 3), np.float32)


def bytes_image(case):
    return rng(case).integers(30, 200, (2, 7, 9, 3), np.uint8)


# Losses and activations


def losses():
    case = "losses.SigmoidFocalCrossEntropy"
    freeze(
        case,
        tfa.losses.SigmoidFocalCrossEntropy(from_logits=True, alpha=0.3, gamma=1.5),
        y_true=(rng(case).random((2, 4, 5, 3)) < 0.4).astype(np.float32),
        logits=4 * normal(case, 2, 4, 5, 3),
    )


def activations():
    for name in ("gelu", "hardshrink", "lisht", "mish", "softshrink", "sparsemax", "tanhshrink"):
        case = f"activations.{name}"
        freeze(case, getattr(tfa.activations, name), x=normal(case, 4, 8))


# Layers


def layers():
    case = "layers.GroupNormalization"

    def normalized(layer, x, gamma, beta):
        layer.build(x.shape)
        layer.set_weights([gamma, beta])
        return layer(x)

    parameters = {"gamma": normal("gamma", 6), "beta": normal("beta", 6)}
    freeze(
        case,
        lambda *inputs: normalized(tfa.layers.GroupNormalization(groups=3), *inputs),
        x=normal(case, 2, 4, 5, 6),
        **parameters,
    )
    case = "layers.InstanceNormalization"
    freeze(
        case,
        lambda *inputs: normalized(tfa.layers.InstanceNormalization(), *inputs),
        x=normal(case, 2, 4, 5, 6),
        **parameters,
    )
    for kind in ("Average", "Max"):
        case = f"layers.Adaptive{kind}Pooling2D"
        freeze(case, getattr(tfa.layers, case.split(".")[1])((2, 3)), x=normal(case, 2, 6, 9, 3))
    case = "layers.SpatialPyramidPooling2D"
    freeze(case, tfa.layers.SpatialPyramidPooling2D([1, 2, 3]), x=normal(case, 2, 6, 12, 3))

    case = "layers.MaxUnpooling2D"

    def unpool(x):
        return tfa.layers.MaxUnpooling2D()(*tf.nn.max_pool_with_argmax(x, 2, 2, "VALID"))

    freeze(case, unpool, x=normal(case, 2, 4, 6, 3))

    case = "layers.SpectralNormalization"

    def spectral(x, kernel, vector_u):
        layer = tfa.layers.SpectralNormalization(tf.keras.layers.Conv2D(4, 3, use_bias=False))
        layer.build(x.shape)
        layer.w.assign(kernel)
        layer.u.assign(vector_u)
        return np.stack([layer(x, training=training) for training in (False, True, True, False)])

    freeze(
        case,
        spectral,
        x=normal(case, 2, 5, 6, 3),
        kernel=normal("kernel", 3, 3, 3, 4),
        vector_u=normal("vector_u", 1, 4),
    )

    case = "layers.StochasticDepth"

    def stochastic_depth(shortcut, residual):
        """Outputs without training, with the branch dropped, and with the branch kept."""
        layer = tfa.layers.StochasticDepth(survival_probability=0.75)
        tf.random.set_seed(0)
        trained = [layer([shortcut, residual], training=True).numpy() for _ in range(32)]
        dropped, kept = sorted({x.tobytes(): x for x in trained}.values(), key=np.sum)
        return np.stack([layer([shortcut, residual], training=False), dropped, kept])

    freeze(
        case, stochastic_depth, shortcut=normal(case, 4, 2, 3, 2), residual=images(case, 4, 2, 3, 2)
    )


# Images


def filters():
    case = "image.gaussian_filter2d"
    freeze(
        case,
        lambda image: tfa.image.gaussian_filter2d(image, filter_shape=5, sigma=(1.5, 0.7)),
        image=images(case),
    )
    case = "image.mean_filter2d"
    freeze(case, lambda image: tfa.image.mean_filter2d(image, 3), image=images(case))
    case = "image.median_filter2d"
    freeze(case, lambda image: tfa.image.median_filter2d(image, 3), image=images(case))


def geometry():
    case = "image.rotate"
    freeze(case, tfa.image.rotate, image=images(case), angles=np.float32([0.4, -1.1]))
    case = "image.translate"
    freeze(
        case,
        lambda image, translations: tfa.image.translate(image, translations, "bilinear"),
        image=images(case),
        translations=np.float32([[1.5, -2.25], [-3, 0.5]]),
    )
    case = "image.transform"
    freeze(
        case,
        lambda image, transforms: tfa.image.transform(
            image, transforms, "bilinear", fill_mode="reflect"
        ),
        image=images(case),
        transforms=np.float32(
            [[1.2, 0.1, -1, 0.2, 0.9, 0.5, 0.01, -0.02], [0.8, 0, 2, -0.3, 1.1, 0, 0, 0.01]]
        ),
    )
    for axis, shear in (("x", tfa.image.shear_x), ("y", tfa.image.shear_y)):
        case = f"image.shear_{axis}"
        freeze(
            case,
            lambda image, shear=shear: shear(image, 0.3, [128] * 3),
            image=bytes_image(case)[0],
        )
    case = "image.translate_xy"
    freeze(
        case,
        lambda image: tfa.image.translate_xy(image, [2, -1], [128] * 3),
        image=bytes_image(case)[0],
    )


def warps():
    case = "image.dense_image_warp"
    freeze(
        case, tfa.image.dense_image_warp, image=images(case), flow=2 * normal("flow", 2, 7, 9, 2)
    )
    case = "image.interpolate_bilinear"
    freeze(
        case,
        tfa.image.interpolate_bilinear,
        grid=images(case),
        points=rng("points").uniform(-2, 10, (2, 11, 2)).astype(np.float32),
    )
    case = "image.resampler"
    freeze(
        case,
        tfa.image.resampler,
        data=images(case),
        warp=rng("warp").uniform(-2, 10, (2, 4, 5, 2)).astype(np.float32),
    )


def colours_and_masks():
    case = "image.adjust_hsv_in_yiq"
    freeze(
        case, lambda image: tfa.image.adjust_hsv_in_yiq(image, 0.7, 1.3, 0.8), image=images(case)
    )
    case = "image.sharpness"
    freeze(
        case, lambda image: tfa.image.sharpness(image, 1.6)[:, 1:-1, 1:-1], image=bytes_image(case)
    )
    case = "image.euclidean_dist_transform"
    freeze(
        case,
        lambda mask: tfa.image.euclidean_dist_transform(mask[..., None])[..., 0],
        mask=(rng(case).random((2, 7, 9)) < 0.9).astype(np.uint8),
    )
    case = "image.connected_components"
    freeze(case, tfa.image.connected_components, mask=rng(case).random((7, 9)) < 0.5)


# Metrics


def metrics():
    probabilities = tf.nn.softmax(2 * normal("probabilities", 24, 4)).numpy()
    classes = np.eye(4, dtype=np.float32)[rng("classes").integers(0, 4, 24)]
    values = {"y_true": classes, "y_pred": probabilities}

    def result(metric, y_true, y_pred):
        metric.update_state(y_true[:10], y_pred[:10])
        metric.update_state(y_true[10:], y_pred[10:])
        return metric.result()

    freeze("metrics.F1Score", lambda *v: result(tfa.metrics.F1Score(4), *v), **values)
    freeze(
        "metrics.FBetaScore",
        lambda *v: result(tfa.metrics.FBetaScore(4, "macro", beta=0.5, threshold=0.4), *v),
        **values,
    )
    freeze("metrics.CohenKappa", lambda *v: result(tfa.metrics.CohenKappa(4), *v), **values)
    freeze(
        "metrics.MatthewsCorrelationCoefficient",
        lambda *v: result(tfa.metrics.MatthewsCorrelationCoefficient(4), *v),
        **values,
    )
    depth = normal("depth", 24, 3)
    freeze(
        "metrics.RSquare",
        lambda *v: result(tfa.metrics.RSquare(), *v),
        y_true=depth,
        y_pred=depth + 0.5 * normal("error", 24, 3),
    )


# Optimizers

STEPS = 6


def descend(optimizer, start, gradients):
    """The variable after each step."""
    variable = tf.Variable(start)
    path = []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        path.append(variable.numpy())
    return np.stack(path)


def optimizers():
    inputs = {"start": normal("start", 3, 4), "gradients": normal("gradients", STEPS, 3, 4)}

    def freeze_descent(name, **arguments):
        optimizer = getattr(tfa.optimizers, name)(learning_rate=0.05, **arguments)
        case = f"optimizers.{name}"
        freeze(case, lambda *inputs: descend(optimizer, *inputs), **inputs)

    freeze_descent("AdamW", weight_decay=0.02)
    freeze_descent("SGDW", weight_decay=0.02, momentum=0.9)
    freeze_descent("LAMB")

    def moving_average(start, gradients):
        average = tfa.optimizers.MovingAverage(
            tf.keras.optimizers.legacy.SGD(0.05), average_decay=0.8, start_step=1
        )
        variable = tf.Variable(start)
        path = []
        for gradient in gradients:
            average.apply_gradients([(tf.constant(gradient), variable)])
            path.append(average.get_slot(variable, "average").numpy())
        return np.stack(path)

    freeze("optimizers.MovingAverage", moving_average, **inputs)

    def multi_optimizer(start, gradients):
        """Two layers with the same start and gradients: SGD for one, Adam for the other."""
        trunk, head = (
            tf.keras.layers.Dense(4, use_bias=False, name=name) for name in ("trunk", "head")
        )
        for layer in (trunk, head):
            layer(tf.zeros((1, 3)))  # names the kernel after the layer, which the optimizer needs
            layer.kernel.assign(start)
        optimizer = tfa.optimizers.MultiOptimizer(
            [
                (tf.keras.optimizers.legacy.SGD(0.05), trunk),
                (tf.keras.optimizers.legacy.Adam(0.01), head),
            ]
        )
        for gradient in gradients:
            optimizer.apply_gradients([(gradient, trunk.kernel), (gradient, head.kernel)])
        return np.stack([trunk.kernel, head.kernel])

    freeze("optimizers.MultiOptimizer", multi_optimizer, **inputs)


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    losses()
    activations()
    layers()
    filters()
    geometry()
    warps()
    colours_and_masks()
    metrics()
    optimizers()
    np.savez_compressed(pathlib.Path(__file__).with_name("values.npz"), **VALUES)
