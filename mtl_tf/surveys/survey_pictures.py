"""Pictures of a survey: the same images through every network."""

from collections.abc import Sequence
from typing import Any

from mtl_tf import data
from mtl_tf.deployment.saved_models import load_network
from mtl_tf.evaluation.reporting.pictures import MapPictures, embedded
from mtl_tf.experiments import load_data
from mtl_tf.surveys.grid import SINGLE_TASK
from mtl_tf.surveys.processes import Outcome, first_of_rows
from mtl_tf.tasks import as_tasks

_NUM_PICTURES = 3


def survey_pictures(finished: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return rows of maps by task, of the same validation images from every network.

    Args:
        finished: outcomes of the finished cells.

    Returns:
        For each image: `image`, `tasks`, and `lines` of a `name` and its `maps` by task.
    """
    rows = first_of_rows(finished)
    if not rows:
        return []
    dataset = load_data(rows[0].cell.config)
    batches = list(dataset.val().unbatch().batch(1).take(_NUM_PICTURES))
    examples: list[dict[str, Any]] = [
        {
            "image": data.denormalise(image[0].numpy()),
            "targets": {task: targets[task][0].numpy() for task in dataset.tasks},
            "masks": {task: masks[task][0].numpy() for task in dataset.tasks},
        }
        for image, targets, masks in batches
    ]
    maps = MapPictures(as_tasks(dataset.tasks), examples)
    pictures: list[dict[str, Any]] = []
    for example in examples:
        targets, masks = example["targets"], example["masks"]
        of_targets = {
            task: maps.target(task, target, masks[task])
            for task, target in targets.items()
            if target.ndim == 3  # whole images have no map
        }
        pictures.append(
            {
                "image": embedded(example["image"]),
                "tasks": list(of_targets),
                "lines": [{"name": "target", "maps": of_targets}],
            }
        )
    seed = rows[0].cell.config.seed
    single = [o for o in finished if o.cell.row[0] == SINGLE_TASK and o.cell.config.seed == seed]
    networks = [("single-task networks", single), *((", ".join(o.cell.row), [o]) for o in rows)]
    for name, outcomes in networks:
        predictions: list[dict[str, str]] = [{} for _ in batches]
        for outcome in outcomes:
            model = load_network(outcome.folder / "model.keras")
            for i, (image, _, _) in enumerate(batches):
                outputs = model(image, training=False)
                for task in outputs.keys() & pictures[i]["lines"][0]["maps"].keys():
                    predictions[i][task] = maps.prediction(task, outputs[task][0])
        for picture, of_network in zip(pictures, predictions, strict=True):
            if of_network:
                picture["lines"].append({"name": name, "maps": of_network})
    return pictures
