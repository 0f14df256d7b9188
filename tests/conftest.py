"""Fixtures that find real data and recorded oracles; tests skip where these are absent."""

from __future__ import annotations

import os
import pathlib

import pytest

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


def _folder(variable: str, default: pathlib.Path) -> pathlib.Path:
    folder = pathlib.Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set {variable} to the folder this test reads")
    return folder.resolve()  # tests make links to what lies in it


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    """What a test leaves to chance, such as first values of networks, is the same in each run."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def data_root() -> pathlib.Path:
    """Folder of real data sets."""
    return _folder("MTL_TF_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def oracles_root() -> pathlib.Path:
    """Folder of outputs recorded from other implementations."""
    return _folder("MTL_TF_ORACLES", SHARED / "oracles")
