"""A download that resumes, is verified, and appears whole or not at all."""

import contextlib
import http.client
import os
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import keras

from mtl_tf.atomic_files import open_no_link
from mtl_tf.file_locks import try_lock

_BLOCK = 1 << 16  # bytes
_TIMEOUT_S = 30.0  # without a byte
_ATTEMPTS = 4  # without progress
_WAIT_S = 0.2  # for another process


def download(url: str, path: str | os.PathLike[str], check: Callable[[pathlib.Path], None]) -> None:
    """Download a file, with a progress bar in a terminal.

    What has arrived stays in `PATH.part` if the connection breaks: this and later calls continue
    from there, where the server can. Of several processes one downloads and the others wait.

    Args:
        url: address, `https://` or `http://`.
        path: of the file; its folder is created.
        check: raises `ValueError` for a wrong content; it is called with the path of the finished
            download, before it is renamed.

    Raises:
        ConnectionError: if the server cannot be reached, refuses, or keeps breaking off, or the
            file cannot be written.
        ValueError: for another kind of address, or a wrong content, which is deleted.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"url must start with https:// or http://. Received: {url!r}")
    path = pathlib.Path(path)
    part = path.with_name(f"{path.name}.part")
    with _writing(path), _alone(path.with_name(f".{path.name}.lock")):
        if path.is_file():  # another process has downloaded it
            return
        _fetch(url, part)
        try:
            check(part)
        except ValueError as error:
            part.unlink()
            raise ValueError(f"{url} has sent another file, which is deleted: {error}") from error
        part.replace(path)


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[None]:
    """Create the folder of a file, and name it if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionError(f"{path} cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Hold the lock of a file; wait while another process has it."""
    with open(path, "w", opener=open_no_link) as file:
        while not try_lock(file):
            time.sleep(_WAIT_S)
        yield


def _fetch(url: str, part: pathlib.Path) -> None:
    """Download into a partial file, in as many attempts as it takes."""
    failures = 0
    while True:
        before = _size(part)
        try:
            with _opened(url, before) as answer:
                _append(answer, part)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and before:  # nothing is left after these bytes
                return
            if error.code < 500:
                raise ConnectionError(f"{url} answers: {error.code} {error.reason}") from error
            cause: Exception = error
        except (ConnectionError, TimeoutError, ssl.SSLError, urllib.error.URLError) as error:
            cause = error
        except http.client.HTTPException as error:
            cause = error
        failures = 0 if _size(part) > before else failures + 1
        if failures == _ATTEMPTS:
            raise ConnectionError(f"{url} cannot be downloaded: {cause}") from cause


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _opened(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)


def _append(answer: http.client.HTTPResponse, part: pathlib.Path) -> None:
    """Append an answer to a partial file; `ConnectionError` if it breaks off."""
    start = _size(part) if answer.status == 206 else 0  # else the server sends everything
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
