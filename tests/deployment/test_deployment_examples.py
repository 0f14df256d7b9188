"""The examples in C++ and the server: what they print is what Python says."""

import hashlib
import importlib.metadata
import io
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.deployment import ExportedModel, Predictor, export_model
from tests.helpers.inputs import tiny_backbone

ROOT = pathlib.Path.cwd()
FOLDER = ROOT / "examples/deployment"
TASKS = {"semseg": 3, "depth": 1, "normals": 3}
HEADERS = (
    "http://deb.debian.org/debian/pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb",
    "14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08",
)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(scope="module")
def network():
    return mtl.architectures.SharedTrunk(
        tiny_backbone(32, 64, seed=0), TASKS, (32, 64, 3), head="conv"
    )


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    small = np.random.default_rng(0).integers(0, 255, (4, 8, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("photo") / "photo.ppm"
    cv2.imwrite(str(path), cv2.resize(small, (64, 32), interpolation=cv2.INTER_CUBIC))
    return path


def compiled(source, out, *arguments):
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", str(FOLDER / source)]
    subprocess.run([*command, *arguments, "-o", str(out)], check=True)


def check_printed(program, model, photo):
    """The numbers that a program prints are those of the file in Python."""
    done = subprocess.run([program, model, photo], capture_output=True, text=True, check=True)
    printed = {}
    for line in done.stdout.splitlines():
        name, *numbers = line.split()
        printed[name] = [float(number) for number in numbers]
    image = cv2.imread(str(photo))[None, ..., ::-1]
    outputs = ExportedModel(model)(image)
    assert set(printed) == set(outputs) == set(TASKS)
    for name, values in outputs.items():
        expected = [values.size, values.min(), values.max(), values.mean(dtype=np.float64)]
        assert printed[name] == pytest.approx(expected, rel=1e-3, abs=1e-3), name
    for arguments, code in (([], 2), ([model, model], 1), (["none", photo], 1)):
        failed = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert failed.returncode == code and failed.stderr


@needs_compiler
def test_litert_in_cpp(network, photo, tmp_path):
    pytest.importorskip("ai_edge_litert")
    if tuple(map(int, importlib.metadata.version("ai-edge-litert").split(".")[:2])) < (2, 2):
        pytest.skip("needs ai-edge-litert 2.2")
    package = pathlib.Path(sys.modules["ai_edge_litert"].__file__).parent
    program, model = tmp_path / "run_litert", tmp_path / "model.tflite"
    library = ["-L", str(package), "-lLiteRt", f"-Wl,-rpath,{package}"]
    compiled("litert.cpp", program, *library)
    export_model(network, model, with_preprocessing=True, with_postprocessing=True, batch=1)
    check_printed(program, model, photo)


@needs_compiler
@pytest.mark.slow
def test_onnx_runtime_in_cpp(network, photo, tmp_path):
    package = pathlib.Path(pytest.importorskip("onnxruntime").__file__).parent / "capi"
    include = headers(tmp_path)
    (library,) = package.glob("libonnxruntime.so.*.*.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(library)
    program, model = tmp_path / "run_onnx", tmp_path / "model.onnx"
    flags = ["-isystem", str(include), "-L", str(tmp_path), "-lonnxruntime"]
    compiled("onnx_runtime.cpp", program, *flags, f"-Wl,-rpath,{tmp_path}")
    export_model(network, model, with_preprocessing=True, with_postprocessing=True, batch=1)
    check_printed(program, model, photo)


def headers(folder):
    """The headers of ONNX Runtime, from Debian's package."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    address, digest = HEADERS
    try:
        package = urllib.request.urlopen(address, timeout=60).read()
    except (urllib.error.URLError, TimeoutError) as error:
        pytest.skip(f"needs {address}: {error}")
    assert hashlib.sha256(package).hexdigest() == digest
    (folder / "headers.deb").write_bytes(package)
    subprocess.run(["dpkg-deb", "-x", folder / "headers.deb", folder / "headers"], check=True)
    return folder / "headers/usr/include/onnxruntime"


@pytest.mark.slow
def test_a_server(network, photo, tmp_path):
    pytest.importorskip("litserve")
    pytest.importorskip("python_multipart")
    network.save(tmp_path / "model.keras")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, FOLDER / "serve.py", tmp_path / "model.keras", "--port", str(port)]
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        command, cwd=tmp_path, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        expected = Predictor(network)(cv2.imread(str(photo))[..., ::-1].copy())
        answer = np.load(io.BytesIO(_posted(port, "image", photo.read_bytes(), server)))
        assert set(answer) == set(TASKS)
        assert np.mean(answer["semseg"] == expected.semseg) > 0.99
        np.testing.assert_allclose(answer["depth"], expected.depth, atol=1e-3)
        for field, content in (("image", b"no image"), ("picture", photo.read_bytes())):
            with pytest.raises(urllib.error.HTTPError) as error:
                _posted(port, field, content, server)
            assert error.value.code == 422 and b"photograph" in error.value.read()
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def _posted(port, field, content, server):
    """The answer of the server to a form with a file, once it is up."""
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="a"\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        body,
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    for _ in range(120):
        assert server.poll() is None, "the server stopped"
        try:
            return urllib.request.urlopen(request, timeout=60).read()
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1)
    pytest.fail("the server does not answer")
