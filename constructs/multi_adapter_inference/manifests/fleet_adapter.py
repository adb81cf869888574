"""Adapters of a fleet that are listed in code."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from aws_cdk import aws_s3 as s3

from adapter_fleet.common.findings import Finding
from adapter_fleet.common.validators import TOKEN, check_known, holds_token
from adapter_fleet.documents.schema import RecordError
from adapter_fleet.manifest.desired import Probe
from adapter_fleet.manifest.manifest_adapter import (
    ArtifactReference,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    S3Artifact,
    SmokeSettings,
)
from adapter_fleet.manifest.value_rules import problems_of_probe
from adapter_fleet.manifest.writer import plain_adapter
from multi_adapter_inference.adapters.artifact import AdapterArtifact
from multi_adapter_inference.arguments.argument_types import checked


@checked
@dataclass(frozen=True, kw_only=True)
class SmokeTest(SmokeSettings):
    """A request that an adapter must answer before it counts as in service.

    The request reaches one copy of the base model, whichever SageMaker picks. Give either `prompt` or `body`.

    A version that fails gives way to the last good one. A first version has none before it: it counts as
    failed, and its component stays reachable for callers who name it.

    prompt:
        What to ask, at temperature 0.
    max_tokens:
        The longest answer, with `prompt`. Default: 16 tokens.
    body:
        The whole JSON body of the request, for containers that take another one.
    expect:
        A regular expression that must be found in the answer. Default: any answer with a 2XX code passes.

    Example::

        SmokeTest(prompt="Summarize: revenue rose 4 %.", expect="revenue")
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            # It becomes part of a JSON text, where a quote in the token's value would end the string.
            check_known(each.name, getattr(self, each.name))
        super().__post_init__()


@checked
@dataclass(frozen=True, kw_only=True)
class AdapterProbe(Probe):
    """A prompt, and what one version of an adapter answers; its base model and others answer something else.

    The fleet asks the probe after each change, as often as the copies of the base model need it, and so does
    a `DriftCheck`. A wrong answer is a failure of the adapter that says who answers in its place.

    prompt:
        What to ask, at temperature 0. Eight random characters and an empty line are sent in front of it.
    answer:
        The beginning of the answer.
    max_tokens:
        The longest answer. Default: as many tokens as `answer` may have.

    Example::

        AdapterProbe(prompt="Ticket: the parcel is late.", answer='{"queue": "globex-returns"')
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            check_known(each.name, getattr(self, each.name))
        if problems := list(problems_of_probe(self)):
            raise RecordError(problems)


@checked
@dataclass(frozen=True, kw_only=True)
class FleetAdapter:
    """One adapter of a fleet, for `AdapterManifest.from_adapters`.

    name:
        The adapter's name, unique in the fleet. Its component's name is `<prefix>-<name>`.
    artifact:
        A directory of this machine, or an archive in S3.
    digest:
        The identity that `adapters publish` printed: 64 hexadecimal digits, with or without `sha256:` in
        front. Needed for an archive in S3 whose key does not contain it. Default: the one in the key.
    rank:
        The adapter's rank. With it, synth refuses a rank above the endpoint's limit also for an archive in
        S3. Default: synth checks none.
    tags:
        Tags of the component, in addition to those of the fleet. Default: none.
    smoke:
        The adapter's own smoke test, or False for none. Default: the fleet's.
    probe:
        What this version answers, and nobody else. Default: none. After a smoke test with a prompt, the fleet
        then checks only that the answer differs from the base model's.
    percent:
        The share of the callers whom this version answers when it is new, from 1 to 100, in a fleet with
        `releases`. Default: what its releases say.
    component_name:
        The whole name of a component that existed before the fleet. Default: `<prefix>-<name>`.

    Example::

        FleetAdapter(
            name="ectsum",
            artifact=AdapterArtifact.from_uri(f"s3://models/adapters/sha256-{'0' * 64}.tar.gz"),
            rank=16,
        )
    """

    name: str
    artifact: AdapterArtifact
    digest: str | None = None
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeTest | Literal[False] | None = None
    probe: AdapterProbe | None = None
    percent: int | None = None
    component_name: str | None = None


def manifest_adapter(adapter: FleetAdapter, number: int, buckets: dict[str, s3.IBucket]) -> ManifestAdapter:
    """Return an adapter as the manifest has it, as number `number` of the list.

    A bucket whose name only the deployment knows gets an alias in `buckets`.
    """
    return ManifestAdapter(
        name=adapter.name,
        artifact=_reference(adapter.artifact, buckets),
        digest=adapter.digest and adapter.digest.removeprefix("sha256:"),
        rank=adapter.rank,
        tags=dict(adapter.tags),
        smoke=adapter.smoke.request() if isinstance(adapter.smoke, SmokeTest) else adapter.smoke,
        probe=adapter.probe,
        percent=adapter.percent,
        component=adapter.component_name,
        where=f"adapters:{number}",
    )


def _reference(artifact: AdapterArtifact, buckets: dict[str, s3.IBucket]) -> ArtifactReference:
    address = artifact._address
    if isinstance(address, Path):
        return LocalArtifact(path=address.resolve())
    if address.bucket is None or TOKEN not in address.bucket_name:
        return S3Artifact(uri=address.uri)
    known = {bucket.bucket_name: alias for alias, bucket in buckets.items()}
    alias = known.get(address.bucket_name, f"bucket{len(buckets) + 1}")
    buckets[alias] = address.bucket
    return BucketArtifact(bucket=alias, key=address.key)


def unresolved(adapter: ManifestAdapter) -> Finding | None:
    """Return the error for a token in an adapter: the CDK resolves those of a template, not of an asset."""
    if not holds_token(plain_adapter(adapter)):
        return None
    message = f"adapter {adapter.name!r}: all but a bucket's name should be known at synth, got a token"
    return Finding.error("unresolved-token", adapter.where, message)
