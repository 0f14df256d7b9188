"""Run the cells of a survey in separate processes with limits of time and memory."""

import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mtl_tf.atomic_files import open_no_link, read_summary, write_atomically
from mtl_tf.experiments.config import read_config
from mtl_tf.experiments.terminal import say
from mtl_tf.surveys.grid import SINGLE_TASK, Cell
from mtl_tf.training.memory import resident_mib

_POLL_S = 0.5
_IS_LINUX = sys.platform == "linux"
_LIBC: Any = ctypes.CDLL(None) if _IS_LINUX else None
_LAST_LINES, _LAST_BYTES = 12, 1 << 16  # of the log in the error message of a cell
_SHARED_GPU = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}  # otherwise one cell reserves all memory


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of one survey run.

    Attributes:
        cell: the cell.
        folder: run folder.
        problem: why the run failed, with the last lines of its log; empty if it finished.
    """

    cell: Cell
    folder: pathlib.Path
    problem: str


def first_of_rows(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the first outcome of each row of multi-task networks."""
    by_row: dict[tuple[str, str], Outcome] = {}
    for outcome in outcomes:
        if outcome.cell.row[0] != SINGLE_TASK:
            by_row.setdefault(outcome.cell.row, outcome)
    return list(by_row.values())


@dataclasses.dataclass
class _Running:
    cell: Cell
    folder: pathlib.Path
    process: subprocess.Popen
    start_s: float  # monotonic clock


def run_cells(
    cells: Sequence[Cell],
    out: pathlib.Path,
    workers: int = 1,
    time_limit_s: float = 6 * 3600,
    memory_limit_mib: float = 16_384,
    log: Callable[[str], None] = say,
    baselines: Sequence[pathlib.Path] = (),
    ended: Callable[[list[Outcome]], None] = lambda outcomes: None,
) -> list[Outcome]:
    """Run cells in `out/cells/KEY`; skip those with `results.json` of their configuration.

    A cell that fails, takes too long or too much memory is reported with the last lines of its log;
    the others continue. An interrupted cell resumes from its backup. A cell starts when its
    baselines have ended, and receives the folders of those that finished.

    Args:
        cells: cells to run.
        out: folder of the survey.
        workers: number of processes at the same time.
        time_limit_s: maximum time of one cell.
        memory_limit_mib: maximum resident memory of one cell.
        log: callback that receives a line for every event.
        baselines: folders of finished single-task runs, passed to every cell.
        ended: called after each cell, while others are left, with the outcomes of the ended ones.

    Returns:
        The outcome of each cell, in order.

    Raises:
        ValueError: if a limit or the number of workers is not positive.
        RuntimeError: on platforms other than Linux.
    """
    if not _IS_LINUX:
        raise RuntimeError(
            "Surveys and searches run in processes with limits, which needs Linux. Here train one "
            "cell after the other: mtl-tf train"
        )
    if workers < 1 or time_limit_s <= 0 or memory_limit_mib <= 0:
        raise ValueError(
            "workers and limits must be positive. Received: "
            f"{workers}, {time_limit_s}, {memory_limit_mib}"
        )
    outcomes: dict[str, Outcome] = {}
    waiting: list[Cell] = []
    for cell in cells:
        folder = out / "cells" / cell.key
        if _is_finished(cell, folder) and not _lacks_reference(cell, folder):
            outcomes[cell.key] = Outcome(cell, folder, "")
        else:
            waiting.append(cell)
    keys = {cell.key for cell in cells}
    total, seconds = len(waiting), []
    log(f"{len(cells)} cells, {len(cells) - total} of them finished before")
    running: list[_Running] = []
    is_news = False
    try:
        while waiting or running:
            ready = [c for c in waiting if all(k in outcomes for k in c.baselines if k in keys)]
            for cell in ready[: workers - len(running)]:
                waiting.remove(cell)
                folder = out / "cells" / cell.key
                ended_baselines = [outcomes[key] for key in cell.baselines if key in outcomes]
                finished = [outcome.folder for outcome in ended_baselines if not outcome.problem]
                if _is_finished(cell, folder) and len(finished) < len(cell.baselines):
                    outcomes[cell.key] = Outcome(cell, folder, "")  # no reference now either
                    continue
                running.append(_start(cell, out, [*baselines, *finished]))
                log(f"started: {running[-1].cell.name}")
            if is_news and (waiting or running):
                ended([outcomes[cell.key] for cell in cells if cell.key in outcomes])
            is_news = False
            time.sleep(_POLL_S)
            for run in list(running):
                problem = _state(run, time_limit_s, memory_limit_mib)
                if problem is None:
                    continue
                running.remove(run)
                outcomes[run.cell.key] = Outcome(run.cell, run.folder, problem)
                seconds.append(time.monotonic() - run.start_s)
                left = len(waiting) + len(running)
                minutes = left * sum(seconds) / len(seconds) / workers / 60
                state = "FAILED" if problem else "done"
                log(
                    f"{state}: {run.cell.name} after {seconds[-1] / 60:.1f} minutes; {left} of "
                    f"{total} left, about {minutes:.0f} minutes"
                )
                if problem:
                    log(problem)
                is_news = True
    finally:
        for run in running:
            _stop(run)
    return [outcomes[cell.key] for cell in cells]


def _is_of(cell: Cell, folder: pathlib.Path) -> bool:
    """Return whether the folder contains a run of this configuration."""
    try:
        return read_config(folder / "config.json").identity() == cell.config.identity()
    except ValueError:  # damaged, or written by another version
        return False


def _is_finished(cell: Cell, folder: pathlib.Path) -> bool:
    """Return whether the folder contains the results of this configuration."""
    return (folder / "results.json").is_file() and _is_of(cell, folder)


def _lacks_reference(cell: Cell, folder: pathlib.Path) -> bool:
    """Return whether the best epoch was chosen without single-task references."""
    if cell.config.best_of == 1 or not cell.baselines:
        return False
    return read_summary(folder).get("kept", {}).get("relative_to") != "single_task"


def _set_aside(folder: pathlib.Path) -> None:
    """Rename a folder that cannot be resumed."""
    number = 1
    while (other := folder.with_name(f"{folder.name}.old{number}")).exists():
        number += 1
    folder.rename(other)


def command_of(folder: pathlib.Path, baselines: Sequence[pathlib.Path]) -> list[str]:
    """Return the command that runs the cell described by `request.json` in its folder."""
    arguments = ["--config", str(folder / "request.json"), "--out", str(folder)]
    flags = ["--resume", "--quiet", *(["--baseline", *map(str, baselines)] if baselines else [])]
    return [sys.executable, "-m", "mtl_tf.cli", "train", *arguments, *flags]


def _start(cell: Cell, out: pathlib.Path, baselines: Sequence[pathlib.Path]) -> _Running:
    folder = out / "cells" / cell.key
    if (folder / "config.json").exists() and (
        not _is_of(cell, folder) or (folder / "results.json").exists()
    ):
        _set_aside(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "request.json", cell.config.to_json())
    with open(folder / "log.txt", "ab", opener=open_no_link) as log:
        process = subprocess.Popen(
            command_of(folder, baselines),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
            env=os.environ | _SHARED_GPU,
        )
    return _Running(cell, folder, process, time.monotonic())


def _end_with_parent() -> None:
    """Let this child process end when the survey is killed.

    (`prctl` of Linux; 1 is `PR_SET_PDEATHSIG`.) Otherwise its cells would still run when the next
    survey starts the same ones.
    """
    _LIBC.prctl(1, signal.SIGKILL)


def _state(run: _Running, time_limit_s: float, memory_limit_mib: float) -> str | None:
    """Return `None` while a run continues, then its problem; empty if it finished."""
    reason = None
    if os.waitid(os.P_PID, run.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        memory = resident_mib(run.process.pid) or 0.0  # `None` if it has just ended
        if time.monotonic() - run.start_s > time_limit_s:
            reason = f"took longer than {time_limit_s / 60:.0f} minutes"
        elif memory > memory_limit_mib:
            reason = f"took {memory:.0f} MiB of memory, more than {memory_limit_mib:.0f}"
        else:
            return None
    code = _stop(run)
    if reason is None and code == 0 and _is_finished(run.cell, run.folder):
        return ""
    reason = reason or f"ended with code {code}"
    log = run.folder / "log.txt"
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LAST_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    return "\n".join([f"{run.cell.name} {reason}; the end of {log}:", *lines])


def _stop(run: _Running) -> int:
    """End a process with all processes of its session; return its exit code."""
    if run.process.returncode is None:  # not waited for: its id is not reused yet
        os.killpg(run.process.pid, signal.SIGKILL)
    return run.process.wait()
