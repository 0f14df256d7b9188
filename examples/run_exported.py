"""Run and time an exported network without Keras: ONNX in onnxruntime or LiteRT in its interpreter.

Commands:

    mtl-tf export quick model.onnx --with-preprocessing --with-postprocessing
    python examples/run_exported.py model.onnx photo.jpg

For LiteRT, write `model.tflite`.
"""

import sys
import time

import numpy as np
from PIL import Image, ImageOps

PASSES = 20


def onnx(path):
    """Return the height, the width, and a function from an image to `{task: raw prediction}`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    (image,) = session.get_inputs()
    tasks = [output.name for output in session.get_outputs()]

    def run(x):
        return dict(zip(tasks, session.run(tasks, {image.name: x}), strict=True))

    height, width = (n if isinstance(n, int) else None for n in image.shape[1:3])
    return height, width, run


def litert(path):
    """Return the same as `onnx`, for LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path).get_signature_runner()
    ((name, image),) = runner.get_input_details().items()
    return *image["shape"][1:3], lambda x: runner(**{name: x})


def main(model_path: str, photo_path: str) -> None:
    """Print the range of each output and the number of images per second."""
    height, width, run = (onnx if model_path.endswith(".onnx") else litert)(model_path)
    with Image.open(photo_path) as photo:
        picture = ImageOps.exif_transpose(photo).convert("RGB")
    if height and width:  # else it takes images of any size
        picture = picture.resize((width, height))
    image = np.asarray(picture, np.float32)[None]  # RGB, 0 to 255
    for task, raw in run(image).items():
        print(f"{task}: {raw.shape}, {raw.min():.3g} to {raw.max():.3g}")
    start = time.perf_counter()
    for _ in range(PASSES):
        run(image)
    print(f"{PASSES / (time.perf_counter() - start):.1f} images per second, all tasks")


if __name__ == "__main__":
    main(*sys.argv[1:])
