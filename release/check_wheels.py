"""Check the release in `dist/`: install each wheel into an empty environment and use it.

Command, after `release/build_wheels.py`: `python release/check_wheels.py [WHEEL ...]`.

Of each wheel: `mtl-tf doctor`, a short training, a prediction by the shipped preset, an export to
ONNX, and the examples that read both. The pure wheel is checked without native ops.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from build_wheels import DIST, ROOT
from interpreters import interpreters

PHOTO = ROOT / "docs" / "prediction.png"
COMMANDS = (
    "train --data rendered_rooms --tasks semseg,depth,normals,edges --train-size 16 --val-size 4 "
    "--epochs 1 --batch-size 4 --out run",
    f"predict {PHOTO} --model quick --out predictions",
    "export run/model.keras model.onnx --with-preprocessing --with-postprocessing",
)


def main(*names: str) -> None:
    """Check metadata, then the given wheels, or all."""
    wheels = [pathlib.Path(name).resolve() for name in names] or sorted(DIST.glob("*.whl"))
    if not wheels:
        sys.exit("dist/ has no wheel: run python release/build_wheels.py")
    files = [*wheels, *DIST.glob("*.tar.gz")]
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
    pythons = interpreters()
    for wheel in wheels:
        is_pure = wheel.name.endswith("-none-any.whl")
        version = next((v for v in pythons if f"-cp{v.replace('.', '')}-" in wheel.name), None)
        if version is None and not is_pure:
            sys.exit(f"{wheel.name}: its Python is not installed here")
        with tempfile.TemporaryDirectory() as folder:
            check(wheel, pythons[version] if version else sys.executable, is_pure, folder)
        print(f"{wheel.name}: installed, trained, predicted and exported", flush=True)


def check(wheel: pathlib.Path, python: str, is_pure: bool, folder: str) -> None:
    """Use a wheel in an empty environment; anything that fails raises."""
    subprocess.run([python, "-m", "venv", "environment"], check=True, cwd=folder)
    binaries = pathlib.Path(folder, "environment", "bin")
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    variables = {key: value for key, value in os.environ.items() if key not in hidden}

    def run(program: str, *arguments: str | os.PathLike[str]) -> None:
        command = [str(binaries / program), *map(str, arguments)]
        print("$", program, *arguments, flush=True)
        subprocess.run(command, check=True, cwd=folder, env=variables)

    run("python", "-m", "pip", "install", "--quiet", f"{wheel}[cpu,all,export]")
    run("mtl-tf", "doctor", *([] if is_pure else ["--require", "native"]))
    for command in COMMANDS:
        run("mtl-tf", *command.split())
    photo = pathlib.Path(folder, "photo.png")  # the example writes beside it
    shutil.copy(PHOTO, photo)
    run("python", ROOT / "examples" / "predict_photo.py", "run/model.keras", photo)
    run("python", ROOT / "examples" / "run_exported.py", "model.onnx", photo)


if __name__ == "__main__":
    main(*sys.argv[1:])
