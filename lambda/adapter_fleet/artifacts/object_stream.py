"""Reads one version of an object in S3: its start, its end, or the whole object."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_fleet.common.aws_errors import code_of

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_FIRST_BYTES = 32 * 1024
"""Enough for an adapter of 8 billion parameters on all linear modules: 450 tensors are 8 KiB compressed."""
MAX_RANGE_BYTES = 1024 * 1024
_ATTEMPTS = 3


@contextmanager
def open_object(s3: "S3Client", bucket: str, key: str, *, etag: str) -> Iterator[Readable]:
    """Open the object that has this entity tag, as a stream that survives a cut connection."""
    with closing(ObjectStream(StoredObject(s3, bucket, key, etag=etag))) as stream:
        yield stream


class StoredObject:
    """One version of an object, read in ranges.

    count:
        Bytes read so far.
    size:
        Bytes it has; None before the first read.
    start:
        Its first bytes, as many as `read_start` has read.
    """

    def __init__(self, s3: "S3Client", bucket: str, key: str, *, etag: str | None = None) -> None:
        self.uri = f"s3://{bucket}/{key}"
        self.count = 0
        self.size: int | None = None
        self._s3, self._bucket, self._key = s3, bucket, key
        self._etag = etag
        self.start = bytearray()

    def read_start(self) -> bytearray:
        """Read on from the start, twice as much each time; return all bytes read so."""
        position = len(self.start)
        if self.size is None or position < self.size:
            step = min(max(position, _FIRST_BYTES), MAX_RANGE_BYTES)
            self.start += self._read(position, position + step)
        return self.start

    def read_end(self, length: int) -> bytes:
        """Return the last bytes."""
        assert self.size is not None  # the start is read first
        return self._read(max(self.size - length, 0), self.size).rjust(length, b"\0")

    def open(self, begin: int) -> "StreamingBody":
        """Start to read from an offset to the end."""
        return self._get(f"bytes={begin}-")["Body"]

    def _read(self, begin: int, end: int) -> bytes:
        try:
            data = self._get(f"bytes={begin}-{end - 1}")["Body"].read(end - begin)
        except ClientError as error:
            if code_of(error) != "InvalidRange":
                raise
            data = b""  # an empty object has no range
            self.size = 0
        self.count += len(data)
        return data

    def _get(self, range_: str) -> "GetObjectOutputTypeDef":
        if self._etag is None:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=range_)
        else:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=range_, IfMatch=self._etag)
        self._etag = answer["ETag"]
        content_range = answer.get("ContentRange")
        self.size = int(content_range.rpartition("/")[2]) if content_range else answer["ContentLength"]
        return answer


class ObjectStream:
    """Reads an object from its first byte to its last, and resumes where a connection was cut."""

    def __init__(self, stored: StoredObject) -> None:
        self._stored = stored
        self._rest = stored.start or stored.read_start()
        self._position = 0
        self._body: StreamingBody | None = None

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none only at the end."""
        if self._position < len(self._rest):
            data = bytes(self._rest[self._position : self._position + size])
        elif self._position < (self._stored.size or 0):
            data = self._read_on(size)
            self._stored.count += len(data)
        else:
            data = b""
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the connection."""
        if self._body is not None:
            self._body.close()

    def _read_on(self, size: int) -> bytes:
        for left in reversed(range(_ATTEMPTS)):
            try:
                self._body = self._body or self._stored.open(self._position)
                return self._body.read(size)
            except BotoCoreError:
                self.close()
                self._body = None
                if not left:
                    raise
        raise AssertionError  # the last attempt returns or raises
