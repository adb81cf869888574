"""The places in buckets from which an endpoint's role reads adapters, and the prefixes that are folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from aws_cdk import aws_s3 as s3

from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.arguments.argument_types import checked


@checked
@dataclass(frozen=True, kw_only=True)
class ArtifactSource:
    """A prefix of a bucket from which the endpoint's role reads adapters.

    The prefix is a folder: `acme` is the same as `acme/`, and `acme-eu/` is not under it.

    prefix:
        Default: the whole bucket.

    Example::

        ArtifactSource(bucket=bucket, prefix="adapters/")
    """

    bucket: s3.IBucket
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.prefix.startswith(SCHEME):
            raise ValueError(
                f"'prefix' should be the key of a folder, without the bucket, got {self.prefix!r}"
            )
        object.__setattr__(self, "prefix", as_folder(self.prefix))

    @cached_property
    def bucket_name(self) -> str:
        """The bucket's name. Cached, as each question takes the CDK a while."""
        return self.bucket.bucket_name


def may_hold(sources: Sequence[ArtifactSource], bucket_name: str, key: str) -> bool:
    """Return whether an object may be under one of the sources. A token may stand for any name."""
    return any(_may_hold(source, bucket_name, key) for source in sources)


def described(sources: Sequence[ArtifactSource]) -> str:
    """Return the sources as `s3://<bucket>/<prefix>`, for messages."""
    return ", ".join(f"s3://{source.bucket_name}/{source.prefix}" for source in sources) or "none given"


def _may_hold(source: ArtifactSource, bucket_name: str, key: str) -> bool:
    if source.bucket_name != bucket_name:
        return TOKEN in source.bucket_name or TOKEN in bucket_name
    return key.startswith(source.prefix) or TOKEN in source.prefix or TOKEN in key


def as_folder(prefix: str) -> str:
    """Return a prefix with one slash at its end, unless it is empty or a token.

    Without the slash, `acme` would also be a prefix of `acme-eu/`.
    """
    if TOKEN in prefix:
        return prefix
    if prefix.startswith(("/", "s3://")):
        raise ValueError(f"'prefix' should be a folder of the bucket, without '/' or 's3://', got {prefix!r}")
    return f"{prefix.rstrip('/')}/" if prefix else ""


def folder_url(bucket: s3.IBucket, prefix: str) -> str:
    """Return the URL of a folder in S3, or of the whole bucket if `prefix` is empty."""
    return bucket.s3_url_for_object(prefix) if prefix else f"s3://{bucket.bucket_name}/"
