"""Argument parser with readable errors and late options."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mtl_tf.experiments.terminal import printable, say
from mtl_tf.text import suggestion

_MAX_NAMES = 12  # in an error with a suggestion


class Parser(argparse.ArgumentParser):
    """A parser with short, printable errors, and options that are added when they are needed.

    Args:
        *arguments: of `argparse.ArgumentParser`.
        **options: likewise.

    Examples:
        >>> parser = Parser(prog="mtl-tf")
        >>> parser.later(lambda p: p.add_argument("--out"))
        >>> parser.parse_args(["--out", "runs"]).out
        'runs'
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", _Formatter)
        options.setdefault("allow_abbrev", False)  # --epoch is no --epochs
        super().__init__(*arguments, **options)
        self._waiting: list[Callable[[Parser], object]] = []

    def later(self, add_options: "Callable[[Parser], object]") -> None:
        """Call a function that adds options before this parser parses or prints its help.

        So a command costs nothing until it is used.

        Args:
            add_options: receives the parser.
        """
        self._waiting.append(add_options)

    def complete(self) -> None:
        """Add the options that wait."""
        waiting, self._waiting = self._waiting, []
        for add_options in waiting:
            add_options(self)

    def format_help(self) -> str:
        """Return the help, with all options."""
        self.complete()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Print an error with what was probably meant, and exit with 2."""
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
        self.complete()
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


class _Formatter(argparse.HelpFormatter):
    """Help whose first column has room for the names of the commands, which are indented twice."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add an argument to the help."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment
