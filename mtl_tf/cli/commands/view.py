"""`mtl-tf view`: runs in a browser, while they train."""

import argparse
import pathlib

from mtl_tf.cli.flags import Subparsers
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("view", help="runs in a browser: curves and pictures, compared")
    parser.add_argument(
        "runs", type=pathlib.Path, nargs="?", default=pathlib.Path("runs"),
        help="folder of runs, of a survey, or of one run (default: runs)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=8642, help="port on this machine; 0: any")
    parser.add_argument("--open", action="store_true", help="open a browser")
    return parser


def run(options: argparse.Namespace) -> int:
    """Serve the runs until Ctrl-C."""
    import webbrowser

    from mtl_tf.experiments.live.server import address_of, make_server

    with make_server(options.runs, options.port) as server:
        address = address_of(server)
        say(f"{options.runs} at {address} (Ctrl-C ends it)")
        if options.open:
            webbrowser.open(address)
        server.serve_forever()
    return 0
