"""The command line `mtl-tf`: its `commands`, assembled in `program`."""

import sys

from mtl_tf.optional_packages import imports_of_extra

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line, without the program's name; `sys.argv` for `None`.

    Returns:
        0; 1 if data are damaged or a run failed; 2 for invalid input or a missing package, with an
        error on standard error; 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with imports_of_extra("The command line", "experiments"):
            from mtl_tf.cli.program import run_command
    except ImportError as error:
        print(f"mtl-tf: {error}", file=sys.stderr)
        return 2
    return run_command(arguments)
