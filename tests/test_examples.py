"""Every public class has an example in its docstring, and all examples run."""

import ast
import doctest
import importlib
import inspect
import pathlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.test_public_api import PUBLIC

ROOT = pathlib.Path(mtl.__file__).parent
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(mtl.__path__, "mtl_tf.")
    if not info.name.endswith("__main__") and "._" not in info.name
)
PLAIN = (tuple, Exception, str, int)  # named tuples, enumerations and errors explain themselves


def is_plain(cls):
    return issubclass(cls, PLAIN) or hasattr(cls, "__dataclass_fields__")


CLASSES = sorted(
    n
    for n, c in PUBLIC.items()
    if inspect.isclass(c) and not is_plain(c) and not inspect.isabstract(c)
)


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_has_an_example(name):
    assert ">>> " in (inspect.getdoc(PUBLIC[name]) or "")


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: p.stem)
def test_examples_have_their_heading(path):
    """Without it, the reference takes `[0, 0]` in an example for a link."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            before, example, _ = (ast.get_docstring(node) or "").partition(">>>")
            assert not example or before.endswith("Examples:\n    "), node.name


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    names = {**vars(module), "mtl": mtl, "keras": keras, "np": np, "tf": tf}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs=names):
        if test.examples:
            runner.run(test)
    assert not runner.failures
