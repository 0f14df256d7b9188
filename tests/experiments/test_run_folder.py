"""A folder belongs to one run, of one configuration on one data set, in one process."""

import errno
import fcntl
import os
import pathlib

import pytest

from mtl_tf import experiments
from mtl_tf import file_locks as lock
from mtl_tf.experiments import run_folder

CONFIG = experiments.make_config(epochs=3)


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "run"
    assert not run_folder.is_locked(folder)
    with run_folder.lock_folder(folder, CONFIG, "data"):
        assert run_folder.is_locked(folder)
        with (
            pytest.raises(ValueError, match="Another process"),
            run_folder.lock_folder(folder, CONFIG, "data"),
        ):
            pass
    assert not run_folder.is_locked(folder)
    with run_folder.lock_folder(folder, CONFIG, "data"):
        pass


def test_one_data_set(tmp_path):
    with run_folder.lock_folder(tmp_path, CONFIG, "these"):
        pass
    with (
        pytest.raises(ValueError, match=r"other data.*these.*those"),
        run_folder.lock_folder(tmp_path, CONFIG, "those"),
    ):
        pass


def test_one_configuration_wherever_the_data_lie(tmp_path):
    config = experiments.make_config("quick", root="/here")
    run_folder.check(tmp_path, config, resume=False)
    with run_folder.lock_folder(tmp_path, config, "data"):
        pass
    with pytest.raises(ValueError, match="--resume"):
        run_folder.check(tmp_path, config, resume=False)
    run_folder.check(tmp_path, experiments.make_config("quick", root="/there"), resume=True)
    with pytest.raises(ValueError, match="another configuration"):
        run_folder.check(tmp_path, experiments.make_config("demo"), resume=True)


# === File systems ===

NO_LOCKS = ("ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "ESTALE", "EIO", "EREMOTEIO")


def failing(number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("name", NO_LOCKS)
def test_without_file_locks_a_run_goes_on_with_one_warning(tmp_path, monkeypatch, name):
    folder = tmp_path / "run"
    monkeypatch.setattr(fcntl, "flock", failing(getattr(errno, name)))
    with (
        pytest.warns(RuntimeWarning, match="no file locks on this file system") as warned,
        run_folder.lock_folder(folder, CONFIG, "data"),
    ):
        assert (folder / "config.json").is_file()
    assert len(warned) == 1
    with pytest.warns(RuntimeWarning, match="no file locks") as warned:
        assert not run_folder.is_locked(folder)
    assert len(warned) == 1


@pytest.mark.parametrize("name", ["EAGAIN", "EWOULDBLOCK", "EACCES"])
def test_what_says_that_another_process_has_the_lock(tmp_path, monkeypatch, name):
    with run_folder.lock_folder(tmp_path, CONFIG, "data"):
        pass
    monkeypatch.setattr(fcntl, "flock", failing(getattr(errno, name)))
    with (
        pytest.raises(ValueError, match="Another process"),
        run_folder.lock_folder(tmp_path, CONFIG, "data"),
    ):
        pass
    assert run_folder.is_locked(tmp_path)


def test_a_platform_without_file_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with (
        pytest.warns(RuntimeWarning, match="no file locks on this platform"),
        run_folder.lock_folder(tmp_path, CONFIG, "data"),
    ):
        pass
    with pytest.warns(RuntimeWarning, match="no file locks on this platform"):
        assert not run_folder.is_locked(tmp_path)


@pytest.mark.parametrize("name", ["ENOSPC", "EROFS", "EACCES", "EDQUOT"])
@pytest.mark.parametrize("where", ["mkdir", "open", "write_bytes"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, name, where):
    number = getattr(errno, name)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pathlib.Path, where, refuse)
    with (
        pytest.raises(ValueError, match=f"run cannot be written .{os.strerror(number)}.*--out"),
        run_folder.lock_folder(tmp_path / "run", CONFIG, "data"),
    ):
        pass


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("no folder")
    for folder in (tmp_path / "run", tmp_path / "run" / "inside"):
        with (
            pytest.raises(ValueError, match="is not a folder"),
            run_folder.lock_folder(folder, CONFIG, "data"),
        ):
            pass


def test_errors_of_the_run_are_raised_unchanged(tmp_path):
    folder = run_folder.lock_folder(tmp_path, CONFIG, "data")
    with pytest.raises(OSError, match="photograph"), folder:
        raise OSError("photograph")
