"""The Python interpreters that a release has wheels for: 3.11 to 3.13, those this machine has."""

import os
import pathlib
import shutil
import sys

VERSIONS = ("3.11", "3.12", "3.13")


def interpreters() -> dict[str, str]:
    """Return `{version: executable}` from PATH and from pyenv; missing ones are printed."""
    root = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    found = {}
    for version in VERSIONS:
        of_pyenv = sorted(root.glob(f"versions/{version}.*/bin/python"))
        executable = str(of_pyenv[-1]) if of_pyenv else shutil.which(f"python{version}")
        if executable is None:
            print(f"Python {version} is not installed: no wheel for it", file=sys.stderr)
        else:
            found[version] = executable
    return found
