"""`mtl-tf completion`: a script that completes commands and options in a shell."""

import argparse
import pathlib
from collections.abc import Iterator

from mtl_tf.cli.flags import Subparsers
from mtl_tf.cli.parser import Parser
from mtl_tf.optional_packages import optional_import


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes commands and options",
        description="Print a script that completes commands and options. For bash: "
        "mtl-tf completion bash > ~/.local/share/bash-completion/completions/mtl-tf",
    )
    parser.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the script for a shell."""
    from mtl_tf.cli.program import whole_parser

    shtab = optional_import("shtab", "Shell completion")
    parser = whole_parser()
    for action in _actions(parser):
        if action.type is pathlib.Path or getattr(action, "is_path", False):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=options.shell))
    return 0


def _actions(parser: Parser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of the parsers of its commands."""
    parser.complete()
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
