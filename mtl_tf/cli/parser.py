"""The parser of `mtl-tf`, its errors and exit codes."""

import argparse
import sys
from typing import NoReturn

from mtl_tf.cli import compare, data, doctor, evaluate, export, predict, survey, train, tune
from mtl_tf.data import DataError
from mtl_tf.experiments.terminal import printable, printable_warnings, say

COMMANDS = (train, survey, tune, evaluate, compare, predict, export, data, doctor)


def run_command(arguments: list[str] | None) -> int:
    """Run a command; see `mtl_tf.cli.main`."""
    options = _parser().parse_args(arguments)
    try:
        with printable_warnings():
            return options.command(options)
    except (TypeError, ValueError, OSError, ImportError, RuntimeError) as error:
        text = str(error) or type(error).__name__
        say(f"mtl-tf: {text}", error=True)
        return 1 if isinstance(error, DataError) else 2
    except KeyboardInterrupt:
        print("mtl-tf: stopped. Continue a run with --resume", file=sys.stderr)
        return 130


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
