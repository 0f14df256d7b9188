"""The command line `mtl-tf`: one module for each command, assembled in `main`.

Each module has two functions: `add_parser(subparsers)` returns the parser of its command, and
`run(options)` runs the command and returns the exit code.
"""

from mtl_tf.cli.main import main

__all__ = ["main"]
