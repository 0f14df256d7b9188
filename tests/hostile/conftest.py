"""What the tables of attacks share: a time limit, a model, and a command with what it printed."""

from __future__ import annotations

import pathlib
import signal
from collections.abc import Callable, Iterator

import pytest

from mtl_tf import cli
from tests.helpers.inputs import tiny_backbone
from tests.hostile.outcome import TASKS, Outcome

_LIMIT_S = 120


@pytest.fixture(autouse=True)
def _no_attack_takes_for_ever() -> Iterator[None]:
    """A pipe that is opened, or a bomb that is unpacked, ends the test and not the day."""

    def stop(*_: object) -> None:
        raise AssertionError(f"it took longer than {_LIMIT_S} s")

    usual = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, usual)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A saved network for images 32x64."""
    import mtl_tf as mtl

    path = tmp_path_factory.mktemp("hostile") / "model.keras"
    mtl.architectures.SharedTrunk(tiny_backbone(32, 64, seed=0), TASKS, (32, 64, 3)).save(path)
    return path


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Runs `mtl-tf`; nothing it prints, Keras' own bars aside, may steer a terminal."""
    monkeypatch.setattr("keras.utils.Progbar.update", lambda *_, **__: None)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stopped:  # of the parser
            code = int(str(stopped.code))
        printed = capsys.readouterr()
        outcome = Outcome(code, printed.out, printed.err)
        outcome.assert_harmless()
        return outcome

    return run
