"""Whether nvcc has compiled the native ops as they are: their SHA-256 against `ops/CUDA_COMPILED`.

python tests/native/cuda_sources.py             exit code 1 if they have changed since
python tests/native/cuda_sources.py --digest    what `make cuda` writes there when all compiles
"""

import hashlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("CMakeLists.txt", "cmake/*.cmake", "ops/**/*.cc", "ops/**/*.cu*", "ops/**/*.h")


def digest(root: pathlib.Path) -> str:
    """Of the names and contents of all sources."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in SOURCES for path in root.glob(pattern)}):
        found.update(f"{path.relative_to(root)}\n{path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def is_compiled(root: pathlib.Path) -> bool:
    """Whether the sources are those that were recorded."""
    record = root / "ops" / "CUDA_COMPILED"
    return record.exists() and record.read_text().strip() == digest(root)


def main() -> int:
    if "--digest" in sys.argv[1:]:
        print(digest(ROOT))
        return 0
    if is_compiled(ROOT):
        return 0
    print("The native ops have changed since nvcc last compiled them.")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
