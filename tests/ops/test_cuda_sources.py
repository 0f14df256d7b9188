"""What nvcc has compiled is what is here, and `make` compiles CUDA only where it can run."""

import os
import pathlib
import shutil
import subprocess

import pytest

from tests.native.cuda_sources import ROOT, digest, is_compiled


def test_nvcc_has_compiled_these_sources():
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc to compile them with")
    assert is_compiled(ROOT), "run `make cuda`, and commit ops/CUDA_COMPILED with the change"


def test_a_change_of_any_source_is_seen(tmp_path):
    sources = [
        "CMakeLists.txt",
        "cmake/Find.cmake",
        "ops/kernels/a.cu",
        "ops/kernels/a.cuh",
        "ops/kernels/solvers/a.h",
        "ops/bindings/a.cc",
    ]
    for name in sources:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before")
    assert not is_compiled(tmp_path)
    (tmp_path / "ops" / "CUDA_COMPILED").write_text(digest(tmp_path) + "\n")
    assert is_compiled(tmp_path)
    for name in sources:
        (tmp_path / name).write_text("after")
        assert not is_compiled(tmp_path)
        (tmp_path / name).write_text("before")
    (tmp_path / "ops" / "kernels" / "b.cu").touch()
    assert not is_compiled(tmp_path)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("asked", [None, "ON", "AUTO", "OFF"])
def test_make_builds_cuda_for_a_gpu_or_if_asked(asked):
    has_gpu = any(pathlib.Path("/dev", name).exists() for name in ("nvidia0", "nvidiactl"))
    environment = {k: v for k, v in os.environ.items() if k not in ("MTL_TF_CUDA", "MAKEFLAGS")}
    if asked:
        environment["MTL_TF_CUDA"] = asked
    command = ["make", "-s", "--eval=choice: ; @echo $(MTL_TF_CUDA)", "choice"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == (asked or ("AUTO" if has_gpu else "OFF")), done.stderr
