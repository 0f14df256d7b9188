"""The command line `mtl-tf`: the parser in `main`, one file a command."""

from mtl_tf.cli.main import main

__all__ = ["main"]
