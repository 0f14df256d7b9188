"""What float16 and int8 cost in a file of `quick`, as a table in Markdown.

    python -m benchmarks.precision_of_exports FOLDER [docs/results/exports.md]

FOLDER is the NYU Depth v2 pack. int8 is calibrated with 48 of its training images; the files are
compared with Keras on twelve images that the network was not trained on.
"""

import argparse
import pathlib
import tempfile

import mtl_tf as mtl
from mtl_tf.atomic_files import write_atomically

FILES = {
    "ONNX, float16": (".onnx", "float16"),
    "ONNX, int8": (".onnx", "int8"),
    "LiteRT, float16": (".tflite", "float16"),
    "LiteRT, int8": (".tflite", "int8"),
}
FORMATS = {"semseg": "{:.2%}", "depth": "{:.3f} m", "normals": "{:.2f}°", "edges": "{:.4f}"}
HEADINGS = ("file", "size", "pixels of another class", "depth", "normals", "edges")
CALIBRATED_WITH, COMPARED_ON = 48, 12


def main() -> None:
    """Export, compare, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", nargs="?", default="docs/results/exports.md", type=pathlib.Path)
    options = parser.parse_args()
    data = mtl.data.NYUDv2(options.folder, num_classes=13)
    calibration, photos = (
        [data.paths(ids[i * len(ids) // count])["image"] for i in range(count)]
        for ids, count in (
            (data.splits["train"], CALIBRATED_WITH),
            (data.splits["val"], COMPARED_ON),
        )
    )
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|" + "---:|" * 5]
    with tempfile.TemporaryDirectory() as folder:
        exact = pathlib.Path(folder, "exact.onnx")
        mtl.deployment.export_model("quick", exact, photos=photos)
        lines.append(f"| ONNX, float32 | {exact.stat().st_size / 1e6:.1f} MB |{' |' * 4}")
        for name, (suffix, precision) in FILES.items():
            out = exact.with_name(f"{precision}{suffix}")
            differences = mtl.deployment.export_model(
                "quick",
                out,
                photos=photos,
                with_preprocessing=True,
                with_postprocessing=True,
                precision=precision,
                calibration=calibration,
            )
            texts = [text.format(differences[task]) for task, text in FORMATS.items()]
            texts[0] = texts[0].replace("%", " %")
            size = f"{out.stat().st_size / 1e6:.1f} MB"
            lines.append(f"| {name} | {size} | {' | '.join(texts)} |")
            print(lines[-1], flush=True)
    write_atomically(options.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
