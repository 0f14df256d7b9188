"""The command line `mtl-tf`: one module for each command, assembled in `main`.

Each module has `add_parser(subparsers)`, which returns the parser of its command, and
`run(options)`, which runs it and returns the exit code.
"""

from mtl_tf.cli.main import main

__all__ = ["main"]
