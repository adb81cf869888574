"""The places in buckets from which an endpoint's role reads adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from aws_cdk import aws_s3 as s3

from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.object_prefix import as_folder


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
