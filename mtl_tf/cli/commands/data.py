"""`mtl-tf data`: list, check, pack and unpack data sets."""

import argparse
import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from mtl_tf.atomic_files import write_atomically
from mtl_tf.cli.flags import Subparsers, add_json
from mtl_tf.cli.json_output import say_json
from mtl_tf.experiments.terminal import say
from mtl_tf.text import shown

if TYPE_CHECKING:
    from mtl_tf.data import DenseDataset


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command and its actions."""
    parser = subparsers.add_parser("data", help="look at data sets")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    action = actions.add_parser("list", help="the data sets this library reads")
    action.set_defaults(action=_list)

    action = actions.add_parser("init", help="look at a folder and write a first data.yaml")
    action.add_argument("root", type=pathlib.Path, help="folder with images and labels")
    action.add_argument("--force", action="store_true", help="replace the data.yaml that is there")
    action.set_defaults(action=_init)

    action = actions.add_parser("check", help="read a whole data set and show a contact sheet")
    _add_data_set(action, num_classes=13)
    action.add_argument(
        "--sheet",
        type=pathlib.Path,
        default=pathlib.Path("contact_sheet.png"),
        help="picture of some images and their labels to write (default: contact_sheet.png)",
    )
    add_json(action)
    action.set_defaults(action=_check)

    action = actions.add_parser("pack", help="write a data set as TFRecord files")
    _add_data_set(action, num_classes=40)
    action.add_argument("out", help="folder to write, or a gs://, s3://, ... path")
    action.add_argument("--shard-mib", type=int, default=128, help="size of a file, MiB")
    action.set_defaults(action=_pack)

    action = actions.add_parser("unpack", help="write a packed data set as plain files")
    action.add_argument("packed", help="folder that `data pack` wrote")
    action.add_argument("out", type=pathlib.Path, help="folder to write")
    action.set_defaults(action=_unpack)
    return parser


def _add_data_set(action: argparse.ArgumentParser, num_classes: int) -> None:
    """Add the arguments of a data set to an action."""
    action.add_argument("root", type=pathlib.Path, help="folder of the data set")
    action.add_argument(
        "--data",
        help="name of the data set, see `data list`, or file.py:CLASS or package.module:CLASS "
        "(default: folder if there is a data.yaml, packed if there is an index.json, else nyud)",
    )
    action.add_argument("--num-classes", type=int, default=num_classes, help="semantic classes")


def run(options: argparse.Namespace) -> int:
    """Run an action."""
    return options.action(options)


def _list(_options: argparse.Namespace) -> int:
    from mtl_tf import data

    for name, row in data.TABLE.items():
        say(f"{name:16} {', '.join(row.tasks)} ({row.source})")
    return 0


def _init(options: argparse.Namespace) -> int:
    """Write a first data.yaml and print what could not be decided."""
    from mtl_tf.data import folder

    path = options.root / folder.FILE
    if path.exists() and not options.force:
        raise ValueError(f"{path} exists: edit it, or replace it with --force")
    text, questions = folder.draft(options.root)
    write_atomically(path, text)
    say(shown(path))
    for question in questions:
        say(f"  {question}")
    say(f"Check it with: mtl-tf data check {shown(options.root)}")
    return 0


def _open(
    options: argparse.Namespace, of_folder: dict[str, Any] | None = None, **arguments: Any
) -> "DenseDataset":
    """Open the data set of an action with all its tasks; `of_folder` are arguments of `Folder`."""
    from mtl_tf import data
    from mtl_tf.data.packed.packed import INDEX
    from mtl_tf.experiments import plugins

    name, root = options.data, options.root
    if name is None:
        files = {"folder": root / data.folder.FILE, "packed": root / INDEX}
        name = next((known for known, file in files.items() if file.is_file()), "nyud")
    if name in data.TABLE:
        if name == "folder":
            arguments |= of_folder or {}
        return data.open_folder(
            name, root, tasks=None, num_classes=options.num_classes, **arguments
        )
    try:
        text = plugins.checked_dataset(name)
    except ValueError as error:
        raise ValueError(f"--data {error}. Received: {name!r}") from error
    return plugins.load_dataset(text, root=str(root), tasks=None, **arguments)


def _check(options: argparse.Namespace) -> int:
    """Read a whole data set; return 1 if an item is damaged."""
    from mtl_tf.cli.commands.check_data import check_data

    all_images = {"skip_damaged": False, "require_labels": False}
    dataset = _open(options, all_images, input_shape=(1, 1, 3), check_files=False)
    checked = check_data(dataset, options.root, options.sheet)
    if options.json:
        say_json(dataclasses.asdict(checked))
    else:
        say(checked)
        for line in checked.damaged:
            say(line, error=True)
    return 1 if checked.damaged else 0


def _pack(options: argparse.Namespace) -> int:
    from mtl_tf.data import pack

    pack(_open(options), options.out, options.shard_mib << 20, verbose=True)
    return 0


def _unpack(options: argparse.Namespace) -> int:
    from mtl_tf.data import unpack

    unpack(options.packed, options.out, verbose=True)
    return 0
