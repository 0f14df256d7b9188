"""Tables of stored latencies."""

import json

from mtl_tf.deployment.latency.table import latency_table, runtimes_table


def latency(runtime, threads, batch, median_ms, error=""):
    return {
        "runtime": runtime, "threads": threads, "batch": batch, "median_ms": median_ms,
        "p95_ms": median_ms, "images_per_s": 1.0, "memory_mib": 1.0, "error": error,
    }  # fmt: skip


def test_one_network_in_every_runtime(tmp_path):
    path = tmp_path / "latency.json"
    latencies = [
        latency("keras", 1, 1, 500.4),
        latency("onnx", 1, 1, 40.6),
        latency("onnx", 2, 8, 260.0),
        latency("litert", 1, 1, 0.0, error="failed"),
    ]
    path.write_text(json.dumps({"caption": "On a machine.", "latencies": latencies}))
    assert runtimes_table(path).splitlines() == [
        "On a machine.",
        "",
        "| ms | 1 thread, 1 image | 2 threads, 8 images |",
        "|---|---:|---:|",
        "| Keras, without a graph | 500 | – |",
        "| ONNX Runtime | 41 | 260 |",
    ]


def test_many_networks(tmp_path):
    path = tmp_path / "latency.json"
    networks = [
        {
            "architecture": architecture, "backbone": "resnet18", "machine": machine,
            "latencies": [latency("onnx", 2, 1, 70.2), {**latency("litert", 2, 1, None, "memory")}],
        }
        for architecture, machine in (("mtan", "A machine."), ("mti_net", "Another."))
    ]  # fmt: skip
    path.write_text(json.dumps({"networks": networks}))
    first, _, head, rule, *rows, _, note = latency_table(path).splitlines()
    assert (
        head == "| ms | `resnet18`: `tf.function` / ONNX Runtime / LiteRT |" and rule == "|---|---|"
    )
    assert rows == ["| `mtan` | – / 70 / – |", r"| `mti_net`\* | – / 70 / – |"]
    assert (first, note) == ("A machine.", r"\* Another.")
