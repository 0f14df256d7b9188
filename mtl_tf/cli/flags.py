"""Flags that several commands have."""

import argparse
from typing import TypeAlias

from mtl_tf.cli.parser import Parser

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_config_options_later(parser: Parser) -> None:
    """Add a flag for each field of `Config`, once the command is used.

    Args:
        parser: of the command.
    """

    def add(parser: Parser) -> None:
        from mtl_tf.cli.options import add_config_options

        add_config_options(parser)

    parser.later(add)


def add_limits(parser: argparse.ArgumentParser, unit: str) -> None:
    """Add the flags that limit the processes of a survey or search.

    Args:
        parser: of a command.
        unit: that runs in a process: `"cell"` or `"trial"`.
    """
    parser.add_argument("--time-limit-min", type=float, default=360, help=f"of one {unit}")
    parser.add_argument("--memory-limit-mib", type=float, default=16_384, help=f"of one {unit}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the flag that prints the results as JSON, for other programs.

    Args:
        parser: of a command.
    """
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def split_list(text: str) -> list[str]:
    """Return the values of a list, separated by commas."""
    return text.split(",")
