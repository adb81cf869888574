"""An adapter's archive in S3, checked from its first bytes where it is one of ours, else in one pass.

Ours is what `adapters publish` made: a key that ends with the digest, and the canonical tar in it, which has
the configuration first, then the header of the weights. Its length follows from its first bytes, and gzip's
trailer has to agree. What it takes to smuggle another file into such an archive is to write under a key that
vouches for other bytes; `whole` reads all of them and compares the digest.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.artifacts import canonical_tar
from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES, ArchiveError, ArchiveLimits, entries
from adapter_fleet.artifacts.check import AdapterCheck
from adapter_fleet.artifacts.config import MAX_CONFIG_BYTES
from adapter_fleet.artifacts.finite_weights import START_BYTES, WeightReading
from adapter_fleet.artifacts.rules import CheckRule
from adapter_fleet.artifacts.safetensors_header import MAX_HEADER_BYTES
from adapter_fleet.artifacts.unpacked import Readable
from adapter_fleet.common.findings import Finding
from adapter_fleet.manifest.entry import S3Artifact, named_digest
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_FIRST_BYTES = 32 * 1024
"""Enough for an adapter of 8 billion parameters on all linear modules: 450 tensors are 8 KiB compressed."""
_MOST_BYTES = 1024 * 1024
_LONGEST_START = MAX_CONFIG_BYTES + MAX_HEADER_BYTES + START_BYTES + _MOST_BYTES
"""What configuration, header and a sample of weights take, were they random; no more is kept in memory."""
_TRAILER = struct.Struct("<2sII")
_LAST_BLOCK = b"\x03\x00"
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""Those of `packing`: no name, no time; then a last, empty block of deflate at the end."""
_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class StoredCheck:
    """What was found, how many bytes of the object were read for it, and how many it has.

    not_compared:
        What could not be compared with the base model, which is nothing wrong.
    """

    findings: list[Finding]
    not_compared: Finding | None
    bytes_read: int
    size: int


def check_object(
    s3: "S3Client",
    bucket: str,
    key: str,
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    version: LmiVersion | None = None,
    limits: ArchiveLimits | None = None,
    whole: bool = False,
    watch: Callable[[bytes], object] | None = None,
    weights: WeightReading | None = None,
) -> StoredCheck:
    """Check an adapter in a `.tar.gz` in S3, by the same rules as `check_archive`.

    Without `weights`, none are read of an archive of ours, and a sample of any other, all of which is read in
    any case. A sample of an archive of ours is its first mebibyte of weights. `watch` gets what is read of
    the tar. Raises ClientError or BotoCoreError where the object cannot be read, and what `watch` raises.
    """
    stored = _Object(s3, bucket, key)
    named = named_digest(S3Artifact(uri=stored.uri))
    check = None
    if (
        named
        and not whole
        and weights is not WeightReading.ALL
        and stored.read_start()[: len(_GZIP_HEADER)] == _GZIP_HEADER
    ):
        check = AdapterCheck(
            stored.uri, version=version, weights=weights or WeightReading.NONE, only_start=True
        )
        if not _check_ours(check, stored, lora, base, limits or ArchiveLimits(), watch):
            check = None
    if check is None:
        check = AdapterCheck(stored.uri, version=version, weights=weights or WeightReading.SAMPLE)
        _check_whole(check, stored, lora, base, limits, watch, named)
    return StoredCheck(
        findings=check.findings,
        not_compared=check.not_compared,
        bytes_read=stored.count,
        size=stored.size or 0,
    )


@contextmanager
def opened(s3: "S3Client", bucket: str, key: str, *, etag: str) -> Iterator[Readable]:
    """Open an object that has this entity tag, as a stream that survives a cut connection."""
    with closing(_Stream(_Object(s3, bucket, key, etag=etag))) as stream:
        yield stream


def _check_whole(
    check: AdapterCheck,
    stored: "_Object",
    lora: LoraServing | None,
    base: BaseModelFacts | None,
    limits: ArchiveLimits | None,
    watch: Callable[[bytes], object] | None,
    digest: str | None,
) -> None:
    """Check an archive to its end and, where it can be read to there, compare its digest."""
    sha = hashlib.sha256()

    def watched(data: bytes) -> None:
        if watch is not None:
            watch(data)
        if digest is not None:
            sha.update(data)

    try:
        with closing(_Stream(stored)) as stream:
            check.read_archive(stream, limits, watched)
    except ArchiveError as error:
        check.refused(error)
        return
    check.finish(lora, base)
    if digest is not None and sha.hexdigest() != digest:
        message = f"its content should have the digest that its name says, got {sha.hexdigest()}"
        check.breaks(CheckRule.ARCHIVE_DIGEST, message)


def _check_ours(
    check: AdapterCheck,
    stored: "_Object",
    lora: LoraServing | None,
    base: BaseModelFacts | None,
    limits: ArchiveLimits,
    watch: Callable[[bytes], object] | None,
) -> bool:
    """Check an archive of ours from its first bytes; False for one that turns out to be no such archive."""
    sizes: list[int] = []
    try:
        for name, entry in zip(REQUIRED_FILES, entries(_Start(stored), limits, watch=watch), strict=False):
            if (entry.name, entry.header) != (name, canonical_tar.header(name, entry.size)):
                return False
            if name == CONFIG_FILE and entry.size > MAX_CONFIG_BYTES:
                return False  # it is refused; what is between it and the weights is not to be kept
            sizes.append(entry.size)
            assert entry.stream is not None  # the header is that of a file
            check.takes(name, entry.kind)
            check.read(name, entry.size, entry.stream)
            if len(sizes) == len(REQUIRED_FILES):
                break
        else:
            return False
    except ArchiveError:
        return False
    unpacked = canonical_tar.size_of(REQUIRED_FILES, sizes)
    last_block, _, length = _TRAILER.unpack(stored.read_end(_TRAILER.size))
    if last_block != _LAST_BLOCK or length != unpacked % 2**32:
        return False
    check.finish(lora, base)
    return True


class _Object:
    """One version of an object, of which parts are read."""

    def __init__(self, s3: "S3Client", bucket: str, key: str, *, etag: str | None = None) -> None:
        self.uri = f"s3://{bucket}/{key}"
        self.count = 0
        self.size: int | None = None
        self._s3, self._bucket, self._key = s3, bucket, key
        self._etag = etag
        self.start = bytearray()

    def read_start(self) -> bytearray:
        """Read more of the start, twice as much each time; return all of it."""
        position = len(self.start)
        if self.size is None or position < self.size:
            step = min(max(position, _FIRST_BYTES), _MOST_BYTES)
            self.start += self._read(position, position + step)
        return self.start

    def read_end(self, length: int) -> bytes:
        """Return the last bytes."""
        assert self.size is not None  # the start was read
        return self._read(max(self.size - length, 0), self.size).rjust(length, b"\0")

    def open(self, begin: int) -> "StreamingBody":
        """Begin to read from there to the end."""
        return self._get(f"bytes={begin}-")["Body"]

    def _read(self, begin: int, end: int) -> bytes:
        try:
            data = self._get(f"bytes={begin}-{end - 1}")["Body"].read(end - begin)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "InvalidRange":
                raise
            data = b""  # an empty object has no first byte
            self.size = 0
        self.count += len(data)
        return data

    def _get(self, range_: str) -> "GetObjectOutputTypeDef":
        if self._etag is None:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=range_)
        else:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=range_, IfMatch=self._etag)
        self._etag = answer["ETag"]
        told = answer.get("ContentRange")
        self.size = int(told.rpartition("/")[2]) if told else answer["ContentLength"]
        return answer


class _Start:
    """The first bytes of an object as a stream that reads on as it is asked to.

    Raises ArchiveError beyond what an archive of ours has before the tensors: deflate may go on for ever and
    give nothing.
    """

    def __init__(self, stored: _Object) -> None:
        self._stored = stored
        self._position = 0

    def read(self, size: int) -> bytes:
        if self._position == len(self._stored.start):
            if self._position >= _LONGEST_START:
                raise ArchiveError("it should have its tensors sooner")
            self._stored.read_start()
        data = bytes(self._stored.start[self._position : self._position + size])
        self._position += len(data)
        return data


class _Stream:
    """An object from its first byte to its last, in one pass that goes on where a connection was cut."""

    def __init__(self, stored: _Object) -> None:
        self._stored = stored
        self._rest = stored.start or stored.read_start()
        self._position = 0
        self._body: StreamingBody | None = None

    def read(self, size: int) -> bytes:
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
