"""Report of a run: its images, the best and the worst of them, and the page."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from mtl_tf import data, evaluation
from mtl_tf.evaluation.diagnostics.image_scores import best_median_worst
from mtl_tf.metrics import resized
from mtl_tf.tasks import as_tasks
from mtl_tf.typing import Predictions, Tensor

_EXAMPLES = 6

Picture = dict[str, Any]


def write_run_report(
    folder: pathlib.Path,
    network: keras.Model,
    dataset: data.DenseDataset,
    summary: Mapping[str, Any],
    diagnostics: Mapping[str, Any],
) -> pathlib.Path:
    """Write the report of a run; see `mtl_tf.evaluation.write_report`.

    Args:
        folder: of the run.
        network: trained.
        dataset: of the run.
        summary: the content of `results.json`.
        diagnostics: of the evaluation.

    Returns:
        Path of `report.html`.
    """
    tasks = [task for task in as_tasks(dataset.tasks) if task.name in summary["results"]]
    scores = {
        task.name: np.array(diagnostics[task.name]["image_scores"], np.float64)  # None is NaN
        for task in tasks
    }
    places = {task.name: best_median_worst(scores[task.name], task) for task in tasks}
    examples = _examples(scores, {t.name: t.higher_is_better for t in tasks})
    wanted = {*examples, *(i for of_task in places.values() for i in of_task.values())}
    pictures = _pictures(network, dataset, wanted)
    cases = {
        task: {
            place: {**pictures[i], "score": scores[task][i]}
            for place, i in of_task.items()
            if pictures[i]["targets"][task].ndim == 3
        }
        for task, of_task in places.items()
    }
    return evaluation.write_report(
        folder, summary, [pictures[i] for i in examples], dataset.tasks, diagnostics, cases
    )


def _examples(
    scores: Mapping[str, np.ndarray], higher_is_better: Mapping[str, bool | None]
) -> list[int]:
    """Return the image with the best mean rank over the tasks, then evenly spaced ones."""
    count = len(next(iter(scores.values())))
    ranks = np.zeros(count)
    for task, values in scores.items():
        if higher_is_better[task] is None:
            continue
        signed = -values if higher_is_better[task] else values
        ranks += np.argsort(np.argsort(np.where(np.isnan(signed), np.inf, signed)))
    best = int(ranks.argmin())
    spaced = np.linspace(0, count - 1, min(count, _EXAMPLES), dtype=int).tolist()
    return [best, *(i for i in spaced if i != best)][:_EXAMPLES]


def _pictures(
    network: keras.Model, dataset: data.DenseDataset, wanted: set[int]
) -> dict[int, Picture]:
    """Return test images by position, with their names, outputs, targets and masks."""
    names = list(map(str, dataset.ids("test")))
    return {
        i: _picture(network, batch, names[i] if i < len(names) else "")
        for i, batch in enumerate(dataset.test().unbatch().batch(1))
        if i in wanted
    }


def _picture(
    network: keras.Model, batch: tuple[Tensor, Predictions, Predictions], name: str
) -> Picture:
    """Return an image with raw outputs at the size of its targets, as they are evaluated."""
    image, targets, masks = batch
    raw = network(image, training=False)
    outputs = {task: resized(raw[task], targets[task]) for task in targets if task in raw}
    return {
        "name": name,
        "image": data.denormalise(image[0].numpy()),
        **{
            part: {task: x[task][0].numpy() for task in outputs}
            for part, x in (("outputs", outputs), ("targets", targets), ("masks", masks))
        },
    }
