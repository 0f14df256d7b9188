"""The command line answers at once, and keeps TensorFlow's log lines to itself."""

import os
import pathlib
import resource
import subprocess
import sys

import pytest

import mtl_tf

COMMAND = pathlib.Path(sys.executable).with_name("mtl-tf")
MODULE = [sys.executable, "-m", "mtl_tf"]
AT_ONCE = {
    "help": (["--help"], 0, "usage: mtl-tf"),
    "version": (["--version"], 0, f"mtl_tf {mtl_tf.__version__}"),
    "help of train": (["train", "--help"], 0, "--batch-size"),
    "help of data": (["data", "init", "--help"], 0, "data.yaml"),
    "no command": ([], 2, "required: COMMAND"),
    "misspelt command": (["tarin"], 2, "Did you mean 'train'?"),
    "misspelt preset": (["train", "--preset", "quicc"], 2, "Did you mean 'quick'?"),
    "misspelt option": (["train", "--bathc-size", "4"], 2, "Did you mean '--batch-size'?"),
    "no number": (["tune", "--out", "x", "--trials", "many"], 2, "invalid int value: 'many'"),
}
TRACE = """
import sys
sys.argv = ["mtl-tf", *sys.argv[1:]]
from mtl_tf.cli import main
try:
    code = main()
except SystemExit as end:
    code = end.code
heavy = sorted({"tensorflow", "keras", "cv2", "scipy", "matplotlib"} & sys.modules.keys())
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize("case", AT_ONCE)
def test_nothing_heavy_is_imported(case):
    arguments, code, text = AT_ONCE[case]
    run = subprocess.run([sys.executable, "-c", TRACE, *arguments], capture_output=True, text=True)
    assert run.returncode == code, run.stderr
    assert text in run.stdout + run.stderr
    assert "Traceback" not in run.stderr and len(run.stderr.splitlines()) <= 2


def test_help_takes_a_third_of_a_second():
    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*MODULE, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.skipif(not COMMAND.exists(), reason="mtl-tf is not installed beside this Python")
def test_the_installed_command_is_the_same():
    run = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"mtl_tf {mtl_tf.__version__}\n"


def test_no_log_line_unless_asked_for():
    quiet = subprocess.run([*MODULE, "doctor"], capture_output=True, text=True)
    assert quiet.returncode == 0 and not quiet.stderr, quiet.stderr
    assert "tensorflow" in quiet.stdout


def test_an_error_of_the_import_is_shown(tmp_path):
    code = "import os; os.write(2, b'native trouble'); raise OSError('no')"
    (tmp_path / "cv2.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([*MODULE, "doctor"], capture_output=True, text=True, env=environment)
    assert run.returncode == 2 and "native trouble" in run.stderr and "mtl-tf: no" in run.stderr


def test_python_imports_everything():
    code = "import sys, mtl_tf; assert 'mtl_tf.architectures.mtan' in sys.modules; mtl_tf.TASKS"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_native_lines_of_a_converter_are_hidden_and_python_s_are_shown():
    code = """
import os, sys, warnings
from mtl_tf.cli.tensorflow_log import native_lines_hidden
for verbose in (False, True):
    with native_lines_hidden(verbose):
        os.write(2, b"native line\\n")
        print("progress", file=sys.stderr)
        warnings.warn("a warning", RuntimeWarning)
os.write(2, b"after\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("native line") == 1  # with --verbose
    assert done.stderr.count("progress") == 2 and "a warning" in done.stderr
    assert done.stderr.endswith("after\n")


@pytest.mark.parametrize(
    ("first", "given", "expected"),
    [("", None, "1"), ("", "0", "0"), ("import tensorflow", None, None)],
)
def test_onednn_is_in_use_unless_the_user_says_otherwise(first, given, expected):
    """A process that has TensorFlow already does not change the environment of its children."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given}
    code = f"""
{first}
import os, sys
sys.argv = ["mtl-tf"]
from mtl_tf.cli.tensorflow_log import import_library
import_library()
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert run.stdout == f"{expected}\n"
