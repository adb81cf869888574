"""Reads one version of an object in S3 from its first byte on, as far as it is needed."""

from contextlib import closing
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.aws_errors import code_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_FIRST_BYTES = 32 * 1024
"""Enough for an adapter of 8 billion parameters on all linear modules: 450 tensors are 8 KiB compressed."""
_MOST_BYTES = 16 * 1024 * 1024
"""The largest range, which is in memory at a time."""
_ATTEMPTS = 3


class ObjectStream:
    """Reads an object in ranges, each as large as all before it, up to a limit.

    A range whose connection was cut is requested again. Raises ClientError if the object changes meanwhile.

    count:
        Bytes read so far.
    size:
        Bytes that the object has; None before the first read.
    """

    def __init__(self, s3: "S3Client", bucket: str, key: str, *, etag: str | None = None) -> None:
        self.count = 0
        self.size: int | None = None
        self._s3 = s3
        self._object: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if etag is not None:
            self._object["IfMatch"] = etag
        self.rewind()

    def rewind(self) -> None:
        """Begin at the first byte again."""
        self._end = 0
        self._range = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none only at the end."""
        if not self._range and self._end != self.size:
            step = min(max(self._end, _FIRST_BYTES), _MOST_BYTES)
            self._range = memoryview(self._read(self._end, self._end + step))
            self._end += len(self._range)
        piece, self._range = self._range[:size], self._range[size:]
        return bytes(piece)

    def read_end(self, length: int) -> bytes:
        """Return the last bytes of the object."""
        assert self.size is not None  # the start is read first
        return self._read(max(self.size - length, 0), self.size).rjust(length, b"\0")

    def _read(self, begin: int, end: int) -> bytes:
        for left in reversed(range(_ATTEMPTS)):
            try:
                data = self._get(begin, end)
            except ClientError as error:
                if code_of(error) != "InvalidRange":
                    raise
                self.size = 0  # an empty object has no range
                return b""
            except BotoCoreError:
                if not left:
                    raise
            else:
                self.count += len(data)
                return data
        raise AssertionError  # the last attempt returns or raises

    def _get(self, begin: int, end: int) -> bytes:
        answer = self._s3.get_object(Range=f"bytes={begin}-{end - 1}", **self._object)
        self._object["IfMatch"] = answer["ETag"]
        content_range = answer.get("ContentRange")
        self.size = int(content_range.rpartition("/")[2]) if content_range else answer["ContentLength"]
        with closing(answer["Body"]) as body:
            return body.read(end - begin)
