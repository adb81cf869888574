"""The names of archives, which carry the adapter's digest (docs/adr/0005-adapter-identity.md)."""

import re

ARCHIVE_SUFFIX = ".tar.gz"

DIGEST = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 in hexadecimal."""

_NAMED_BY_DIGEST = re.compile(rf"(?:sha256-)?({DIGEST.pattern}){re.escape(ARCHIVE_SUFFIX)}")


def archive_name(digest: str) -> str:
    """Return the name of the archive with this digest, as `adapters publish` gives it."""
    return f"sha256-{digest}{ARCHIVE_SUFFIX}"


def digest_in_key(key: str) -> str | None:
    """Return the digest in the last part of a key or URI; None for a name without one."""
    match = _NAMED_BY_DIGEST.fullmatch(key.rpartition("/")[2])
    return match.group(1) if match else None
