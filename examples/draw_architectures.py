"""Draw every architecture of `mtl.architectures.TABLE` from its graph, for the docs.

Command: `python examples/draw_architectures.py [FOLDER]` (default: `docs/architectures`)
"""

import pathlib
import sys

import mtl_tf as mtl

TASKS = {"semseg": 13, "depth": 1, "normals": 3}


def main(folder: str = "docs/architectures") -> None:
    """Write one SVG file per architecture into `folder`."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for name, row in mtl.architectures.TABLE.items():
        number = {"single_task": 1, "jtrl": 2}.get(name, len(TASKS))
        tasks = dict(list(TASKS.items())[:number])
        model = row.cls("resnet18", tasks, (64, 64, 3))
        mtl.architectures.draw(model, pathlib.Path(folder) / f"{name}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
