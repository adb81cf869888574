"""An S3 in memory: conditional writes, versions, ranges, checksums and multipart uploads, with faults."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from botocore.exceptions import IncompleteReadError

from tests.fakes.clients import client_error


@dataclass
class Object:
    """An object, or a part of an upload. checksum is its SHA-256 if the writer gave one."""

    body: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    checksum: str | None = None
    version: int = 1

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@dataclass
class Upload:
    """A multipart upload in progress."""

    bucket: str
    key: str
    metadata: dict[str, str]
    begun: datetime
    parts: dict[int, Object] = field(default_factory=dict)


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
        self.uploads: dict[str, Upload] = {}
        self.versioned = False
        self.calls: list[str] = []
        self.page_size = page_size
        self.before: Callable[[str], None] = lambda operation: None
        self.after: Callable[[str], None] = lambda operation: None
        self.on_put: Callable[[bytes, str], object] = lambda body, version: None
        self.forbidden: tuple[str, ...] = ()
        self.cuts = self.bytes_read = self.most = self.closed = 0
        self._buckets = buckets
        self._numbers = itertools.count()
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

    def create_multipart_upload(
        self, *, Bucket: str, Key: str, ChecksumAlgorithm: str, ContentType: str, Metadata: dict[str, str]
    ) -> dict[str, str]:
        self._begin("create_multipart_upload", Bucket)
        assert ChecksumAlgorithm == "SHA256"
        number = next(self._numbers)
        begun = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        upload = f"upload-{number}"
        self.uploads[upload] = Upload(Bucket, Key, Metadata, begun)
        self.after("create_multipart_upload")
        return {"UploadId": upload}

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes, ChecksumSHA256: str
    ) -> dict[str, str]:
        self._begin("upload_part", Bucket)
        upload = self._upload(Bucket, Key, UploadId)
        assert ChecksumSHA256 == sha256(Body)
        part = upload.parts[PartNumber] = Object(Body, checksum=ChecksumSHA256)
        self.after("upload_part")
        return {"ETag": part.etag}

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: Any, **condition: str
    ) -> dict[str, str]:
        self._begin("complete_multipart_upload", Bucket)
        upload = self._upload(Bucket, Key, UploadId)
        parts = [upload.parts[part["PartNumber"]] for part in MultipartUpload["Parts"]]
        assert [part.etag for part in parts] == [part["ETag"] for part in MultipartUpload["Parts"]]
        of_parts = sha256(b"".join(base64.b64decode(part.checksum or "") for part in parts))
        body = b"".join(part.body for part in parts)
        made = Object(body, upload.metadata, f"{of_parts}-{len(parts)}")
        self._store(Bucket, Key, made, condition)
        del self.uploads[UploadId]
        self.after("complete_multipart_upload")
        return {"ETag": made.etag}

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> None:
        self._begin("abort_multipart_upload", Bucket)
        self._upload(Bucket, Key, UploadId)
        del self.uploads[UploadId]

    def get_paginator(self, operation: str) -> Any:
        def paginate(*, Bucket: str, **names: str) -> Iterator[dict[str, Any]]:
            self._begin(operation, Bucket)
            given = {_ARGUMENTS[name]: value for name, value in names.items()}
            yield from getattr(self, f"pages_of_{operation}")(Bucket, **given)

        return SimpleNamespace(paginate=paginate)

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

    def pages_of_list_multipart_uploads(self, bucket: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        for identifier, upload in self.uploads.items():
            if upload.bucket == bucket and upload.key.startswith(prefix):
                yield {"Uploads": [{"Key": upload.key, "UploadId": identifier, "Initiated": upload.begun}]}

    def pages_of_list_parts(self, bucket: str, key: str, upload_id: str) -> Iterator[dict[str, Any]]:
        upload = self._upload(bucket, key, upload_id)
        for number, part in sorted(upload.parts.items()):
            listed = {"PartNumber": number, "ETag": part.etag, "Size": len(part.body)}
            yield {"Parts": [listed | {"ChecksumSHA256": part.checksum}]}

    def _begin(self, operation: str, bucket: str) -> None:
        with self._lock:
            self.calls.append(operation)
        self.before(operation)
        if self._buckets and bucket not in self._buckets:
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

    def _upload(self, bucket: str, key: str, identifier: str) -> Upload:
        upload = self.uploads.get(identifier)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise client_error("NoSuchUpload", "The specified upload does not exist.")
        return upload


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


_ARGUMENTS = {"Prefix": "prefix", "Key": "key", "UploadId": "upload_id"}


def _fail_condition() -> NoReturn:
    raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold")


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
