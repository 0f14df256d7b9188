"""What came of an attack, and what attacks are made of."""

from __future__ import annotations

import dataclasses
import pathlib
import zlib

TASKS = {"semseg": 3, "depth": 1, "normals": 3}
STEERING = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e\u2028\udcff"
"""Clears the screen, names the window, overwrites the line, turns the text, is no UTF-8."""
MARKUP = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>|`&%_$\\{}^~#"
"""Printable: HTML, a cell of a table, LaTeX."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    def assert_harmless(self) -> None:
        for text in (self.out, self.err):
            odd = {c for c in text if not c.isprintable() and c not in "\n\t"}
            assert not odd, f"printed {odd} in {text!r}"
            assert "Traceback" not in text

    def assert_refused(self, message: str, code: int = 2) -> None:
        assert (self.code, message in self.err) == (code, True), self
        assert self.err.startswith("mtl-tf: "), self


def everything(folder: pathlib.Path) -> dict[str, bytes]:
    """All files below a folder with their content; links as what they say."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def png(width: int, height: int, rows: int = 0) -> bytes:
    """A grey PNG that claims a size and holds `rows` black rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    header = chunk(b"IHDR", size + b"\x08\x00\x00\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def npy(shape: str, content: bytes = b"", dtype: str = "<f4") -> bytes:
    """A `.npy` file whose header claims a shape."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content
