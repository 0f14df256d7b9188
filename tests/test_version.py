import pathlib
import re

import mtl_tf

ROOT = pathlib.Path(__file__).parent.parent


def test_all_files_name_the_same_version():
    patterns = {
        "CITATION.cff": r"^version: (.*)$",
        "docs/citing.md": r"version = \{(.*)\}",
        "CHANGELOG.md": r"^## \[(\d.*?)\]",
    }
    versions = {
        file: re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)[1]
        for file, pattern in patterns.items()
    }
    assert versions == dict.fromkeys(patterns, mtl_tf.__version__)
