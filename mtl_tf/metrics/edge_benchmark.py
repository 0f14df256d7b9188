"""Boundary benchmark: F of edges over thresholds with one-to-one matching.

A prediction is binarised at 99 thresholds and thinned. Its pixels are matched one to one, by a
maximum matching, with the thinned annotated pixels that are closer than a fraction of the image
diagonal. Precision is the fraction of predicted pixels that are matched for some annotator, recall
the fraction of matched pixels of all annotators.
"""

import collections
import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np

from mtl_tf.ops import match_edges, thin_edges

THRESHOLDS = np.arange(1, 100) / 100
"""The 99 thresholds of the benchmark."""

Edges = tuple[np.ndarray, Sequence[np.ndarray], np.ndarray | None]
"""Scores `[H, W]` in 0..1, the annotators' maps `[H, W]` bool, and the validity mask."""


def edge_counts(
    scores: np.ndarray,
    annotations: Sequence[np.ndarray],
    valid: np.ndarray | None = None,
    max_distance: float = 0.0075,
) -> np.ndarray:
    """Count predicted, annotated and matched edge pixels of an image at each threshold.

    Source: Martin, Fowlkes and Malik, "Learning to detect natural image boundaries", TPAMI 2004.

    Args:
        scores: `[H, W]` in 0..1.
        annotations: one or more maps `[H, W]` bool, the edges of one annotator each.
        valid: `[H, W]` bool; predicted and annotated edges of other pixels are ignored.
        max_distance: maximum distance of matched pixels, as a fraction of the image diagonal.

    Returns:
        `[99, 4]` int64: predicted pixels, predicted pixels matched for some annotator, annotated
        pixels, matched annotated pixels; the latter two summed over annotators.

    Raises:
        ValueError: if there is no annotation, shapes differ, or `max_distance` is not positive.
    """
    shape = scores.shape
    if not annotations or any(
        a.shape != shape for a in (*annotations, scores if valid is None else valid)
    ):
        raise ValueError(
            "edge_counts needs scores [H, W] and at least one annotation of that shape. Received: "
            f"{shape} and {[a.shape for a in annotations]}"
        )
    if not max_distance > 0:
        raise ValueError(f"max_distance must be positive. Received: {max_distance}")
    valid = np.ones(shape, bool) if valid is None else valid
    annotated = thin_edges(np.stack([a & valid for a in annotations]))
    num_exceeded = np.searchsorted(THRESHOLDS, scores, side="right").astype(np.uint8) * valid
    levels = np.arange(len(THRESHOLDS), dtype=np.uint8)
    predicted = thin_edges(num_exceeded > levels[:, None, None])
    is_right = np.zeros_like(predicted)
    counts = np.zeros((len(THRESHOLDS), 4), np.int64)
    for edges in annotated:
        is_matched = match_edges(predicted, edges, max_distance * np.hypot(*shape))
        is_right |= is_matched
        counts[:, 2] += np.count_nonzero(edges)
        counts[:, 3] += _num_true(is_matched)
    counts[:, 0], counts[:, 1] = _num_true(predicted), _num_true(is_right)
    return counts


def _num_true(maps: np.ndarray) -> list[int]:
    """Count the true pixels of each map (much faster than with `axis`)."""
    return [int(np.count_nonzero(x)) for x in maps]


def edge_scores(counts: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """Compute the metrics of the benchmark from counts.

    Args:
        counts: `[N, 99, 4]` of N images, see `edge_counts`.
        weights: `[N]`, multiplicity of each image; 1 by default.

    Returns:
        `ods_f`: F at the threshold that maximises it for the pooled counts of all images; `ois_f`:
        F of the counts pooled at the best threshold of each image; `ap`: mean precision over the
        recalls 0, 0.01 .. 1, 0 at recalls that are not attained; `threshold`: that of `ods_f`.
    """
    weights = np.ones(len(counts)) if weights is None else weights
    pooled = np.tensordot(weights, counts, axes=1)
    precision, recall, f = _precision_recall_f(pooled)
    best = int(np.argmax(f))
    best_per_image = np.argmax(_precision_recall_f(counts)[2], axis=1)
    pooled_at_best = weights @ counts[np.arange(len(counts)), best_per_image]
    order = np.argsort(recall, kind="stable")
    recalls, first = np.unique(recall[order], return_index=True)
    recall_levels = np.linspace(0, 1, 101)
    precisions = np.interp(recall_levels, recalls, precision[order][first], left=0, right=0)
    return {
        "ods_f": float(f[best]),
        "ois_f": float(_precision_recall_f(pooled_at_best)[2]),
        "ap": float(precisions.mean()),
        "threshold": float(THRESHOLDS[best]),
    }


def _precision_recall_f(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    predicted, right, annotated, matched = np.moveaxis(counts.astype(np.float64), -1, 0)
    precision = right / np.maximum(predicted, 1)
    recall = matched / np.maximum(annotated, 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-300)


def edge_benchmark(
    images: Iterable[Edges],
    max_distance: float = 0.0075,
    num_workers: int = 1,
    verbose: bool = False,
) -> dict[str, float]:
    """Evaluate edges with the protocol of the boundary benchmark.

    Source: Martin, Fowlkes and Malik, TPAMI 2004; Arbelaez et al., TPAMI 2011.

    Args:
        images: `(scores, annotations, valid)` of each image, see `edge_counts`.
        max_distance: maximum distance of matched pixels, as a fraction of the image diagonal:
            0.0075 for BSDS and PASCAL-Context, 0.011 for NYUD.
        num_workers: number of processes.
        verbose: whether to show a progress bar.

    Returns:
        `ods_f`, `ois_f`, `ap`, fractions, and `threshold`; see `edge_scores`.

    Raises:
        ValueError: if there is no image, or an image is invalid, see `edge_counts`.
    """
    progress = keras.utils.Progbar(None) if verbose else None
    counts = []
    for count in count_in_processes(images, max_distance, num_workers):
        counts.append(count)
        if progress is not None:
            progress.update(len(counts))
    if not counts:
        raise ValueError("There is no image to evaluate")
    return edge_scores(np.stack(counts))


def count_in_processes(
    images: Iterable[Edges], max_distance: float, num_workers: int = 1
) -> Iterator[np.ndarray]:
    """Yield `edge_counts` of a stream of images, in order, computed in parallel processes.

    Source: this library.

    Args:
        images: as for `edge_benchmark`.
        max_distance: as for `edge_counts`.
        num_workers: number of processes; 1 counts in the calling process.

    Yields:
        `[99, 4]` of each image.
    """
    with EdgeQueue(max_distance, num_workers) as queue:
        for image in images:
            queue.put(*image)
            yield from queue.finished()
        yield from queue.remaining()


class EdgeQueue:
    """Queue of images whose `edge_counts` are computed in worker processes.

    Source: this library.

    Args:
        max_distance: as for `edge_counts`.
        num_workers: processes; 1 counts in this one.

    Examples:
        >>> with EdgeQueue(max_distance=0.1) as queue:
        ...     queue.put(np.zeros((4, 6)), [np.zeros((4, 6), bool)])
        ...     [counts.shape for counts in queue.remaining()]
        [(99, 4)]
    """

    def __init__(self, max_distance: float, num_workers: int = 1) -> None:
        self._max_distance = max_distance
        self._max_running = 4 * num_workers  # bounds the images in memory
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        if num_workers != 1:
            context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
            self._pool = concurrent.futures.ProcessPoolExecutor(
                num_workers, mp_context=context, initializer=_end_with_parent
            )
        self._running: collections.deque[concurrent.futures.Future[np.ndarray]]
        self._running = collections.deque()
        self._finished: list[np.ndarray] = []

    def __enter__(self) -> "EdgeQueue":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def put(
        self, scores: np.ndarray, annotations: Sequence[np.ndarray], valid: np.ndarray | None = None
    ) -> None:
        """Add an image; wait while too many are being counted.

        Args:
            scores: as for `edge_counts`.
            annotations: as for `edge_counts`.
            valid: as for `edge_counts`.
        """
        if self._pool is None:
            self._finished.append(edge_counts(scores, annotations, valid, self._max_distance))
            return
        arguments = scores, annotations, valid, self._max_distance
        self._running.append(self._pool.submit(edge_counts, *arguments))
        while len(self._running) > self._max_running:
            self._finished.append(self._running.popleft().result())

    def finished(self) -> list[np.ndarray]:
        """Return and remove the counts `[99, 4]` of finished images, in order."""
        counts, self._finished = self._finished, []
        return counts

    def remaining(self) -> list[np.ndarray]:
        """Wait for all images; return and remove their counts `[99, 4]`, in order."""
        while self._running:
            self._finished.append(self._running.popleft().result())
        return self.finished()


def _end_with_parent() -> None:
    """Exit this worker process when its parent process ends, also if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
