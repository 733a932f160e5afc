"""A small Google Cloud Storage on this machine: what Beam and Google's client ask of it, over HTTP, in memory."""

import base64
import datetime
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)$")
_OBJECTS = re.compile(r"/(?:upload/)?storage/v1/b/([^/]+)/o$")
_REWRITE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)$")
_BUCKET = re.compile(r"/storage/v1/b/([^/]+)$")


@dataclass
class FakeStore:
    """Objects by `bucket/name`, and where the store listens.

    Attributes:
      requests: method and path of each.
      faults: what the next requests for an object get instead, by `bucket/name`: statuses, 0 for a broken connection.
      page: how many objects a list has at most.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: dict[str, list[int]] = field(default_factory=dict)
    page: int = 1000
    uploads: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    url: str = ""

    def names_under(self, prefix: str) -> list[str]:
        """Return the names below `bucket/folder/`, sorted."""
        return sorted(name.removeprefix(prefix) for name in self.objects if name.startswith(prefix))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms, until the headers before it are acknowledged
    store: FakeStore

    def do_GET(self) -> None:
        url, query = self._asked()
        if match := _OBJECTS.match(url):
            self._answer(200, self._list(match[1], query))
        elif match := _OBJECT.match(url):
            name = f"{match[1]}/{unquote(match[2])}"
            if self.store.faults.get(name):
                self._fail(self.store.faults[name].pop(0))
            elif name not in self.store.objects:
                self._answer(404, {"error": {"code": 404, "message": "no such object"}})
            elif query.get("alt") == "media":
                self._send_bytes(self.store.objects[name])
            else:
                self._answer(200, self._resource(name))
        elif match := _BUCKET.match(url):
            bucket = {"kind": "storage#bucket", "name": match[1], "id": match[1]}
            self._answer(200, bucket | {"softDeletePolicy": {"retentionDurationSeconds": "0"}})
        else:
            self._answer(500, {"error": {"code": 500, "message": f"not known here: {self.path}"}})

    def _fail(self, status: int) -> None:
        if status:
            self._answer(status, {"error": {"code": status, "message": "as the test wants it"}})
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _list(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
        """Return a page of a list: all behind a prefix, or with a delimiter only down to the next one."""
        prefix, stop = f"{bucket}/{query.get('prefix', '')}", query.get("delimiter")
        behind = query.get("pageToken", "")
        items: dict[str, None] = {}
        for name in sorted(self.store.objects):
            if name.startswith(prefix):
                head, found, _ = name[len(prefix) :].partition(stop) if stop else (name[len(prefix) :], "", "")
                items[prefix + head + found] = None
        names = [name for name in items if name > behind]
        page = names[: min(self.store.page, int(query.get("maxResults", self.store.page)))]
        answer: dict[str, Any] = {
            "kind": "storage#objects",
            "items": [self._resource(name) for name in page if not (stop and name.endswith(stop))],
            "prefixes": [name.partition("/")[2] for name in page if stop and name.endswith(stop)],
        }
        return answer | ({"nextPageToken": page[-1]} if len(page) < len(names) else {})

    def do_POST(self) -> None:
        url, query = self._asked()
        body = self._body()
        if (match := _OBJECTS.match(url)) and query.get("uploadType") == "resumable":
            number = str(len(self.store.uploads))
            self.store.uploads[number] = (f"{match[1]}/{query.get('name') or json.loads(body)['name']}", b"")
            self._send(200, b"", {"Location": f"{self.store.url}/upload/{number}"})
        elif match and query.get("uploadType") == "multipart":
            about, content = self._parts(body)
            self._store(f"{match[1]}/{json.loads(about)['name']}", content, query)
        elif match := _REWRITE.match(url):
            name = f"{match[3]}/{unquote(match[4])}"
            self.store.objects[name] = self.store.objects[f"{match[1]}/{unquote(match[2])}"]
            size = len(self.store.objects[name])
            rewritten = {"done": True, "objectSize": str(size), "totalBytesRewritten": str(size)}
            self._answer(200, rewritten | {"resource": self._resource(name)})
        else:
            self._answer(500, {"error": {"code": 500, "message": f"not known here: {self.path}"}})

    def _store(self, name: str, content: bytes, query: dict[str, str]) -> None:
        """Put an object in place, if its generation is the one that is asked for (0: not there)."""
        found = self._resource(name)["generation"] if name in self.store.objects else "0"
        if query.get("ifGenerationMatch", found) != found:
            self._answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
            return
        self.store.objects[name] = content
        self._answer(200, self._resource(name))

    def _parts(self, body: bytes) -> list[bytes]:
        """Return the contents of a multipart body."""
        boundary = re.search(r'boundary="?([^";]+)"?', self.headers["Content-Type"])
        assert boundary
        parts = body.split(b"--" + boundary[1].encode())[1:-1]
        return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]

    def do_PUT(self) -> None:
        number = self._asked()[0].rpartition("/")[2]
        name, sent = self.store.uploads[number]
        sent += self._body()
        self.store.uploads[number] = (name, sent)
        if self.headers["Content-Range"].endswith("/*"):  # more will come
            self._send(308, b"", {"Range": f"bytes=0-{len(sent) - 1}"})
        else:
            self._store(name, sent, {})

    def do_DELETE(self) -> None:
        match = _OBJECT.match(self._asked()[0])
        found = self.store.objects.pop(f"{match[1]}/{unquote(match[2])}", None) if match else None
        self._answer(204 if found is not None else 404, {})

    def _asked(self) -> tuple[str, dict[str, str]]:
        self.store.requests.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _resource(self, name: str) -> dict[str, Any]:
        bucket, _, path = name.partition("/")
        data = self.store.objects[name]
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).isoformat().replace("+00:00", "Z")
        return {
            "kind": "storage#object",
            "id": name,
            "name": path,
            "bucket": bucket,
            "size": str(len(data)),
            "generation": _generation(data),
            "updated": now,
            "timeCreated": now,
            "crc32c": base64.b64encode(google_crc32c.Checksum(data).digest()).decode(),
        }

    def _send_bytes(self, data: bytes) -> None:
        match = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if match and int(match[1]) >= len(data):
            self._answer(416, {"error": {"code": 416, "message": "no such range"}})
            return
        begin = int(match[1]) if match else 0
        end = min(int(match[2]) + 1 if match and match[2] else len(data), len(data))
        partial = {"Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"} if match else {}
        partial["X-Goog-Generation"] = _generation(data)
        self._send(206 if match else 200, data[begin:end], partial)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = b"" if status == 204 else json.dumps(content).encode()
        self._send(status, data, {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _generation(data: bytes) -> str:
    return str(google_crc32c.value(data) + 1)


def serve(store: FakeStore) -> ThreadingHTTPServer:
    """Serve a store in a thread; `STORAGE_EMULATOR_HOST=store.url` points Google's client at it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    store.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@contextmanager
def fake_gcs() -> Iterator[FakeStore]:
    """Serve a store while a test runs; see `serve`."""
    store = FakeStore()
    server = serve(store)
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
