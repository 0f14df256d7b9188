"""Downloads from a local server that refuses, breaks off, stalls or sends something else."""

import concurrent.futures
import hashlib
import http.server
import pathlib
import threading
import time

import numpy as np
import pytest

from mtl_tf.weights import download as download_module
from mtl_tf.weights import published_weights
from mtl_tf.weights.download import download
from mtl_tf.weights.published_weights import PublishedWeights, WeightsFile, find

CONTENT = np.random.default_rng(0).bytes(200_000)
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `CONTENT`; `behaviour` says how."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = "whole"
        self.requests = []
        self.content = CONTENT

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights-file.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        if server.behaviour in (403, 404, 500):
            self.send_error(server.behaviour)
            return
        start = 0
        if wanted and server.behaviour != "no ranges":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.behaviour == "breaks off":
            self.wfile.write(body[:70_000])
            self.close_connection = True
        elif server.behaviour == "sends nothing":
            self.close_connection = True
        elif server.behaviour == "stalls":
            self.wfile.write(body[:70_000])
            self.wfile.flush()
            time.sleep(0.5)
            self.close_connection = True
        elif server.behaviour == "slow":
            for i in range(0, len(body), 50_000):
                self.wfile.write(body[i : i + 50_000])
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self.wfile.write(body)


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def file(server):
    return WeightsFile(server.url, DIGEST)


def fetch(file, folder):
    path = folder / "made" / file.name
    download(file.location, path, file.check)
    return path


def visible(folder):
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("behaviour", ["whole", "breaks off", "slow", "stalls", "no ranges"])
def test_the_file_arrives_whole(behaviour, server, file, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "_TIMEOUT_S", 0.2 if behaviour == "stalls" else 5.0)
    server.behaviour = behaviour
    path = fetch(file, tmp_path)
    assert path.read_bytes() == CONTENT
    assert visible(path.parent) == [file.name]
    if behaviour in ("breaks off", "stalls"):
        assert server.requests == [None, "bytes=70000-", "bytes=140000-"]


@pytest.mark.parametrize("length", [1, 100_000, len(CONTENT)])
@pytest.mark.parametrize("behaviour", ["whole", "no ranges"])
def test_a_partial_file_is_continued(length, behaviour, server, file, tmp_path):
    server.behaviour = behaviour
    part = tmp_path / "made" / f"{file.name}.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:length])
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert server.requests == [f"bytes={length}-"]


@pytest.mark.parametrize("behaviour", [403, 404])
def test_a_refusal_is_an_error_at_once(behaviour, server, file, tmp_path):
    server.behaviour = behaviour
    with pytest.raises(ConnectionError, match=f"{server.url} answers: {behaviour}"):
        fetch(file, tmp_path)
    assert len(server.requests) == 1
    assert not visible(tmp_path / "made")


@pytest.mark.parametrize("behaviour", [500, "sends nothing"])
def test_a_server_without_progress_is_given_up(behaviour, server, file, tmp_path):
    server.behaviour = behaviour
    with pytest.raises(ConnectionError, match=f"{server.url} cannot be downloaded: "):
        fetch(file, tmp_path)
    assert len(server.requests) == 4


def test_another_content_is_refused_and_deleted(server, file, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(ValueError, match=r"sent another file, .*sha256 must begin"):
        fetch(file, tmp_path)
    assert not visible(tmp_path / "made")


def test_a_part_of_another_file_costs_one_attempt(server, file, tmp_path):
    part = tmp_path / "made" / f"{file.name}.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match="has sent another file"):
        fetch(file, tmp_path)
    assert fetch(file, tmp_path).read_bytes() == CONTENT


def test_of_several_one_downloads_and_the_others_wait(server, file, tmp_path):
    server.behaviour = "slow"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(file, tmp_path), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.requests == [None]


def test_a_folder_that_cannot_be_written_is_named(server, file, tmp_path):
    (tmp_path / "made").write_text("a file")
    with pytest.raises(ConnectionError, match=r"weights-file\.pth cannot be written"):
        fetch(file, tmp_path)
    assert server.requests == []


def test_a_link_at_the_partial_file_is_not_followed(server, file, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "made" / f"{file.name}.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConnectionError, match="cannot be written"):
        fetch(file, tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_an_address_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="url must start with https"):
        download("file:///etc/hostname", tmp_path / "x", lambda path: None)


# === Where a file is found ===


@pytest.fixture
def table(server, tmp_path, monkeypatch):
    """A table of one file on the server, an empty cache, and no folder."""
    rows = {"net": PublishedWeights(WeightsFile(server.url, DIGEST), "MIT", "nobody")}
    monkeypatch.setattr(published_weights, "TABLE", rows)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("MTL_TF_WEIGHTS", raising=False)
    return rows


def test_it_is_downloaded_once(table, server, tmp_path):
    path = find("net")
    assert path == tmp_path / "keras" / "models" / "weights-file.pth"
    assert find("net") == path
    assert len(server.requests) == 1


def test_a_folder_comes_before_cache_and_download(table, server, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "weights-file.pth").write_bytes(CONTENT)
    monkeypatch.setenv("MTL_TF_WEIGHTS", str(tmp_path / "mine"))
    assert find("net") == tmp_path / "mine" / "weights-file.pth"
    assert server.requests == []


def test_a_package_comes_first(table, server, tmp_path, monkeypatch):
    folder = tmp_path / "site" / "net_weights" / "models"
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(CONTENT)
    (folder.parent / "__init__.py").write_text("raise AssertionError('it is not imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    row = table["net"]
    packaged = WeightsFile("net_weights/models/net.pth", DIGEST)
    table["net"] = PublishedWeights(row.download, row.licence, row.source, packaged)
    assert find("net") == folder / "net.pth"
    (folder / "net.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=r"net\.pth is damaged"):
        find("net")


def test_a_damaged_file_is_named(table, tmp_path):
    path = find("net")
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(ValueError, match=r"weights-file\.pth is damaged .*Delete it"):
        find("net")


def test_without_a_network_the_remedy_is_named(table, server, monkeypatch):
    monkeypatch.setattr(published_weights, "download", lambda *_: unreachable())
    with pytest.raises(ConnectionError, match=r"net is on this machine.*set MTL_TF_WEIGHTS"):
        find("net")


def unreachable():
    raise ConnectionError("http://nowhere cannot be downloaded: no route")


def test_a_folder_that_is_none_is_refused(table, tmp_path, monkeypatch):
    monkeypatch.setenv("MTL_TF_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="MTL_TF_WEIGHTS must be a folder"):
        find("net")


def test_every_backbone_has_published_weights():
    import mtl_tf as mtl

    assert mtl.weights.TABLE.keys() == mtl.backbones.TABLE.keys()
    for row in mtl.weights.TABLE.values():
        assert row.download.location.startswith("https://")
        algorithm, _, digits = row.download.digest.partition(":")
        assert len(digits) >= 8
        assert algorithm in hashlib.algorithms_guaranteed
        if "-" in row.download.name and algorithm == "sha256":
            assert pathlib.Path(row.download.name).stem.endswith(digits)


def test_unknown_backbones_are_refused():
    with pytest.raises(ValueError, match="no published weights of 'vgg16'"):
        find("vgg16")
