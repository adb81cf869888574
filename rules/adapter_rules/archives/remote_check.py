"""Checks an adapter's archive in S3: a published one from its first bytes, any other in one pass.

A published archive is one that `adapters publish` made. Its key ends with the digest. It holds the canonical
tar, which begins with the configuration and the header of the weights. Its length follows from these first
bytes, and gzip's trailer has to agree. Whoever may write under such a key could still put other bytes there;
`whole` reads all of them and compares the digest.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES, ArchiveError
from adapter_fleet.artifacts.object_stream import ObjectStream
from adapter_fleet.artifacts.tar import canonical_header, canonical_size, entries
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import digest_in_key
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.checks.adapter_check import AdapterCheck
from adapter_rules.checks.config_check import MAX_CONFIG_BYTES
from adapter_rules.checks.requirements_and_remedies import CheckRule
from adapter_rules.engines.container_releases import ContainerRelease
from adapter_rules.engines.lora_limits import LoraServing

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_TRAILER = struct.Struct("<2sII")
_LAST_BLOCK = b"\x03\x00"
"""As `packing` writes it: a last, empty block of deflate."""


@dataclass(frozen=True, kw_only=True)
class StoredCheck:
    """The result of a check, the bytes of the object that were read for it, and the object's size."""

    findings: list[Finding]
    bytes_read: int
    size: int


def check_object(
    s3: "S3Client",
    bucket: str,
    key: str,
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    version: ContainerRelease | None = None,
    whole: bool = False,
    watch: Callable[[bytes], object] | None = None,
) -> StoredCheck:
    """Check an adapter in a `.tar.gz` in S3, by the rules of `examine`.

    A check of a published archive reads no weights, unless `whole` is True. Any other archive is read to its
    end. `watch` gets the bytes of the tar that are read.

    Raises ClientError or BotoCoreError if the object cannot be read, and the errors of `watch`.
    """
    stream, named = ObjectStream(s3, bucket, key), digest_in_key(key)
    start = partial(AdapterCheck, f"s3://{bucket}/{key}", lora=lora, base=base, version=version)
    check = start(reads_weights=False)
    if whole or not named or not _check_published(check, stream, watch):
        check = start()
        stream.rewind()
        _check_whole(check, stream, watch, named)
    return StoredCheck(findings=check.findings, bytes_read=stream.count, size=stream.size or 0)


def _check_whole(
    check: AdapterCheck,
    stream: ObjectStream,
    watch: Callable[[bytes], object] | None,
    digest: str | None,
) -> None:
    """Check an archive to its end, and compare its digest with the one in its name."""
    sha = hashlib.sha256()

    def watched(data: bytes) -> None:
        if watch is not None:
            watch(data)
        if digest is not None:
            sha.update(data)

    is_whole = check.check_archive(stream, watched)
    if is_whole and digest is not None and sha.hexdigest() != digest:
        message = f"its content should have the digest that its name says, got {sha.hexdigest()}"
        check.add(CheckRule.ARCHIVE_DIGEST, message)


def _check_published(
    check: AdapterCheck, stream: ObjectStream, watch: Callable[[bytes], object] | None
) -> bool:
    """Check a published archive from its first bytes; False if it turns out to be none."""
    sizes: list[int] = []
    try:
        for name, entry in zip(REQUIRED_FILES, entries(stream, watch=watch), strict=False):
            if (entry.name, entry.header) != (name, canonical_header(name, entry.size)):
                return False
            if name == CONFIG_FILE and entry.size > MAX_CONFIG_BYTES:
                return False  # such a configuration is refused, and too large to keep in memory
            sizes.append(entry.size)
            assert entry.stream is not None  # the header is that of a file
            check.accepts(name, entry.kind)
            check.read(name, entry.size, entry.stream)
            if len(sizes) == len(REQUIRED_FILES):
                break
        else:
            return False
    except ArchiveError:
        return False
    unpacked = canonical_size(REQUIRED_FILES, sizes)
    last_block, _, length = _TRAILER.unpack(stream.read_end(_TRAILER.size))
    if last_block != _LAST_BLOCK or length != unpacked % 2**32:
        return False
    check.finish()
    return True
