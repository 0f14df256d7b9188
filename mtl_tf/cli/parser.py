"""The parser of `mtl-tf`, its errors and exit codes."""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

from mtl_tf import __version__
from mtl_tf.cli import (
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
)
from mtl_tf.cli.tensorflow_log import import_library
from mtl_tf.experiments.terminal import printable, printable_warnings, say
from mtl_tf.stopped import Stopped
from mtl_tf.text import suggestion

_MAX_NAMES = 12  # in an error with a suggestion
_RESUMED = (train.run,)
COMMANDS = (
    train,
    survey,
    tune,
    evaluate,
    compare,
    predict,
    export,
    benchmark,
    data,
    doctor,
    completion,
)


def run_command(arguments: list[str] | None) -> int:
    """Run a command; see `mtl_tf.cli.main`."""
    options = whole_parser().parse_args(arguments)
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


class _Parser(argparse.ArgumentParser):
    """A parser with short, printable errors: what is wrong, and what was probably meant."""

    def error(self, message: str) -> NoReturn:
        name, _, known = message.partition("(choose from ")
        if known:
            wrong = name.rpartition("invalid choice: ")[2].strip(" '")
            names = [choice.strip(" ')") for choice in known.split(",")]
            hint = suggestion(wrong, names)
            is_short = not hint or len(names) <= _MAX_NAMES
            message = f"{name.strip()}.{hint}" + f" Known: {', '.join(names)}" * is_short
        elif message.startswith("unrecognized arguments: "):
            flags = [flag for action in self._actions for flag in action.option_strings]
            wrong = message.partition(": ")[2].split()[0].partition("=")[0]
            message += f".{suggestion(wrong, flags)}".removesuffix(".")
        say(f"{self.prog}: {printable(message)}\nSee {self.prog} --help", error=True)
        raise SystemExit(2)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and store the innermost parser, that of the command or action, as `parser`."""
        parsed, unknown = super().parse_known_args(args, namespace)
        parsed.parser = getattr(parsed, "parser", self)
        return parsed, unknown

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Parse, and name unknown options with the flags of their command."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed


def whole_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(prog="mtl-tf", description="Multi-task learning for dense prediction.")
    parser.add_argument("--version", action="version", version=f"mtl_tf {__version__}")
    parser.add_argument("--verbose", action="store_true", help="show TensorFlow's own log lines")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        of_command = command.add_parser(subparsers)
        of_command.set_defaults(command=command.run)
    return parser
