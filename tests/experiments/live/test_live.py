"""The live view: runs at every stage, what the server answers, and what it refuses."""

import http.client
import json
import re
import threading
import urllib.error
import urllib.request

import pytest
from PIL import Image

from mtl_tf import cli
from mtl_tf.experiments import make_config
from mtl_tf.experiments.live import page, runs, server

HISTORY = [
    {"loss": 3.0, "semseg_loss": 2.0, "val_semseg_miou": 0.1, "learning_rate": 1e-3},
    {"loss": 2.0, "semseg_loss": 1.0, "val_semseg_miou": 0.25, "learning_rate": 5e-4},
]


def make_run(folder, history=HISTORY, finished=False, **options):
    folder.mkdir(parents=True)
    config = make_config(tasks=("semseg", "depth"), epochs=9, **options)
    (folder / "config.json").write_text(config.to_json())
    if finished:
        results = {"results": {"semseg": {"miou": 0.25}}, "history": history}
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "report.html").write_text("<p>the report</p>")
    elif history:
        backup = folder / "backup" / f"epoch_{len(history):06d}"
        backup.mkdir(parents=True)
        (backup / "metadata.json").write_text(json.dumps({"history": history}))
    (folder / "epochs").mkdir()
    Image.new("RGB", (8, 6)).save(folder / "epochs" / "0001.webp")
    return folder


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    make_run(root / "done", finished=True, balancing="dwa")
    make_run(root / "survey" / "cells" / "abc", HISTORY[:1], architecture="mtan")
    make_run(root / "new <b>", [])
    (root / "damaged").mkdir()
    (root / "damaged" / "config.json").write_text("{")
    (tmp_path / "secret.html").write_text("secret")
    return root


def test_runs_are_known_at_every_stage(root):
    known = {run.name: run for run in runs.read_runs(root)}
    assert set(known) == {"done", "survey/cells/abc", "new <b>"}
    assert (known["done"].state, known["done"].progress) == ("finished", "epoch 2 of 9")
    assert known["survey/cells/abc"].state == "stopped"
    assert "mtan" in known["survey/cells/abc"].title
    assert known["new <b>"].history == [] and known["new <b>"].pictures == ["0001.webp"]


def test_a_locked_run_is_running(root):
    fcntl = pytest.importorskip("fcntl")
    with (root / "new <b>" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        states = {run.name: run.state for run in runs.read_runs(root)}
    assert states["new <b>"] == "running"
    assert {run.name: run.state for run in runs.read_runs(root)}["new <b>"] == "stopped"


def test_the_page_compares_the_chosen_runs(root):
    text = page.content(root, ["done", "survey/cells/abc", "unknown"])
    assert text.count("checked") == 2 and "25.0 % ↑" in text
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert "semseg: mean IoU of the validation images" in titles and "Learning rate" in titles
    assert "new &lt;b&gt;" in text and "<b>" not in text
    assert page.content(root, []).count("checked") == 1
    assert "No runs yet" in page.content(root / "damaged", [])


def test_the_server_gives_reports_and_pictures_only(root):
    with server.make_server(root) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        host, port = made.server_address
        assert host == "127.0.0.1"

        def get(path, **headers):
            connection = http.client.HTTPConnection(host, port)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")

        assert get("/")[0] == 200 and "Runs in runs" in get("/")[1]
        status, text = get("/content?run=done")
        assert status == 200 and "<svg" in text
        assert get("/runs/done/report.html") == (200, "<p>the report</p>")
        assert get("/runs/new%20%3Cb%3E/epochs/0001.webp")[0] == 200
        for path in (
            "/runs/done/config.json",
            "/runs/done/../../secret.html",
            "/runs/../secret.html",
            "/runs/done/epochs/../report.html",
            "/etc/passwd",
            "/runs/new%20%3Cb%3E/report.html",
        ):
            assert get(path)[0] == 404, path
        assert get("/", Host="example.org")[0] == 403
        made.shutdown()


def test_a_missing_folder_and_a_bad_port_are_named(tmp_path, capsys):
    assert cli.main(["view", str(tmp_path / "none")]) == 2
    assert "is no folder" in capsys.readouterr().err
    assert cli.main(["view", str(tmp_path), "--port", "99999"]) == 2
    assert "--port" in capsys.readouterr().err


def test_train_opens_the_page_of_its_folder(tmp_path, monkeypatch):
    pages = []

    def look(address):
        with urllib.request.urlopen(address) as answer:
            pages.append((address, answer.read().decode()))

    monkeypatch.setattr("webbrowser.open", look)

    out = make_run(tmp_path / "runs" / "one")  # where no other run may start
    assert cli.main(["train", "--preset", "demo", "--out", str(out), "--open"]) == 2
    ((address, text),) = pages
    assert address.startswith("http://127.0.0.1:") and "Runs in runs" in text
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)  # it ends with the run
