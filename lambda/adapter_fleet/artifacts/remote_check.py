"""An adapter's archive in S3, checked from its first bytes where it is one of ours, else in one pass.

Ours is what `adapters publish` made: a key that ends with the digest, and the canonical tar in it, which has
the configuration first, then the header of the weights. Its length follows from its first bytes, and gzip's
trailer has to agree. What it takes to smuggle another file into such an archive is to write under a key that
vouches for other bytes; `whole` reads all of them and compares the digest.
"""

import hashlib
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter_fleet.artifacts import canonical_tar
from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES, entries
from adapter_fleet.artifacts.archive_error import ArchiveError
from adapter_fleet.artifacts.check import AdapterCheck
from adapter_fleet.artifacts.config import MAX_CONFIG_BYTES
from adapter_fleet.artifacts.decompressing_reader import ArchiveLimits
from adapter_fleet.artifacts.finite_weights import START_BYTES, WeightReading
from adapter_fleet.artifacts.object_stream import MAX_RANGE_BYTES, ObjectStream, StoredObject
from adapter_fleet.artifacts.rules import CheckRule
from adapter_fleet.artifacts.safetensors_header import MAX_HEADER_BYTES
from adapter_fleet.common.digests import digest_in_key
from adapter_fleet.common.findings import Finding
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_LONGEST_START = MAX_CONFIG_BYTES + MAX_HEADER_BYTES + START_BYTES + MAX_RANGE_BYTES
"""What configuration, header and a sample of weights take, were they random; no more is kept in memory."""
_TRAILER = struct.Struct("<2sII")
_LAST_BLOCK = b"\x03\x00"
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""Those of `packing`: no name, no time; then a last, empty block of deflate at the end."""


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
    stored = StoredObject(s3, bucket, key)
    named = digest_in_key(key)
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


def _check_whole(
    check: AdapterCheck,
    stored: StoredObject,
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
        with closing(ObjectStream(stored)) as stream:
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
    stored: StoredObject,
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


class _Start:
    """The first bytes of an object as a stream that reads on as it is asked to.

    Raises ArchiveError beyond what an archive of ours has before the tensors: deflate may go on for ever and
    give nothing.
    """

    def __init__(self, stored: StoredObject) -> None:
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
