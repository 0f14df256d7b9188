"""The commands by which a release is checked are commands of this version."""

import importlib.util
import pathlib
import sys

import pytest

from mtl_tf.cli.program import whole_parser

FOLDER = pathlib.Path(__file__).parent.parent / "release"


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    spec = importlib.util.spec_from_file_location("check_wheels", FOLDER / "check_wheels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("build_wheels", "interpreters"):
        sys.modules.pop(name, None)


def test_commands_are_known(checks):
    assert checks.PHOTO.is_file()
    for command in checks.COMMANDS:
        whole_parser().parse_args(command.split())
