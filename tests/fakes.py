"""Clients of boto3 that answer from a test, and an S3 in memory with versions, checksums and faults."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from botocore.exceptions import ClientError, IncompleteReadError
from botocore.paginate import PageIterator


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message or code}}, "Operation")


class Pages:
    """Pages of a test, with what botocore's have beside."""

    def __init__(self, pages: Iterable[Any]) -> None:
        self._pages = pages

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pages)

    search = PageIterator.search


class FakeClient:
    """Answers calls and paginators with functions of a test, and any other one with a real client.

    pages:
        Functions that yield pages, by the operations.
    """

    def __init__(
        self, real: Any = None, *, pages: Mapping[str, Callable[..., Any]] | None = None, **calls: Any
    ) -> None:
        self._real, self._pages, self._calls = real, pages or {}, calls

    def get_paginator(self, operation: str) -> Any:
        if operation in self._pages:
            return SimpleNamespace(paginate=lambda **query: Pages(self._pages[operation](**query)))
        return self._real.get_paginator(operation)

    def __getattr__(self, name: str) -> Any:
        return self._calls[name] if name in self._calls else getattr(self._real, name)


class FakeQuotas:
    """The quotas of an account for SageMaker, by name. They may be changed."""

    def __init__(self, **values: float) -> None:
        self.values = values

    def get_paginator(self, operation: str) -> FakeQuotas:
        assert operation in ("list_service_quotas", "list_aws_default_service_quotas")
        return self

    def paginate(self, *, ServiceCode: str) -> Iterator[dict[str, Any]]:
        assert ServiceCode == "sagemaker"
        yield {"Quotas": [{"QuotaName": "Processing jobs", "QuotaCode": "L-1", "Value": 1.0}]}
        for number, (name, value) in enumerate(self.values.items()):
            yield {"Quotas": [{"QuotaName": name, "QuotaCode": f"L-{number:08X}", "Value": value}]}


@dataclass
class Object:
    """An object. checksum is its SHA-256 if the writer gave one."""

    body: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    checksum: str | None = None
    version: int = 1

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


_MISSING = {"404": "Not Found", "NoSuchKey": "The specified key does not exist."}


class FakeS3:
    """Buckets in memory. Requests for other buckets than the named ones are refused, if any are named.

    objects:
        By bucket and key.
    versioned:
        Whether answers have version ids.
    calls:
        Names of the operations that were called, in order.
    before, after:
        Called with the name of each operation, before it has an effect and after.
    on_put:
        Called with the body and the version of each object that was put; the ETag without versions.
    forbidden:
        Prefixes of "bucket/key" that nobody may read. A whole bucket may not be listed either.
    cuts:
        How many times a connection is cut while a body is read.
    bytes_read, most, closed:
        What was read of bodies, the largest piece that was requested, and how many bodies were closed.
    """

    def __init__(self, *buckets: str, page_size: int = 1000) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.versioned = False
        self.calls: list[str] = []
        self.page_size = page_size
        self.before: Callable[[str], None] = lambda operation: None
        self.after: Callable[[str], None] = lambda operation: None
        self.on_put: Callable[[bytes, str], object] = lambda body, version: None
        self.forbidden: tuple[str, ...] = ()
        self.cuts = self.bytes_read = self.most = self.closed = 0
        self.buckets = buckets
        self._lock = threading.RLock()

    @property
    def writes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith(("head", "get", "list"))]

    def bodies(self, bucket: str) -> dict[str, bytes]:
        """The contents of a bucket by key."""
        return {key: stored.body for (name, key), stored in sorted(self.objects.items()) if name == bucket}

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Store an object without a call."""
        self._store(bucket, key, Object(body), {})

    def head_object(self, *, Bucket: str, Key: str, ChecksumMode: str = "") -> dict[str, Any]:
        self._begin("head_object", Bucket)
        stored = self._object(Bucket, Key, missing="404")
        head = {"ContentLength": len(stored.body), "Metadata": stored.metadata, **self._identity(stored)}
        if ChecksumMode == "ENABLED" and stored.checksum is not None:
            head["ChecksumSHA256"] = stored.checksum
        return head

    def get_object(
        self, *, Bucket: str, Key: str, Range: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        self._begin("get_object", Bucket)
        stored = self._object(Bucket, Key, missing="NoSuchKey")
        data = stored.body
        if IfMatch not in (None, stored.etag):
            _fail_condition()
        if Range is None:
            return {"ContentLength": len(data), "Body": Body(self, data), **self._identity(stored)}
        first, _, last = Range.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(data)) + 1, len(data))
        if begin >= len(data):
            raise client_error("InvalidRange", "The requested range is not satisfiable")
        answer = {"ContentLength": end - begin, "ContentRange": f"bytes {begin}-{end - 1}/{len(data)}"}
        return {**answer, "Body": Body(self, data[begin:end]), **self._identity(stored)}

    def download_file(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self._object(bucket, key, missing="404").body)

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,
        ContentType: str = "",
        ChecksumSHA256: str | None = None,
        Metadata: dict[str, str] | None = None,
        **condition: str,
    ) -> dict[str, Any]:
        self._begin("put_object", Bucket)
        body = Body if isinstance(Body, bytes) else Body.read()
        if ChecksumSHA256 is not None and ChecksumSHA256 != sha256(body):
            raise client_error("BadDigest", "The SHA256 you specified did not match what we received.")
        self._store(Bucket, Key, Object(body, Metadata or {}, ChecksumSHA256), condition)
        self.after("put_object")
        answer = self._identity(self.objects[Bucket, Key])
        self.on_put(body, answer.get("VersionId", answer["ETag"].strip('"')))
        return answer

    def get_paginator(self, operation: str) -> Any:
        def paginate(*, Bucket: str, **names: str) -> Iterator[dict[str, Any]]:
            self._begin(operation, Bucket)
            given = {_ARGUMENTS[name]: value for name, value in names.items()}
            yield from getattr(self, f"pages_of_{operation}")(Bucket, **given)

        return SimpleNamespace(paginate=paginate)

    def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        assert MaxKeys == 1
        self._begin("list_objects_v2", Bucket)
        return next(self.pages_of_list_objects_v2(Bucket, Prefix))

    def pages_of_list_objects_v2(self, bucket: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        if f"{bucket}/" in self.forbidden:
            raise client_error("AccessDenied", "Access Denied")
        found = [
            {"Key": key, "Size": len(stored.body), "ETag": stored.etag}
            for (name, key), stored in sorted(self.objects.items())
            if name == bucket and key.startswith(prefix)
        ]
        if not found:
            yield {"IsTruncated": False}
        for begin in range(0, len(found), self.page_size):
            end = begin + self.page_size
            yield {"Contents": found[begin:end], "IsTruncated": end < len(found)}

    def _begin(self, operation: str, bucket: str) -> None:
        with self._lock:
            self.calls.append(operation)
        self.before(operation)
        if self.buckets and bucket not in self.buckets:
            raise client_error("404" if operation.startswith("head") else "NoSuchBucket", "no such bucket")

    def _object(self, bucket: str, key: str, *, missing: str) -> Object:
        if f"{bucket}/{key}".startswith(self.forbidden):
            raise client_error("AccessDenied", "Access Denied")
        stored = self.objects.get((bucket, key))
        if stored is None:
            raise client_error(missing, _MISSING[missing])
        return stored

    def _store(self, bucket: str, key: str, made: Object, condition: dict[str, str]) -> None:
        with self._lock:
            there = self.objects.get((bucket, key))
            if "IfNoneMatch" in condition and there is not None:
                _fail_condition()
            if "IfMatch" in condition and (there is None or there.etag != condition["IfMatch"]):
                _fail_condition()
            made.version = 1 if there is None else there.version + 1
            self.objects[bucket, key] = made

    def _identity(self, stored: Object) -> dict[str, str]:
        version = {"VersionId": f"v{stored.version}"} if self.versioned else {}
        return {"ETag": stored.etag, **version}


class Body:
    """The body of an answer."""

    def __init__(self, s3: FakeS3, data: bytes) -> None:
        self._s3 = s3
        self.data = data
        self._position = 0

    def read(self, size: int | None = None) -> bytes:
        if self._s3.cuts:
            self._s3.cuts -= 1
            raise IncompleteReadError(actual_bytes=0, expected_bytes=len(self.data))
        size = len(self.data) if size is None else size
        piece = self.data[self._position : self._position + size]
        self._position += len(piece)
        self._s3.bytes_read += len(piece)
        self._s3.most = max(self._s3.most, size)
        return piece

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._s3.closed += 1


_ARGUMENTS = {"Prefix": "prefix"}


def _fail_condition() -> NoReturn:
    raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold")


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
