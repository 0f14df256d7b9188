"""Selection of the best epoch: by Delta-m or by one task."""

import pathlib
from collections.abc import Iterable

import keras

from mtl_tf import data, evaluation, metrics, training
from mtl_tf.atomic_files import read_summary
from mtl_tf.experiments.config import Config
from mtl_tf.tasks import as_tasks
from mtl_tf.typing import Results


def single_task_results(folders: Iterable[pathlib.Path]) -> dict[str, dict[str, float]]:
    """Read the results of finished single-task runs, the reference of Delta-m.

    Args:
        folders: of the runs.

    Returns:
        `{task: {metric: value}}`.

    Raises:
        ValueError: naming a folder without results, a run of several tasks, or a second run of one
            task.
    """
    of_all: dict[str, dict[str, float]] = {}
    for folder in folders:
        try:
            results = read_summary(folder)["results"]
        except ValueError as error:
            raise ValueError(f"{folder} is not a finished run: {error}") from error
        if len(results) != 1:
            raise ValueError(
                f"{folder} must be a run of a single task to compare with. It has {list(results)}"
            )
        if of_all.keys() & results.keys():
            raise ValueError(f"{folder} is a second run of {list(results)}: give one for each task")
        of_all.update(results)
    return of_all


def keep_best(
    config: Config, folder: pathlib.Path, dataset: data.DenseDataset, reference: Results
) -> training.KeepBest:
    """Return the callback that keeps the best of the last `config.best_of` epochs.

    Args:
        config: `best_of`, `best_by` and `epochs` are used.
        folder: of the run; the epoch is written to `folder/best`.
        dataset: its validation split is evaluated, with targets at their own size.
        reference: results that Delta-m is relative to, of every task with a final prediction.
    """
    tasks = {task.name: task for task in as_tasks(dataset.tasks)}

    def evaluate(model: keras.Model) -> dict[str, dict[str, float]]:
        batches = dataset.batches("val", original_size=True)
        return evaluation.evaluate(model, batches, dataset.tasks)

    def score(results: Results) -> float:
        names = list(results) if config.best_by == "delta_m" else [config.best_by]
        return metrics.delta_m(results, reference, [tasks[name] for name in names])

    # With one epoch to choose from nothing has to be evaluated.
    first = config.epochs - config.best_of if config.best_of > 1 else config.epochs
    return training.KeepBest(folder / "best", evaluate, score, max(first, 0))
