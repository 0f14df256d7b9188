"""The processes of the boundary benchmark end with the one that they work for, however it ends."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import pathlib, sys
import numpy as np
from mtl_tf.metrics import count_in_processes

def images():
    generator = np.random.default_rng(0)
    while True:
        yield generator.random((240, 320)), [generator.random((240, 320)) > 0.9], None

if __name__ == "__main__":
    for _ in count_in_processes(images(), 0.01, 2):
        pathlib.Path(sys.argv[1]).touch()
"""


def children(pid):
    """Numbers of the processes that a process has started."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(n) for task in tasks for n in (task / "children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(number, tmp_path):
    script, works = tmp_path / "script.py", tmp_path / "works"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script), str(works)], stderr=subprocess.DEVNULL)
    while not works.exists():
        assert process.poll() is None
        time.sleep(0.1)
    workers = [pathlib.Path(f"/proc/{n}") for n in children(process.pid)]
    assert len(workers) == 3  # and the tracker of their resources
    process.send_signal(number)
    process.wait()
    begun = time.monotonic()
    while any(map(pathlib.Path.exists, workers)):
        assert time.monotonic() - begun < 20
        time.sleep(0.1)
