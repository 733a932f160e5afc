"""Object stores on this machine: `gs://` over Google's client and a store in memory, `s3://` over boto3 and moto.

Importing this module points the clients of this process, and of those it starts, at them; nothing reaches a network.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.templates.fake_gcs import FakeStore, serve

GOOGLE = FakeStore()
serve(GOOGLE)
os.environ["STORAGE_EMULATOR_HOST"] = GOOGLE.url

SCHEMES = ("gs", "s3")


class NotThereError(Exception):
    """An object that a test looks at is not there."""


class _Amazon:
    """moto behind a door that notes requests, and refuses them where a test wants it."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log(self, *_: Any) -> None:
                pass

        self.requests: list[str] = []
        self.faults: dict[str, list[int]] = {}
        self._app = DomainDispatcherApplication(create_backend_app)
        server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ.update(
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION="us-east-1",
        )
        self.client = boto3.client("s3")

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        name = environ["PATH_INFO"].lstrip("/").encode("latin-1").decode()
        self.requests.append(f"{environ['REQUEST_METHOD']} {name}?{environ['QUERY_STRING']}")
        if self.faults.get(name):
            status = self.faults[name].pop(0)
            if not status:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            start(f"{status or 500} As The Test Wants It", [("Content-Length", "0")])
            return [b""]
        return self._app(environ, start)


@cache
def amazon() -> _Amazon:
    """Start the store behind `s3://`, once."""
    return _Amazon()


def start(bucket: str) -> str:
    """Have the store of a bucket running, and the bucket there; return its path."""
    scheme, name = _split(bucket)
    if scheme == "s3":
        amazon().client.create_bucket(Bucket=name)
    return bucket


def requests_of(path: str) -> list[str]:
    """Return the requests that the store of a path has had, to read and to clear."""
    scheme = _split(path)[0]
    return GOOGLE.requests if scheme == "gs" else amazon().requests


def fail(path: str, *statuses: int) -> None:
    """Have the next requests for an object fail: with a status, or 0 for a broken connection."""
    scheme, place = _split(path)
    (GOOGLE.faults if scheme == "gs" else amazon().faults)[place] = list(statuses)


def put(path: str, data: bytes) -> None:
    """Put an object in place."""
    scheme, place = _split(path)
    if scheme == "gs":
        GOOGLE.objects[place] = data
        return
    bucket, _, name = place.partition("/")
    amazon().client.create_bucket(Bucket=bucket)
    amazon().client.put_object(Bucket=bucket, Key=name, Body=data)


def get(path: str) -> bytes:
    """Return the content of an object."""
    scheme, place = _split(path)
    if scheme == "gs":
        if place not in GOOGLE.objects:
            raise NotThereError(path)
        return GOOGLE.objects[place]
    bucket, _, name = place.partition("/")
    try:
        content: bytes = amazon().client.get_object(Bucket=bucket, Key=name)["Body"].read()
    except ClientError as err:
        raise NotThereError(path) from err
    return content


def names_under(directory: str) -> list[str]:
    """Return the names of the objects below a directory, sorted."""
    scheme, place = _split(directory.rstrip("/") + "/")
    return sorted(name.removeprefix(place) for name in _names(scheme) if name.startswith(place))


def clear() -> None:
    """Remove all objects, and what was noted and planned."""
    for of_requests in (GOOGLE.objects, GOOGLE.faults, GOOGLE.requests):
        of_requests.clear()
    if amazon.cache_info().currsize:
        for name in _names("s3"):
            bucket, _, key = name.partition("/")
            amazon().client.delete_object(Bucket=bucket, Key=key)
        amazon().faults.clear()
        amazon().requests.clear()


def _split(path: str) -> tuple[str, str]:
    scheme, _, place = path.partition("://")
    return scheme, place


def _names(scheme: str) -> list[str]:
    if scheme == "gs":
        return list(GOOGLE.objects)
    client = amazon().client
    return [
        f"{bucket['Name']}/{item['Key']}"
        for bucket in client.list_buckets()["Buckets"]
        for item in client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
    ]
