"""Predict all tasks for a photo in one forward pass; write arrays and pictures.

Command: `python examples/predict_photo.py runs/quick/model.keras photo.jpg`. For every task, this
writes an array and a picture next to the photo, for example `photo_depth.npy` (metres) and
`photo_depth.png`.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

import mtl_tf as mtl


def main(model_path: str, photo_path: str) -> None:
    """Predict, write the files and print the range of each prediction."""
    photo = pathlib.Path(photo_path)
    model = keras.saving.load_model(model_path)
    with Image.open(photo) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")  # apply the EXIF orientation
    size = picture.size[::-1]
    image = picture.resize(model.input_shape[2:0:-1], Image.Resampling.BOX)
    outputs = model(mtl.data.normalise(np.asarray(image))[None], training=False)
    for task, raw in outputs.items():
        if task not in mtl.TASKS:
            continue  # an initial prediction
        values = mtl.TASKS[task].activation(tf.image.resize(raw, size))[0].numpy()
        np.save(photo.with_name(f"{photo.stem}_{task}.npy"), values)
        coloured = mtl.evaluation.colourise(task, values)
        Image.fromarray(coloured).save(photo.with_name(f"{photo.stem}_{task}.png"))
        print(f"{task}: {values.shape}, {values.min():.3g} to {values.max():.3g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
