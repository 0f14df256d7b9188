"""Claim: edges are judged as the tables in papers judge them at 4 images a second and core.

Command: `MTL_TF_DATA=... pytest benchmarks/test_edge_benchmark.py --benchmark-enable -s`.
False if one process judges fewer than 4 photographs of 321x481 pixels a second at all 99
thresholds, the predictions being gradient magnitudes, which nothing has thinned before.
"""

import itertools
import os
import time

import cv2
import numpy as np
import pytest

import mtl_tf as mtl
from benchmarks.support.workload import Bars

TOLERANCE = 0.0075


def gradient_magnitude(image):
    """Scores in 0..1 of a smoothed image's largest colour gradient."""
    smooth = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), 2.0)
    gradient = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)).max(-1)
    return np.minimum(gradient / 0.6, 1)


def images(data):
    for image_id in data.ids("train") + data.ids("val"):
        sample = data.load(image_id)
        edges = sample.targets["edges"][..., 0] > 0
        yield gradient_magnitude(sample.image), [edges], sample.masks["edges"] | edges


@pytest.mark.skipif("MTL_TF_DATA" not in os.environ, reason="set MTL_TF_DATA to real data")
def test_edge_benchmark(benchmark):
    data = mtl.data.BsdsSod(f"{os.environ['MTL_TF_DATA']}/bsds-sod", ["edges"])
    some = list(itertools.islice(images(data), 20))
    begun = time.process_time()
    mtl.metrics.edge_benchmark(some, TOLERANCE)
    rate = len(some) / (time.process_time() - begun)
    begun = time.perf_counter()
    found = mtl.metrics.edge_benchmark(images(data), TOLERANCE, num_workers=2)
    seconds = time.perf_counter() - begun
    benchmark.pedantic(mtl.metrics.edge_counts, some[0], rounds=3)
    bars = Bars(benchmark, "Edges of 200 photographs, gradient magnitude")
    bars.at_least("images a second and core", rate, 4)
    bars.note("seconds for all, two processes", seconds)
    for name, value in found.items():
        bars.note(name, value)
    bars.settle()
