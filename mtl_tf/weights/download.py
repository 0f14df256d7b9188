"""A download that resumes, is verified, and appears whole or not at all."""

import http.client
import os
import pathlib
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

import keras

from mtl_tf.atomic_files import open_no_link

_BLOCK = 1 << 16  # bytes
_TIMEOUT_S = 30.0  # without a byte
_ATTEMPTS = 4  # without progress


def download(url: str, path: str | os.PathLike[str], check: Callable[[pathlib.Path], None]) -> None:
    """Download a file, with a progress bar in a terminal.

    What has arrived stays in `PATH.part` if the connection breaks: this and later calls continue
    from there, where the server can.

    Args:
        url: address, `https://` or `http://`.
        path: of the file; its folder is created.
        check: raises `ValueError` for a wrong content; it is called with the path of the finished
            download, before it is renamed.

    Raises:
        ConnectionError: if the server cannot be reached, refuses, or keeps breaking off.
        ValueError: for another kind of address, or a wrong content, which is deleted.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"url must start with https:// or http://. Received: {url!r}")
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(url, part)
            break
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and before:  # nothing is left after these bytes
                break
            if error.code < 500:
                raise ConnectionError(f"{url} answers: {error.code} {error.reason}") from error
            cause: Exception = error
        except (OSError, http.client.HTTPException) as error:
            cause = error
        failures = 0 if _size(part) > before else failures + 1
        if failures == _ATTEMPTS:
            raise ConnectionError(f"{url} cannot be downloaded: {cause}") from cause
    try:
        check(part)
    except ValueError:
        part.unlink()
        raise
    part.replace(path)


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _continue(url: str, part: pathlib.Path) -> None:
    """Append to a partial file what is missing; raise an error if the connection breaks before."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        if answer.status != 206:
            start = 0  # the server sends everything
        length = answer.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with open(part, "ab" if start else "wb", opener=open_no_link) as file:
            bar = keras.utils.Progbar(total, unit_name="byte") if sys.stderr.isatty() else None
            while block := answer.read1(_BLOCK):
                file.write(block)
                if bar:
                    bar.update(file.tell())
    if total is not None and _size(part) < total:
        raise ConnectionError(f"it broke off after {_size(part)} of {total} bytes")
