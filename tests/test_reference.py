"""The reference pages have every public name, and nothing else."""

import importlib
import inspect
import pathlib
import re

import pytest

import mtl_tf as mtl
from mtl_tf import deployment, experiments, surveys
from tests.helpers.docs import DOCS, page

PAGE = "\n".join(page(path) for path in sorted((DOCS / "reference").glob("*.md")))
LISTED = re.findall(r"^::: mtl_tf\.(\S+)$", PAGE, re.MULTILINE)
MODULES = {name: getattr(mtl, name) for name in mtl.__all__ if name != "__version__"}
MODULES = {name: m for name, m in MODULES.items() if inspect.ismodule(m) and hasattr(m, "__all__")}
PUBLIC = [
    f"{module}.{name}"
    for module, members in {
        **MODULES,
        "experiments": experiments,
        "surveys": surveys,
        "deployment": deployment,
    }.items()
    for name in members.__all__
]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name):
    inside = [one for one in LISTED if one.startswith(f"{name}.")]  # functions of a module
    assert name in LISTED or inside, f"add ::: mtl_tf.{name} to a page of docs/reference"


def test_names_of_the_package_itself_are_in_the_reference():
    last = {name.rpartition(".")[2] for name in LISTED}
    own = {name for name in mtl.__all__ if name not in MODULES} - {"__version__", "tasks"}
    assert own <= last


def test_what_is_in_the_reference_exists_once():
    assert len(LISTED) == len(set(LISTED))
    for name in LISTED:
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(f"mtl_tf.{module}"), member), name


def test_no_public_name_appears_or_vanishes_by_accident():
    """A new name is added to the list; one that goes is deprecated first (docs/stability.md)."""
    stored = pathlib.Path(__file__).with_name("public_names.txt").read_text().split()
    assert sorted(set(LISTED)) == stored
