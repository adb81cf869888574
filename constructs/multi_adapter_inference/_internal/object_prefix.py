"""Prefixes of keys in S3 that are folders."""

from aws_cdk import Token


def as_folder(prefix: str) -> str:
    """Return a prefix with one slash at its end, unless it is empty or a token.

    Without the slash, `acme` would also be a prefix of `acme-eu/`.
    """
    if Token.is_unresolved(prefix):
        return prefix
    if prefix.startswith("/"):
        raise ValueError(f"'prefix' should not start with '/', got {prefix!r}")
    return f"{prefix.rstrip('/')}/" if prefix else ""
