"""The docs page of the methods is generated from the table."""

from mtl_tf.balancing import TABLE
from tests.helpers.docs import page


def test_the_docs_list_every_method():
    text = page("balancing.md")
    for name, info in TABLE.items():
        assert f"| `{name}`, `{info.cls.__name__}` |" in text
