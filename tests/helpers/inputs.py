"""Small random inputs in the shape of real batches."""

import numpy as np
import tensorflow as tf

TASKS = {"semseg": 5, "depth": 1, "normals": 3, "edges": 1, "saliency": 1, "human_parts": 7}


def batch(tasks=TASKS, size=4, height=32, width=64, seed=0):
    """`(image, targets, masks)` as float32 / int32 NumPy arrays; every pixel is valid."""
    r = np.random.default_rng(seed)
    shape = (size, height, width)
    targets = {}
    for task, channels in tasks.items():
        if task in ("semseg", "human_parts"):
            targets[task] = r.integers(0, channels, (*shape, 1)).astype(np.int32)
        elif task == "normals":
            vectors = r.standard_normal((*shape, 3))
            vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
            targets[task] = vectors.astype(np.float32)
        elif task == "depth":
            targets[task] = r.uniform(1, 5, (*shape, 1)).astype(np.float32)
        else:
            targets[task] = (r.random((*shape, 1)) < 0.3).astype(np.float32)
    masks = {task: np.ones(shape, np.float32) for task in tasks}
    return r.standard_normal((*shape, 3)).astype(np.float32), targets, masks


def dataset(tasks=TASKS, size=8, batch_size=4, **kwargs):
    """A `tf.data.Dataset` of `batch`."""
    return tf.data.Dataset.from_tensor_slices(batch(tasks, size, **kwargs)).batch(batch_size)


def small_model(tasks=TASKS, height=32, width=64):
    """A backbone of two convolutions and a shared trunk on it: fast, with batch normalisation."""
    import keras

    import mtl_tf as mtl

    image = keras.Input((height, width, 3))
    fine = mtl.layers.conv_block(image, 8, 3, 2)
    coarse = mtl.layers.conv_block(fine, 8, 3, 2)
    backbone = keras.Model(image, [fine, coarse], name="tiny")
    return mtl.architectures.SharedTrunk(backbone, tasks, (height, width, 3))


def tiny_backbone(height=16, width=24, channels=(4, 8, 12), seed=None):
    """Chained convolutions with batch normalisation, of strides 2, 4 and so on, finest first."""
    import keras

    import mtl_tf as mtl

    if seed is not None:
        keras.utils.set_random_seed(seed)
    image = keras.Input((height, width, 3))
    maps = [image]
    for i, number in enumerate(channels):
        names = (f"conv{i}", f"bn{i}")
        maps.append(mtl.layers.conv_block(maps[-1], number, 3, 2, names=names))
    return keras.Model(image, maps[1:], name="tiny")


def randomised(model, seed=0):
    """The model, with random statistics in its batch normalisations and noise on its weights."""
    r = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name == "moving_variance":
            variable.assign(r.uniform(0.5, 1.5, variable.shape))
        elif "float" in variable.dtype and variable.shape:
            variable.assign_add(0.1 * r.standard_normal(variable.shape))
    return model


def tiny_model(tasks=("depth", "normals"), height=8, width=8, channels=4, activation="relu"):
    """One shared convolution and a convolution per task, without batch normalisation."""
    import keras

    image = keras.Input((height, width, 3))
    shared = keras.layers.Conv2D(channels, 3, padding="same", activation=activation, name="shared")
    features = shared(image)
    outputs = {
        task: keras.layers.Conv2D(TASKS[task], 1, name=f"head_{task}")(features) for task in tasks
    }
    return keras.Model(image, outputs)


def tiny_trainer(balancing=None, tasks=("depth", "normals"), optimizer=None, seed=0, **kwargs):
    """A compiled trainer of `tiny_model`, without metrics: steps in milliseconds."""
    import keras

    import mtl_tf as mtl

    keras.utils.set_random_seed(seed)
    made = mtl.MultiTaskTrainer(tiny_model(tasks), {task: TASKS[task] for task in tasks})
    made.compile(
        optimizer or keras.optimizers.SGD(0.1),
        balancing=balancing,
        metrics={task: [] for task in tasks},
        **kwargs,
    )
    return made


def tiny_batch(tasks=("depth", "normals"), size=4, seed=0):
    """A batch for `tiny_trainer`."""
    return batch({task: TASKS[task] for task in tasks}, size, 8, 8, seed)


def flat_variables(made):
    """All trainable variables of a trainer as one vector."""
    return np.concatenate([np.ravel(v.numpy()) for v in made.trainable_variables])
