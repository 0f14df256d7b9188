"""`mtl-tf data`: list, check, pack and unpack data sets."""

import argparse
import pathlib

from mtl_tf import data
from mtl_tf.cli.check_data import check_data
from mtl_tf.cli.options import Subparsers
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command and its actions."""
    parser = subparsers.add_parser("data", help="look at data sets")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    action = actions.add_parser("list", help="the data sets this library reads")
    action.set_defaults(action=_list)

    action = actions.add_parser("check", help="read a whole data set and show a contact sheet")
    action.add_argument("root", type=pathlib.Path, help="folder of the data set")
    action.add_argument("--data", default="nyud", help="name of the data set: see `data list`")
    action.add_argument("--num-classes", type=int, default=13, help="semantic classes")
    action.add_argument("--sheet", type=pathlib.Path, default=pathlib.Path("contact_sheet.png"))
    action.set_defaults(action=_check)

    action = actions.add_parser("pack", help="write a data set as TFRecord files")
    action.add_argument("root", type=pathlib.Path, help="folder of the data set")
    action.add_argument("out", help="folder to write, or a gs://, s3://, ... path")
    action.add_argument("--data", default="nyud", help="name of the data set: see `data list`")
    action.add_argument("--num-classes", type=int, default=40, help="semantic classes")
    action.add_argument("--shard-mib", type=int, default=128, help="size of a file, MiB")
    action.set_defaults(action=_pack)

    action = actions.add_parser("unpack", help="write a packed data set as plain files")
    action.add_argument("packed", help="folder that `data pack` wrote")
    action.add_argument("out", type=pathlib.Path, help="folder to write")
    action.set_defaults(action=_unpack)
    return parser


def run(options: argparse.Namespace) -> int:
    """Run an action."""
    return options.action(options)


def _list(_options: argparse.Namespace) -> int:
    for name, row in data.TABLE.items():
        say(f"{name:16} {', '.join(row.tasks)} ({row.source})")
    return 0


def _check(options: argparse.Namespace) -> int:
    """Read a whole data set; return 1 if an item is damaged."""
    problems = check_data(options.data, options.root, options.num_classes, options.sheet)
    for problem in problems:
        say(problem, error=True)
    return 1 if problems else 0


def _pack(options: argparse.Namespace) -> int:
    dataset = data.open_folder(
        options.data, options.root, tasks=None, num_classes=options.num_classes
    )
    data.pack(dataset, options.out, options.shard_mib << 20, verbose=True)
    return 0


def _unpack(options: argparse.Namespace) -> int:
    data.unpack(options.packed, options.out, verbose=True)
    return 0
