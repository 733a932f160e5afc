"""Amazon S3, and stores that speak its language, by boto3: objects asked for by name, lists by prefix."""

import re
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from beam_curator.files.store_objects import Found, Head, Page, Parts
from beam_curator.files.store_patience import Trouble, innermost

_TOTAL = re.compile(r"/(\d+)$")


class S3Store:
    """`s3://`.

    Args:
      options: Beam's, which say how to sign in and where the store is.
    """

    def __init__(self, options: Any) -> None:
        from apache_beam.options.pipeline_options import S3Options

        said = options.view_as(S3Options)
        self._client = boto3.session.Session().client(
            "s3",
            region_name=said.s3_region_name,
            api_version=said.s3_api_version,
            use_ssl=not said.s3_disable_ssl,
            verify=said.s3_verify,
            endpoint_url=said.s3_endpoint_url,
            aws_access_key_id=said.s3_access_key_id,
            aws_secret_access_key=said.s3_secret_access_key,
            aws_session_token=said.s3_session_token,
            # Patience asks again, by one rule for all stores
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60),
        )

    def find(self, bucket: str, name: str) -> Found | None:
        answer = _unless_missing(lambda: self._client.head_object(Bucket=bucket, Key=name))
        return None if answer is None else _found(name, answer["ContentLength"], answer)

    def page(self, bucket: str, prefix: str, *, flat: bool, token: str | None, limit: int | None) -> Page:
        asked = {"Delimiter": "/"} if flat else {}
        asked |= {"ContinuationToken": token} if token is not None else {}
        more = {"MaxKeys": limit} if limit is not None else {}
        listed = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, **asked, **more)
        return Page(
            found=[_found(item["Key"], item["Size"], item) for item in listed.get("Contents", ())],
            folders=[item["Prefix"] for item in listed.get("CommonPrefixes", ())],
            token=listed.get("NextContinuationToken"),
        )

    def head(self, bucket: str, name: str, n_bytes: int) -> Head:
        try:
            answer = self._client.get_object(Bucket=bucket, Key=name, Range=f"bytes=0-{n_bytes - 1}")
        except ClientError as err:
            if _status_of(err) == 416:  # an empty object has no first byte
                return Head(data=b"", n_bytes=0, version="")
            raise
        data = answer["Body"].read()
        total = _TOTAL.search(answer.get("ContentRange", ""))
        return Head(data=data, n_bytes=int(total[1]) if total else len(data), version=answer["ETag"])

    def read(self, bucket: str, name: str, version: str, start: int, stop: int) -> bytes:
        pinned = {"IfMatch": version} if version else {}
        answer = self._client.get_object(Bucket=bucket, Key=name, Range=f"bytes={start}-{stop - 1}", **pinned)
        data: bytes = answer["Body"].read()
        return data

    def put(self, bucket: str, name: str, data: bytes, *, replaces: str | None) -> None:
        del replaces  # not all stores that speak this language know preconditions
        self._client.put_object(Bucket=bucket, Key=name, Body=data)

    def begin(self, bucket: str, name: str) -> Parts:
        return _MultipartUpload(self._client, {"Bucket": bucket, "Key": name})

    def copy(self, bucket: str, name: str, to: str) -> None:
        self._client.copy({"Bucket": bucket, "Key": name}, bucket, to)

    def delete(self, bucket: str, name: str) -> None:
        _unless_missing(lambda: self._client.delete_object(Bucket=bucket, Key=name))


class _MultipartUpload:
    def __init__(self, client: Any, place: dict[str, str]) -> None:
        self._client = client
        self._place = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
        self._parts: list[dict[str, Any]] = []

    def add(self, data: bytes) -> None:
        number = len(self._parts) + 1
        answer = self._client.upload_part(**self._place, PartNumber=number, Body=data)
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number})

    def finish(self) -> None:
        self._client.complete_multipart_upload(**self._place, MultipartUpload={"Parts": self._parts})

    def abort(self) -> None:
        self._client.abort_multipart_upload(**self._place)


def trouble_of(err: Exception) -> Trouble | None:
    """Return the trouble behind an exception of boto3; None for one that is not the store's."""
    if isinstance(err, ClientError):
        said = err.response.get("Error", {})
        status = _status_of(err)
        why = f"the store answers {status} ({said.get('Code')} {said.get('Message', '')})".replace(" )", ")")
        return Trouble(why=why, status=status)
    if isinstance(err, (HTTPClientError, IncompleteReadError, ConnectionError, TimeoutError)):
        return Trouble(why=f"no answer ({innermost(err)})")
    if isinstance(err, BotoCoreError):
        return Trouble(why=" ".join(str(err).split()), lasting=True)
    return None


def _status_of(err: ClientError) -> int:
    return int(err.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 500)


def _unless_missing(act: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return act()
    except ClientError as err:
        if _status_of(err) == 404:
            return None
        raise


def _found(name: str, n_bytes: int, answer: dict[str, Any]) -> Found:
    return Found(name=name, n_bytes=n_bytes, version=answer["ETag"])
