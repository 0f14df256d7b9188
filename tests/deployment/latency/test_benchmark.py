"""Latencies of a network in its runtimes."""

import json
import sys
import time

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf import cli
from mtl_tf.deployment.export import export_model
from mtl_tf.deployment.latency import RUNTIMES, Latency, benchmark, measurement


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tasks = {"semseg": 3, "depth": 1}
    network = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 64, 3), head="conv")
    network.save(folder / "model.keras")
    export_model(network, folder / "two.onnx", batch=2)
    (folder / "damaged.tflite").write_bytes(b"no such thing")
    return folder


@pytest.mark.slow
def test_every_runtime_is_measured(files):
    lines = []
    options = {"batches": [1, 2], "seconds": 0.1, "progress": lines.append}
    results = benchmark(files / "model.keras", [files / "two.onnx"], **options)
    names = (*RUNTIMES, "two.onnx")
    assert [(r.runtime, r.threads, r.batch) for r in results] == [
        *((name, threads, batch) for name in RUNTIMES for threads in (1, 2) for batch in (1, 2)),
        *(("two.onnx", threads, 2) for threads in (1, 2)),
    ]
    for result in results:
        assert not result.error and 0 < result.median_ms <= result.p95_ms
        rate = 1000 * result.batch / result.median_ms
        assert result.images_per_s == pytest.approx(rate) and result.memory_mib > 0
    assert len([line for line in lines if "thread" in line]) == 2 * len(names)


def test_the_times_are_those_of_the_call():
    def sleep(images):
        assert images.shape == (2, 8, 8, 3)
        time.sleep(0.02)

    times = measurement._times_ms(sleep, np.zeros((2, 8, 8, 3)), seconds=0.2)
    assert 5 <= len(times) <= 10 and 20 <= np.median(times) < 60


def test_the_command_line(files, capsys):
    command = ["benchmark", str(files / "model.keras"), str(files / "damaged.tflite")]
    flags = ["--runtimes", "", "--threads", "1", "--batches", "1", "--seconds", "0.1"]
    assert cli.main([*command, *flags]) == 1
    captured = capsys.readouterr()
    assert "failed" in captured.out and "cannot be loaded as litert" in captured.out
    assert "damaged.tflite, 1 thread ..." in captured.err
    json_lines = []
    assert cli.main([*command, *flags, "--json"]) == 1
    (failed,) = json.loads(capsys.readouterr().out, parse_constant=json_lines.append)
    assert failed["median_ms"] is None and not json_lines
    assert cli.main(["benchmark", str(files / "two.onnx"), *flags[2:], "--json"]) == 0
    (result,) = (Latency(**values) for values in json.loads(capsys.readouterr().out))
    assert result.runtime == "two.onnx" and result.batch == 2 and result.median_ms > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtimes": ["torch"]}, "runtimes must be of"),
        ({"threads": [0]}, "at least 1"),
        ({"batches": []}, "at least 1"),
        ({"seconds": 0}, "above 0"),
        ({"runtimes": []}, "Give a model and runtimes"),
    ],
)
def test_wrong_options(files, options, message):
    with pytest.raises(ValueError, match=message):
        benchmark(files / "model.keras", **options)


def test_an_export_that_fails_is_a_row(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    options = {"runtimes": ["onnx"], "threads": [1], "batches": [1]}
    (result,) = benchmark(files / "model.keras", **options)
    assert "needs onnx" in result.error and np.isnan(result.median_ms)


def test_what_is_missing(files, capsys):
    with pytest.raises(FileNotFoundError, match=r"none\.onnx is missing"):
        benchmark(None, [files / "none.onnx"])
    with pytest.raises(ValueError, match="Give a model"):
        benchmark(None)
    assert cli.main(["benchmark", str(files / "model.keras"), "--threads", "two"]) == 2
    assert "whole numbers separated by commas" in capsys.readouterr().err
