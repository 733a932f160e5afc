"""A model hub on this machine: the few requests of huggingface.co that fetching a model makes."""

import contextlib
import hashlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves one repository; use as a context manager.

    Attributes:
      files: name to content.
      fetched: how often each file was asked for.
      breaks_off: a file whose content ends half way, as often as this says.
      status: of every answer about the repository.
      delay: seconds before an answer.
    """

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        self.repository, self.files = repository, files
        self.fetched: Counter[str] = Counter()
        self.breaks_off: Counter[str] = Counter()
        self.status, self.error_code, self.delay = 200, "", 0.0

    def __enter__(self) -> "Hub":
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(BrokenPipeError):  # who asked has given up
                    hub.answer(self, with_body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, with_body=False)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        time.sleep(self.delay)
        path = request.path.partition("?")[0]
        about, files = f"/api/models/{self.repository}", f"/{self.repository}/resolve/"
        if path.startswith(f"{about}/tree/"):
            tree = [{"type": "file", "path": n, "size": len(b), "oid": COMMIT} for n, b in self.files.items()]
            self._send(request, 200, json.dumps(tree).encode(), {"Content-Type": "application/json"}, with_body)
        elif path.startswith(about):
            names = [{"rfilename": name} for name in self.files]
            body = json.dumps({"id": self.repository, "sha": COMMIT, "siblings": names}).encode()
            self._send(request, self.status, body, {"Content-Type": "application/json"}, with_body)
        elif path.startswith(files):
            self._send_file(request, path[len(files) :].partition("/")[2], with_body)
        else:
            self._send(request, 404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)

    def _send_file(self, request: BaseHTTPRequestHandler, name: str, with_body: bool) -> None:
        body = self.files[name]
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if with_body:
            self.fetched[name] += 1
            if self.breaks_off[name]:
                self.breaks_off[name] -= 1
                headers["Content-Length"] = str(len(body))
                body = body[: len(body) // 2]
        self._send(request, 200, body, headers, with_body)

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str], with_body: bool
    ) -> None:
        request.send_response(status)
        more = {"X-Error-Code": self.error_code} if status != 200 and self.error_code else {}
        for name, value in ({"Content-Length": str(len(body))} | headers | more).items():
            request.send_header(name, value)
        request.end_headers()
        if with_body:
            request.wfile.write(body)
