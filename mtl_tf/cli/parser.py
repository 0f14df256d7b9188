"""The parser of `mtl-tf`, its errors and exit codes."""

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from mtl_tf.cli import compare, data, doctor, evaluate, export, predict, survey, train, tune
from mtl_tf.data import DataError
from mtl_tf.experiments.terminal import printable, printable_warnings, say
from mtl_tf.training import Stopped

COMMANDS = (train, survey, tune, evaluate, compare, predict, export, data, doctor)


def run_command(arguments: list[str] | None) -> int:
    """Run a command; see `mtl_tf.cli.main`."""
    options = _parser().parse_args(arguments)
    try:
        with printable_warnings(), _terminated_like_interrupted():
            return options.command(options)
    except (TypeError, ValueError, OSError, ImportError, RuntimeError) as error:
        text = str(error) or type(error).__name__
        say(f"mtl-tf: {text}", error=True)
        return 1 if isinstance(error, DataError) else 2
    except KeyboardInterrupt as stop:
        number = getattr(stop, "signal", signal.SIGINT)
        where = "; its backup holds the last step" if getattr(stop, "is_saved", False) else ""
        say(f"mtl-tf: stopped{where}. Continue a run with --resume", error=True)
        return 128 + number


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Make SIGTERM raise an error like Ctrl-C, so that files and locks are released."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    """A parser with printable errors: they repeat the text of the command line."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mtl-tf", description="Multi-task learning for dense prediction.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers).set_defaults(command=command.run)
    return parser
