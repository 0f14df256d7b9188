"""The Python interpreters that a release has wheels for."""

import os
import pathlib
import shutil
import sys

VERSIONS = ("3.11", "3.12", "3.13")


def interpreters() -> dict[str, str]:
    """Return `{version: executable}` from pyenv and PATH.

    One that is missing ends the program, unless `MTL_TF_SOME_PYTHONS=1` allows it.
    """
    root = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    found = {}
    for version in VERSIONS:
        patches = [p.name for p in root.glob(f"versions/{version}.*") if p.name[5:].isdigit()]
        if patches:
            newest = max(patches, key=lambda name: int(name[5:]))
            found[version] = str(root / "versions" / newest / "bin" / "python")
        elif executable := shutil.which(f"python{version}"):
            found[version] = executable
    missing = [version for version in VERSIONS if version not in found]
    if missing and os.environ.get("MTL_TF_SOME_PYTHONS") != "1":
        sys.exit(
            f"Python {', '.join(missing)} is neither in pyenv nor on PATH: install it, or set "
            "MTL_TF_SOME_PYTHONS=1 for a release without its wheel"
        )
    return found
