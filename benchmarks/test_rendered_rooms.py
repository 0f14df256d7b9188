"""Claim: two cores render at least 100 rooms of 96x128 a second.

Command: `make bench`, or `pytest benchmarks/test_rendered_rooms.py --benchmark-enable`.
False if: the median time of 100 images by two processes is above one second on a quiet machine.
"""

import concurrent.futures
import multiprocessing

from mtl_tf.data.rendered_rooms.render import render


def render_range(first):
    for index in range(first, first + 50):
        render(0, index, 96, 128)


def test_render_100_images_on_two_cores(benchmark):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(render_range, [0, 50]))
        benchmark.pedantic(
            lambda: list(pool.map(render_range, [1000, 2000])), rounds=5, iterations=1
        )


def test_render_one_image_on_one_core(benchmark):
    indices = iter(range(10**9))
    render(0, 0, 96, 128)
    benchmark(lambda: render(0, next(indices), 96, 128))
