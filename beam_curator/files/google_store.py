"""Google Cloud Storage by its own client: objects asked for by name, lists by prefix."""

import http.client
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import google.auth
import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError, NotFound, RequestRangeNotSatisfiable
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.storage import Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from beam_curator.files.store_objects import Found, Head, Page, Parts
from beam_curator.files.store_patience import StoreError, Trouble, innermost

_TIMEOUT_SECONDS = 60
_PART_BYTES = 8 << 20
_FIELDS = "items(name,size,generation),prefixes,nextPageToken"
_NO_ANSWER = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    DataCorruption,
    TransportError,
)


class GoogleStore:
    """`gs://`.

    Args:
      options: Beam's, which say how to sign in.
    """

    def __init__(self, options: Any) -> None:
        # it repeats on the terminal what the error says
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        # it asks for the bucket besides, for traces that nobody reads
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        self._options = options

    @cached_property
    def _client(self) -> Client:
        # made by the first request, since looking for credentials may take as long as a store that does not answer
        return _client(self._options)

    def find(self, bucket: str, name: str) -> Found | None:
        blob = self._client.bucket(bucket).get_blob(name, retry=None, timeout=_TIMEOUT_SECONDS)
        return None if blob is None else _found(blob)

    def page(self, bucket: str, prefix: str, *, flat: bool, token: str | None, limit: int | None) -> Page:
        listed = self._client.list_blobs(
            bucket,
            prefix=prefix,
            delimiter="/" if flat else None,
            page_token=token,
            max_results=limit,
            fields=_FIELDS,
            retry=None,
            timeout=_TIMEOUT_SECONDS,
        )
        found = [_found(blob) for blob in next(listed.pages, ())]
        return Page(found=found, folders=sorted(listed.prefixes), token=listed.next_page_token)

    def head(self, bucket: str, name: str, n_bytes: int) -> Head:
        blob = self._client.bucket(bucket).blob(name)
        data = _part_of(blob, 0, n_bytes)
        version = str(blob.generation or "")
        if len(data) < n_bytes:
            return Head(data=data, n_bytes=len(data), version=version)
        whole = self._client.bucket(bucket).get_blob(
            name, generation=blob.generation, retry=None, timeout=_TIMEOUT_SECONDS
        )
        if whole is None:
            raise FileNotFoundError(f"gs://{bucket}/{name} is no longer there")
        return Head(data=data, n_bytes=whole.size, version=version)

    def read(self, bucket: str, name: str, version: str, start: int, stop: int) -> bytes:
        return _part_of(
            self._client.bucket(bucket).blob(name, generation=int(version) if version else None), start, stop
        )

    def put(self, bucket: str, name: str, data: bytes, *, replaces: str | None) -> None:
        self._client.bucket(bucket).blob(name).upload_from_string(
            data,
            content_type="application/octet-stream",
            if_generation_match=None if replaces is None else int(replaces or 0),
            retry=None,
            timeout=_TIMEOUT_SECONDS,
        )

    def begin(self, bucket: str, name: str) -> Parts:
        return _BlobParts(self._client.bucket(bucket).blob(name))

    def copy(self, bucket: str, name: str, to: str) -> None:
        place = self._client.bucket(bucket)
        source, target, token = place.blob(name), place.blob(to), None
        # a large object takes several requests
        while True:
            token, _, _ = target.rewrite(source, token=token, retry=None, timeout=_TIMEOUT_SECONDS)
            if token is None:
                return

    def delete(self, bucket: str, name: str) -> None:
        try:
            self._client.bucket(bucket).delete_blob(name, retry=None, timeout=_TIMEOUT_SECONDS)
        except NotFound:
            return


class _BlobParts:
    """A resumable upload; Google's client asks again by itself, so an error that it raises is the last word."""

    def __init__(self, blob: Any) -> None:
        self._writer = blob.open("wb", chunk_size=_PART_BYTES, ignore_flush=True)

    def add(self, data: bytes) -> None:
        with _last_word():
            self._writer.write(data)

    def finish(self) -> None:
        with _last_word():
            self._writer.close()

    def abort(self) -> None:
        self._writer.terminate()


@contextmanager
def _last_word() -> Iterator[None]:
    try:
        yield
    except Exception as err:
        trouble = trouble_of(err)
        if trouble is None:
            raise
        raise StoreError(
            f"an upload cannot go on: {trouble.why}", "check the store, and run the same command again"
        ) from err


def trouble_of(err: Exception) -> Trouble | None:
    """Return the trouble behind an exception of Google's client; None for one that is not the store's."""
    if isinstance(err, InvalidResponse):
        return Trouble(why=f"the store answers {err.response.status_code}", status=int(err.response.status_code))
    if isinstance(err, GoogleAPICallError):
        status = int(err.code) if err.code is not None else 500
        return Trouble(why=f"the store answers {status} ({_line(err.message)})", status=status)
    if isinstance(err, _NO_ANSWER):
        return Trouble(why=f"no answer ({innermost(err)})")
    if isinstance(err, GoogleAuthError):
        return Trouble(why=f"no credentials ({_line(err)})", lasting=True)
    return None


def _line(err: object) -> str:
    return " ".join(str(err).split())[:300]


def _client(options: Any) -> Client:
    """Return a client that signs in as Beam does; without credentials, or before an emulator, an anonymous one."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):  # Google's client goes there, and needs no credentials
        return Client.create_anonymous_client()
    try:
        # Beam looks for them for half a minute, and logs each time: where there are none, it is not asked
        google.auth.default()
    except DefaultCredentialsError:
        return Client.create_anonymous_client()
    from apache_beam.io.gcp import gcsio

    return gcsio.create_storage_client(options)


def _found(blob: Any) -> Found:
    return Found(name=blob.name, n_bytes=blob.size, version=str(blob.generation or ""))


def _part_of(blob: Any, start: int, stop: int) -> bytes:
    try:
        data: bytes = blob.download_as_bytes(
            start=start, end=stop - 1, raw_download=True, retry=None, timeout=_TIMEOUT_SECONDS
        )
    except RequestRangeNotSatisfiable:  # nothing is there from that byte on
        return b""
    return data
