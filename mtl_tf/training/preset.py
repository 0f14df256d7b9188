"""A preset: a folder with a trained network, its tasks and a model card."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import keras

from mtl_tf.atomic_files import write_atomically
from mtl_tf.inspection.cost import summary
from mtl_tf.task_config import task_config
from mtl_tf.tasks import Task

MODEL_FILE = "model.keras"
CARD_FILE = "MODEL_CARD.md"
CLASSES_FILE = "classes.json"
_OWN_SECTIONS = ("Outputs", "Input", "Use", "Size")


def save_preset(
    trainer: keras.Model, folder: str | os.PathLike[str], card: Mapping[str, str]
) -> None:
    """Write the network of a trainer and its model card into a folder.

    Args:
        trainer: with its `network` and `tasks`. An architecture of this library stores its tasks
            itself; of another network the trainer is written with it.
        folder: of the preset; created if missing.
        card: further sections of the card, `{heading: Markdown}`.

    Raises:
        ValueError: if the network is not functional or a task cannot be stored; nothing is written
            then.
    """
    network, tasks = trainer.network, trainer.tasks
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "A preset needs a functional network of images [B, H, W, 3]. Received: "
            f"{type(network).__name__} with the input {shape}"
        )
    if not isinstance(card, Mapping) or not all(isinstance(x, str) for x in card.values()):
        raise ValueError(f"card must be {{heading: Markdown}}. Received: {card!r}")
    described = [task_config(task) for task in tasks]
    has_metadata = hasattr(network, "add_metadata")
    if has_metadata:
        network.add_metadata(tasks=described)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_network(network if has_metadata else trainer, folder / MODEL_FILE)
    write_atomically(folder / CARD_FILE, model_card(network, tasks, folder, card))


def save_network(network: keras.Model, path: pathlib.Path) -> None:
    """Save a network atomically: the file is written beside `path` and renamed.

    Args:
        network: the network.
        path: ends in `.keras`.
    """
    unfinished = path.with_name("unfinished.keras")
    unfinished.unlink(missing_ok=True)  # it could be a link that leads elsewhere
    network.save(unfinished)
    unfinished.replace(path)


def model_card(
    network: keras.Model, tasks: Sequence[Task], folder: pathlib.Path, card: Mapping[str, str]
) -> str:
    """Return the model card as Markdown: tasks, use, size, and the sections given.

    Args:
        network: the network.
        tasks: its tasks.
        folder: of the preset.
        card: further sections.

    Returns:
        The text of `MODEL_CARD.md`.
    """
    arguments = getattr(network, "arguments", {})
    height, width = network.input_shape[1:3]
    what = type(network).__name__
    if isinstance(arguments.get("backbone"), str):
        what = f"`{network.name}` with the backbone `{arguments['backbone']}`"
    takes = "RGB, values 0 to 255, normalised inside the network"
    if not arguments.get("include_preprocessing"):
        takes = "RGB, normalised by `mtl_tf.data.normalise` (mean and deviation of ImageNet)"
    rows = [
        f"| {task.name} | {task.channels} | {task.kind.value} | {_classes(task)} |"
        for task in tasks
    ]
    sections = {
        "Outputs": "\n".join(
            ["| task | channels | values | classes |", "|---|---:|---|---|", *rows]
        ),
        "Input": f"Images of height {height} and width {width} (`Predictor`: any size): {takes}.",
        "Use": f"""```python
import mtl_tf as mtl

trainer = mtl.from_preset("{folder.name}")         # this folder
outputs = trainer.network(images)                # {{task: raw prediction [B, H, W, channels]}}
prediction = mtl.Predictor("{folder.name}")("photo.jpg")
```""",
        "Size": _size(network),
        **card,
    }
    title = f"# Model card: {folder.resolve().name}\n\nA network for {len(tasks)} tasks: {what}."
    parts = [f"## {heading}\n\n{text.strip()}" for heading, text in sections.items()]
    return "\n\n".join([title, *parts]) + "\n"


def further_sections(card: str) -> dict[str, str]:
    """Return the sections of a model card that `model_card` does not make itself.

    Args:
        card: its Markdown.

    Returns:
        `{heading: Markdown}`.
    """
    sections = (part.partition("\n") for part in card.split("\n## ")[1:])
    return {head: text.strip() for head, _, text in sections if head not in _OWN_SECTIONS}


def _classes(task: Task) -> str:
    return ", ".join(name.replace("|", "\\|") for name in task.class_names) or "-"


def _size(network: keras.Model) -> str:
    text = f"{network.count_params():,} parameters"
    try:
        return f"{text}, {summary(network).multiply_adds / 1e9:.2f} billion multiply-adds."
    except (TypeError, ValueError):  # a layer whose cost cannot be counted
        return f"{text}."
