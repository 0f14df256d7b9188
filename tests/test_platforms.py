"""Behaviour and messages without platform-specific modules and without optional packages."""

import ast
import importlib
import os
import pathlib
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from mtl_tf import cli, optional_packages
from mtl_tf.experiments import environment, make_config
from mtl_tf.surveys import processes, tables, tune
from mtl_tf.training import memory

ROOT = pathlib.Path(__file__).parent.parent
MODULES = sorted((ROOT / "mtl_tf").rglob("*.py"))
# What not every platform has, and the modules that know what to do without.
OF_ONE_PLATFORM = {
    "crypt",
    "fcntl",
    "grp",
    "msvcrt",
    "posix",
    "pty",
    "pwd",
    "resource",
    "syslog",
    "termios",
    "tty",
    "winreg",
}
NAMES_OF_ONE_PLATFORM = {
    "SIGKILL",
    "SIGHUP",
    "SIGALRM",
    "SIGUSR1",
    "SIGUSR2",
    "alarm",
    "fork",
    "getpgid",
    "getuid",
    "killpg",
    "mkfifo",
    "nice",
    "preexec_fn",
    "sched_getaffinity",
    "sched_setaffinity",
    "setsid",
    "setpgid",
    "statvfs",
    "sysconf",
    "uname",
    "wait4",
}
ALLOWED_IN = {
    "file_locks.py",
    "surveys/processes.py",
    "training/memory.py",
    "experiments/hardware.py",
}
WINDOWS = """
import sys
import keras, tensorflow  # as these are on Windows, whatever they do there
import importlib, ctypes, os, signal
for module in {blocked}:
    sys.modules[module] = None
sys.platform = "win32"
for name in ("fork", "killpg", "setsid", "getpgid", "sched_getaffinity", "uname", "getuid"):
    delattr(os, name)
del signal.SIGKILL, signal.SIGHUP
class CDLL(ctypes.CDLL):
    def __init__(self, name, *arguments, **options):
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        super().__init__(name, *arguments, **options)
ctypes.CDLL = CDLL
import mtl_tf, mtl_tf.experiments, mtl_tf.cli
for module in {modules}:
    importlib.import_module(module)
print("peak", mtl_tf.training.memory.peak_memory_mib())
try:
    from mtl_tf.surveys.processes import run_cells
    run_cells([], None)
except RuntimeError as error:
    print(error)
"""


def names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_one_platform_has_is_used_where_its_lack_is_known(path):
    tree = ast.parse(path.read_text())
    if path.relative_to(ROOT / "mtl_tf").as_posix() in ALLOWED_IN:
        at_top = [node for node in tree.body if isinstance(node, ast.Import)]
    else:
        at_top = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        assert not NAMES_OF_ONE_PLATFORM & set(names(tree))
        assert "/proc/" not in path.read_text()
    imported = {alias.name for node in at_top for alias in node.names}
    assert not OF_ONE_PLATFORM & imported


def test_every_module_imports_as_on_windows():
    paths = [
        path.relative_to(ROOT) for path in MODULES if path.stem not in ("__main__", "__init__")
    ]
    code = WINDOWS.format(
        blocked=sorted(OF_ONE_PLATFORM - {"posix"}),
        modules=[".".join(path.with_suffix("").parts) for path in paths],
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "peak None" in run.stdout and "needs Linux" in run.stdout


def test_a_survey_says_that_it_needs_linux(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(processes, "_IS_LINUX", False)
    assert cli.main(["survey", "--preset", "smoke", "--out", str(tmp_path)]) == 2
    assert "needs Linux" in capsys.readouterr().err


# === Numbers that a platform hides ===


def test_memory_of_this_process(monkeypatch):
    peak, now = memory.peak_memory_mib(), memory.resident_mib(os.getpid())
    assert 50 < now <= 1.01 * peak
    assert memory.resident_mib(2**22 + 1) is None
    monkeypatch.setattr(memory, "resource", None)
    assert memory.peak_memory_mib() is None


def test_hidden_memory_is_left_out(monkeypatch):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, {"depth": keras.layers.Conv2D(1, 3)(image)})
    history = [{"epoch_s": 1.0, "step_ms": 2.0}] * 2
    found = environment.environment(model, "data", history)
    assert "peak_memory_mib" not in found and found["parameters"] == 28
    history[1] = {**history[1], "peak_memory_mib": 12.3}
    assert environment.environment(model, "data", history)["peak_memory_mib"] == 12
    rows = [
        tables.Row("a", "b", [{"depth": {"rmse": 1.0}}], [0], costs, {})
        for costs in (
            {"parameters": 2e6, "multiply_adds": 1e9, "step_ms": 3.0},
            {"parameters": 1e6},
        )
    ]
    header, lines, best = tables.cells_of(rows)
    assert header[-4:] == ["parameters, M", "GMACs", "step, ms", "memory, MiB"]
    assert [line[-4:] for line in lines] == [["2.0", "1.00", "3", ""], ["1.0", "", "", ""]]
    assert best[-4:] == [{1}, {0}, {0}, set()]


def test_a_network_that_cannot_be_counted_still_gets_its_report():
    image = keras.Input((8, 8, 3))
    opaque = keras.layers.Lambda(
        lambda x: tf.ensure_shape(tf.numpy_function(lambda y: y, [x], tf.float32), x.shape),
        output_shape=(8, 8, 3),
    )
    model = keras.Model(image, {"depth": keras.layers.Conv2D(1, 3)(opaque(image))})
    with pytest.warns(RuntimeWarning, match="cannot be counted"):
        found = environment.environment(model, "data", [{"epoch_s": 1.0, "step_ms": 2.0}])
    assert found["parameters"] == 28 and "multiply_adds" not in found


# === Optional packages ===


@pytest.mark.parametrize("module", optional_packages._PACKAGES)
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    name, command = optional_packages._PACKAGES[module]
    with pytest.raises(ImportError, match="Drawing needs") as told:
        optional_packages.optional_import(module, "Drawing", ", or a pencil")
    assert f"Drawing needs {name}: {command}, or a pencil (" in str(told.value)


def test_the_search_without_optuna(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.main(["tune", "--preset", "demo", "--out", str(tmp_path / "study")]) == 2
    assert 'needs Optuna: pip install "mtl-tf[tune]"' in capsys.readouterr().err


def test_without_tensorflow():
    code = "import sys; sys.modules['tensorflow'] = None; import mtl_tf"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert 'needs TensorFlow: pip install "mtl-tf[cpu]", or "mtl-tf[cuda]"' in last


def test_a_search_on_a_disk_without_symbolic_links(monkeypatch, tmp_path):
    pytest.importorskip("optuna")

    class Reached(Exception):  # noqa: N818
        pass

    def refuse(*_):
        raise PermissionError("Operation not permitted")

    def reached(*_):
        raise Reached

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(importlib.import_module("mtl_tf.surveys.tune"), "run_cells", reached)
    with pytest.raises(Reached):
        tune(make_config("demo"), tmp_path, 1)
