"""Versions of an archive in S3: how they differ, and which of them S3's checksum confirms."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_fleet.common.bounded_text import bound_texts
from adapter_fleet.manifest.desired import Artifact


@dataclass(frozen=True, kw_only=True)
class ArchiveVersion:
    """One version of an archive's object, as HeadObject reports it.

    version:
        The version id; None in a bucket without versioning.
    modified:
        When S3 received it, in seconds since 1970. No writer can set it.
    checksum:
        S3's SHA-256 of the object in the manifest's form; None for an object that was uploaded without it.
    """

    uri: str
    etag: str
    size: int
    modified: float
    version: str | None = None
    checksum: str | None = None

    @classmethod
    def of_head(cls, uri: str, head: Mapping[str, Any]) -> "ArchiveVersion":
        """Read the response of HeadObject with `ChecksumMode`."""
        version = head.get("VersionId")
        return cls(
            uri=uri,
            etag=head["ETag"],
            size=head["ContentLength"],
            modified=head["LastModified"].timestamp(),
            version=None if version == "null" else version,
            checksum=checksum_text(head.get("ChecksumSHA256")),
        )

    def same_content(self, other: "ArchiveVersion | None") -> bool:
        """Return True if both versions have the same bytes, by S3's SHA-256 or as the same version.

        An entity tag alone is an MD5. A writer can make two archives with the same MD5.
        """
        if other is None:
            return False
        if self.checksum is not None and other.checksum is not None:
            return self.checksum == other.checksum
        return self == other

    def vouches_for(self, artifact: Artifact) -> bool:
        """Return True if S3's checksum equals the artifact's recorded checksum."""
        return self.checksum is not None and self.checksum == artifact.checksum

    def __str__(self) -> str:
        return f"version {self.version}" if self.version else f"entity tag {self.etag}"


@dataclass(frozen=True, kw_only=True)
class ArchiveReading:
    """What a reading of an archive found. The registry stores it.

    identities:
        SHA-256 of the tar as stored. If the archive has only an adapter's files, also SHA-256 of their
        canonical tar.
    problem:
        Why it is no archive of an adapter; None if it is one.
    """

    version: ArchiveVersion
    identities: tuple[str, ...] = ()
    problem: str | None = None

    def __post_init__(self) -> None:
        bound_texts(self, ("problem",))

    def mismatch(self, artifact: Artifact) -> str | None:
        """Return how the archive differs from the recorded artifact; None if it does not."""
        if artifact.digest in self.identities:
            return None
        found = self.problem or f"holds sha256:{self.identities[-1]}"
        if self.problem is None and self.version.checksum == f"sha256:{artifact.digest}":
            found += "; the first is the SHA-256 of the archive file, and a digest is that of its content"
        return f"{artifact.uri} should be the adapter with digest sha256:{artifact.digest}, and {found}"


def checksum_text(sha256: str | None) -> str | None:
    """Return S3's SHA-256 in the manifest's form: `sha256:<hex>`, with `-<parts>` after a multipart upload.

    S3 has the SHA-256 of the whole object only if it was uploaded in one request. For a multipart upload it
    has the SHA-256 of the parts' checksums (S3's guide, "Checking object integrity"). Equal values mean
    equal bytes in both cases.
    """
    if sha256 is None:
        return None
    digest, dash, parts = sha256.partition("-")
    try:
        return f"sha256:{base64.b64decode(digest, validate=True).hex()}{dash}{parts}"
    except binascii.Error:
        return None
