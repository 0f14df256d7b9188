"""The page of methods in the docs is that of the table."""

import pathlib

from mtl_tf.balancing.__main__ import markdown

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "balancing.md"


def test_the_docs_hold_the_table_as_it_is():
    assert markdown() in PAGE.read_text(), "copy the output of: python -m mtl_tf.balancing"
