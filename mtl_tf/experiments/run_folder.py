"""Lock and validate a run directory."""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import IO

from mtl_tf.atomic_files import open_no_link, write_atomically
from mtl_tf.experiments.config import Config, read_config
from mtl_tf.file_locks import try_lock


def check(folder: pathlib.Path, config: Config, resume: bool) -> None:
    """Raise an error if a run must not start in the folder.

    Args:
        folder: of the run.
        config: of the run.
        resume: whether to continue the run in the folder.

    Raises:
        ValueError: if it holds a run and `resume` is not given, or one of another configuration.
    """
    stored = folder / "config.json"
    if not stored.exists():
        return
    if not resume:
        raise ValueError(
            f"{folder} already holds a run: resume it (--resume) or choose another (--out)"
        )
    before, now = read_config(stored).identity(), config.identity()
    if before != now:
        names = [n for n in sorted({*before, *now}) if before.get(n) != now.get(n)]
        changed = "; ".join(f"{n}: {before.get(n)!r} there, {now.get(n)!r} now" for n in names[:5])
        raise ValueError(
            f"{folder} holds a run with another configuration (see {stored}; {changed}): resume "
            "with the same options or choose another folder (--out)"
        )


@contextlib.contextmanager
def lock_folder(folder: pathlib.Path, config: Config, fingerprint: str) -> Iterator[None]:
    """Lock the folder of a run and write `config.json` and `data.txt`.

    Args:
        folder: of the run; created if missing.
        config: of the run.
        fingerprint: of its data.

    Raises:
        ValueError: if another process runs in the folder, the run started with other data, or the
            folder cannot be written. Without file locks there is a warning instead of the first.
    """
    with contextlib.ExitStack() as stack:
        with _named_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(folder / ".lock", "w", opener=open_no_link))
            if not _locked(file):
                raise ValueError(f"Another process is running in {folder}: wait for it")
            stored = folder / "data.txt"
            if stored.exists() and stored.read_text() != fingerprint:
                raise ValueError(
                    f"{folder} holds a run on other data (fingerprint {stored.read_text()}, now "
                    f"{fingerprint}): give that data (--root) or choose another folder (--out)"
                )
            write_atomically(folder / "config.json", config.to_json())
            write_atomically(stored, fingerprint)
        yield


def _locked(file: IO[str]) -> bool:
    """Lock a file; wait a second for one who only looks, see `is_locked`."""
    for _ in range(10):
        if try_lock(file):
            return True
        time.sleep(0.1)
    return False


def is_locked(folder: pathlib.Path) -> bool:
    """Return whether a process runs in the folder; `False`, with a warning, without file locks.

    Args:
        folder: of a run.

    Raises:
        ValueError: if its lock file cannot be opened.
    """
    with _named_errors(folder):
        try:
            with open(folder / ".lock", "r+", opener=open_no_link) as file:
                return not try_lock(file)
        except FileNotFoundError:
            return False


@contextlib.contextmanager
def _named_errors(folder: pathlib.Path) -> Iterator[None]:
    """Raise errors of the file system as a `ValueError` that names the folder."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{folder} is not a folder: choose another (--out)") from error
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error.strerror or error}): choose another folder (--out)"
        ) from error
