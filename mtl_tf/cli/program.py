"""The commands of `mtl-tf` in one parser, and their exit codes."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from mtl_tf import __version__
from mtl_tf.cli.commands import (
    benchmark,
    compare,
    completion,
    data,
    doctor,
    evaluate,
    export,
    predict,
    survey,
    train,
    tune,
    view,
)
from mtl_tf.cli.parser import Parser
from mtl_tf.cli.tensorflow_log import import_library
from mtl_tf.experiments.terminal import printable_warnings, say
from mtl_tf.optional_packages import imports_of_extra
from mtl_tf.stopped import Stopped

_RESUMED = (train.run,)
COMMANDS = (
    train,
    survey,
    tune,
    evaluate,
    compare,
    view,
    predict,
    export,
    benchmark,
    data,
    doctor,
    completion,
)


def run_command(arguments: list[str] | None) -> int:
    """Run a command; see `mtl_tf.cli.main`."""
    try:
        with imports_of_extra("The command line", "experiments"):
            options = whole_parser().parse_args(arguments)
    except ImportError as error:
        say(f"mtl-tf: {error}", error=True)
        return 2
    try:
        with printable_warnings(), _terminated_like_interrupted():
            import_library(options.verbose)
            return options.command(options)
    except (TypeError, ValueError, OSError, ImportError, RuntimeError) as error:
        text = str(error) or type(error).__name__
        say(f"mtl-tf: {text}", error=True)
        return 1 if _is_of_data(error) else 2
    except KeyboardInterrupt as stop:
        stopped = stop if isinstance(stop, Stopped) else Stopped(signal.SIGINT)
        where = "; its backup holds the last step" if stopped.is_saved else ""
        again = " Continue with the same command and --resume" * (options.command in _RESUMED)
        say(f"mtl-tf: stopped{where}.{again}", error=True)
        return 128 + stopped.number


def _is_of_data(error: Exception) -> bool:
    """Return whether an error is a `DataError`, without a reason to import the data sets."""
    sample = sys.modules.get("mtl_tf.data.sample")
    return sample is not None and isinstance(error, sample.DataError)


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


def whole_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(prog="mtl-tf", description="Multi-task learning for dense prediction.")
    parser.add_argument("--version", action="version", version=f"mtl_tf {__version__}")
    parser.add_argument("--verbose", action="store_true", help="show TensorFlow's own log lines")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        of_command = command.add_parser(subparsers)
        of_command.set_defaults(command=command.run)
    return parser
