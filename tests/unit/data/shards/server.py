"""A file server on this machine that can be told to fail."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

Fault = Callable[[bytes], bytes | None]
"""From what a file holds to what is sent of it; None drops the connection before the answer."""


class Server:
    """Serves a folder.

    Attributes:
        sent: how many times the content of each path was asked for.
        faults: for a path, what happens to the next answers.
    """

    def __init__(self, root: Path) -> None:
        self.sent: Counter[str] = Counter()
        self.faults: dict[str, list[Fault]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, server_of=self, directory=str(root)))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "Server":
        Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments, server_of: Server, **options) -> None:
        self.server_of = server_of
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        self.server_of.sent[self.path] += 1
        faults = self.server_of.faults.get(self.path)
        if not faults or not path.is_file():
            return super().do_GET()
        content = path.read_bytes()
        sent = faults.pop(0)(content)
        if sent is None:
            return self.connection.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True
        return None

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""
