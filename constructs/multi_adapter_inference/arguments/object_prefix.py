"""Prefixes of keys in S3 that are folders."""

from adapter_fleet.common.validators import TOKEN


def as_folder(prefix: str) -> str:
    """Return a prefix with one slash at its end, unless it is empty or a token.

    Without the slash, `acme` would also be a prefix of `acme-eu/`.
    """
    if TOKEN in prefix:
        return prefix
    if prefix.startswith("/"):
        raise ValueError(f"'prefix' should not start with '/', got {prefix!r}")
    return f"{prefix.rstrip('/')}/" if prefix else ""
