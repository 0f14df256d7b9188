"""Packaging: a wheel with both libraries, a pure-Python one, clear messages, import time."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def build(folder, *options, **environment):
    """`pip wheel` of a copy of the sources, so that the working tree stays as it is."""
    source = folder / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "runs", "site", "*.so", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored, dirs_exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder)]
    return subprocess.run(
        [*command, *options, str(source)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def files_of(folder):
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_without_a_compiler_the_message_says_what_to_do(tmp_path):
    done = build(tmp_path, "--no-build-isolation", CXX="/nowhere/c++")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "needs a C++17 compiler" in output
    assert "MTL_TF_BUILD_OPS=0" in output


def test_pure_python_wheel_works_without_a_compiler(tmp_path):
    done = build(tmp_path, "--no-build-isolation", CXX="/nowhere/c++", MTL_TF_BUILD_OPS="0")
    assert done.returncode == 0, done.stderr
    names = files_of(tmp_path)
    assert not [n for n in names if n.endswith(".so")]
    assert "mtl_tf/py.typed" in names
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "import warnings, mtl_tf; warnings.simplefilter('ignore');"
        "status = mtl_tf.ops.native_status(); assert not status.available;"
        "assert 'not installed' in status.reason, status;"
        "assert float(mtl_tf.ops.gramian([[[1.0, 2.0]]])[0, 0]) == 5.0; print(mtl_tf.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.stdout.startswith(str(tmp_path)), run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["isolated", "not isolated"])
def test_wheel_holds_both_libraries_and_works_in_an_empty_environment(isolation, tmp_path):
    done = build(tmp_path, *(["--no-build-isolation"] if isolation == "not isolated" else []))
    assert done.returncode == 0, done.stdout + done.stderr
    names = files_of(tmp_path)
    assert "mtl_tf/ops/_tensorflow_ops.so" in names
    assert [n for n in names if n.startswith("mtl_tf/ops/_kernels.") and n.endswith(".so")]
    assert "mtl_tf/evaluation/reporting/run_report.html.j2" in names
    assert not [n for n in names if n.startswith(("tests", "ops/", "benchmarks"))]
    python = tmp_path / "empty" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "empty")], check=True)
    (wheel,) = tmp_path.glob("*.whl")

    def doctor_after_installing(extras):
        install = [python, "-m", "pip", "install", "--quiet", f"{wheel}[{extras}]"]
        subprocess.run(install, check=True, cwd=tmp_path)
        command = [python.with_name("mtl-tf"), "doctor"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    doctor = doctor_after_installing("cpu")
    assert 'pip install "mtl-tf[experiments]"' in doctor.stderr, doctor.stdout + doctor.stderr
    doctor = doctor_after_installing("all")
    assert "native ops             available" in doctor.stdout, doctor.stdout + doctor.stderr
    assert "runs and is right" in doctor.stdout


@pytest.mark.slow
def test_importing_costs_no_more_than_tensorflow_and_a_tenth():
    def seconds(statement):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True)
        return time.perf_counter() - begin

    pairs = [(seconds("import tensorflow"), seconds("import mtl_tf")) for _ in range(5)]
    assert min(ours for _, ours in pairs) <= 1.1 * min(theirs for theirs, _ in pairs), pairs


def test_setup_py_has_two_lines():
    assert len((ROOT / "setup.py").read_text().strip().splitlines()) == 2
