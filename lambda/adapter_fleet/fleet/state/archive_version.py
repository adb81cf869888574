"""One write of an archive's object in S3: what tells it from the next write, and what S3 vouches for."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_fleet.manifest.desired import Artifact


@dataclass(frozen=True, kw_only=True)
class ArchiveVersion:
    """One write of an object, as HeadObject reports it.

    version:
        The version id; None in a bucket without versioning.
    modified:
        When S3 took it, in seconds since 1970. No writer can set it.
    checksum:
        S3's SHA-256 of the object, as a manifest has it; None for an object that was uploaded without.
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
        """Tell whether both have the same bytes, by S3's own word.

        That is the same SHA-256, or the same write. An entity tag alone is an MD5, for which a writer can
        make two archives.
        """
        if other is None:
            return False
        if self.checksum is not None and other.checksum is not None:
            return self.checksum == other.checksum
        return self == other

    def vouches_for(self, artifact: Artifact) -> bool:
        """Tell whether S3's checksum is the one that was recorded with the artifact."""
        return self.checksum is not None and self.checksum == artifact.checksum

    def __str__(self) -> str:
        return f"version {self.version}" if self.version else f"entity tag {self.etag}"


@dataclass(frozen=True, kw_only=True)
class ReadArchive:
    """What one reading of an archive found. The registry remembers it.

    identities:
        SHA-256 of the tar as it is stored and, where the archive has no file but those of an adapter, of the
        canonical tar of the same files.
    problem:
        Why it is no archive of an adapter; None for one that is.
    """

    version: ArchiveVersion
    identities: tuple[str, ...] = ()
    problem: str | None = None

    def mismatch(self, artifact: Artifact) -> str | None:
        """Return why this is not the artifact that was recorded; None if it is."""
        if artifact.digest in self.identities:
            return None
        found = self.problem or f"holds sha256:{self.identities[-1]}"
        return f"{artifact.uri} should be the adapter with digest sha256:{artifact.digest}, and {found}"


def checksum_text(sha256: str | None) -> str | None:
    """Return S3's SHA-256 as a manifest has it: `sha256:<hex>`, and `-<parts>` after an upload in parts.

    S3 has a SHA-256 of the whole object for uploads in one request only. For one in parts it is that of the
    checksums of its parts (S3's guide, "Checking object integrity"). Both mean the same bytes where they are
    equal.
    """
    if sha256 is None:
        return None
    digest, dash, parts = sha256.partition("-")
    try:
        return f"sha256:{base64.b64decode(digest, validate=True).hex()}{dash}{parts}"
    except binascii.Error:
        return None
