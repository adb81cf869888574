"""Prefixes of keys in S3, used as folders."""

from aws_cdk import Token


def as_folder(prefix: str) -> str:
    """Return a prefix with one slash at its end, unless it is empty or known at deployment only.

    Without the slash, `acme` would be the beginning of `acme-eu/` as well.
    """
    if Token.is_unresolved(prefix):
        return prefix
    if prefix.startswith("/"):
        raise ValueError(f"'prefix' should not start with '/', got {prefix!r}")
    return f"{prefix.rstrip('/')}/" if prefix else ""
