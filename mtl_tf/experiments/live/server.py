"""A small server of the live view, for this machine only."""

import contextlib
import functools
import http.server
import pathlib
import re
import threading
import urllib.parse
from collections.abc import Iterator

from mtl_tf.experiments.live.page import content, page
from mtl_tf.experiments.live.runs import folder_of
from mtl_tf.experiments.outputs.epoch_pictures import FOLDER

HOST = "127.0.0.1"

_FILE = re.compile(rf"/runs/(.+?)/(report\.html|{FOLDER}/\d+\.webp)")
_TYPES = {".html": "text/html; charset=utf-8", ".webp": "image/webp"}


def make_server(root: pathlib.Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Return a server of the runs below a folder; it answers in `serve_forever`.

    It listens on 127.0.0.1 and reads: reports and pictures of runs, no other file.

    Args:
        root: folder of the runs.
        port: 0 for a free one.

    Raises:
        ValueError: if there is no such folder, or the port is in use.
    """
    root = root.resolve()
    if not root.is_dir():
        raise ValueError(f"{root} is no folder: give the folder of your runs, such as runs")
    try:
        return http.server.ThreadingHTTPServer((HOST, port), functools.partial(_Handler, root=root))
    except (OSError, OverflowError) as error:
        raise ValueError(f"Port {port} cannot be used: {error}. Choose another --port") from error


@contextlib.contextmanager
def serving(root: pathlib.Path, port: int = 0) -> Iterator[str]:
    """Serve the runs below a folder in the background; yield the address of the page.

    Args:
        root: as for `make_server`.
        port: as for `make_server`.
    """
    with make_server(root, port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield address_of(server)
        finally:
            server.shutdown()


def address_of(server: http.server.HTTPServer) -> str:
    """Return the address of the page, such as `http://127.0.0.1:8642/`."""
    host, port = server.server_address[:2]
    return f"http://{host!s}:{port}/"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET: `/`, `/content?run=NAME&run=NAME`, and files of runs below `/runs/`."""

    def __init__(self, *arguments: object, root: pathlib.Path) -> None:
        self._root = root
        super().__init__(*arguments)  # type: ignore[arg-type]  # answers the request

    def do_GET(self) -> None:
        """Answer a request."""
        url = urllib.parse.urlsplit(self.path)
        host = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host not in (HOST, "localhost"):
            self.send_error(403, "ask 127.0.0.1")  # a page of another site may ask in its name
        elif url.path == "/":
            self._answer(page(self._root).encode(), _TYPES[".html"])
        elif url.path == "/content":
            names = urllib.parse.parse_qs(url.query).get("run", [])
            self._answer(content(self._root, names).encode(), _TYPES[".html"])
        else:
            path = self._file(urllib.parse.unquote(url.path))
            if path is None:
                self.send_error(404)
            else:
                self._answer(path.read_bytes(), _TYPES[path.suffix])

    def _file(self, path: str) -> pathlib.Path | None:
        """Return a report or a picture of a run; nothing else is served, and no link out."""
        match = _FILE.fullmatch(path)
        folder = folder_of(self._root, match[1]) if match else None
        if match is None or folder is None:
            return None
        file = folder / match[2]
        is_inside = file.resolve().is_relative_to(self._root)
        return file if is_inside and file.is_file() else None

    def _answer(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""
