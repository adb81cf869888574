"""One adapter of a manifest: the reference to its archive, and its smoke test."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import component_name, digest_in_key
from adapter_fleet.documents.schema import RecordError
from adapter_fleet.evaluation import EvaluationRecord
from adapter_fleet.manifest.desired import Probe, SmokeRequest


class ManifestError(ValueError):
    """Every error in a manifest, in `findings`."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True, kw_only=True)
class S3Artifact:
    """An archive in S3 by its URI."""

    uri: str


@dataclass(frozen=True, kw_only=True)
class BucketArtifact:
    """An archive in a bucket that the fleet knows by an alias, so that one manifest fits several accounts.

    bucket:
        An alias of a bucket that the fleet has been given.
    key:
        The key of the archive in the bucket.
    """

    bucket: str
    key: str


@dataclass(frozen=True, kw_only=True)
class LocalArtifact:
    """A directory or an archive on this machine. Uploading it makes it an asset."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class AssetArtifact:
    """An archive that was uploaded with the fleet, by the SHA-256 of its canonical tar."""

    identity: str


ArtifactReference = S3Artifact | BucketArtifact | LocalArtifact | AssetArtifact


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """What both an adapter and the defaults of a manifest may set.

    rank:
        The LoRA rank. One above the endpoint's `max_lora_rank` is an error before anything is created.
    tags:
        Tags of the inference component: texts, in quotes where they look like numbers.
    smoke:
        A request that the adapter has to answer before it counts as in service. False for none
        (`smoke: false`), even if the fleet has a default one.
    """

    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | Literal[False] | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestAdapter(AdapterSettings):
    """One adapter of a manifest, with the manifest's defaults. Its fields are the keys of the document.

    name:
        The name, which no other adapter of the manifest has, whatever the case. The component is
        `<prefix>-<name>`.
    artifact:
        Where the adapter is: `s3://<bucket>/<key>.tar.gz`, a bucket's alias and a key, or a directory or an
        archive of this machine that begins with `./`, `../` or `/`.
    digest:
        SHA-256 of the canonical tar, as `adapters publish` writes it. Not needed for a path, nor where the
        key ends with `sha256-<64 hex>.tar.gz`.
    checksum:
        S3's SHA-256 of the archive, as `adapters publish` writes it. An archive without one is read.
    probe:
        What this version of the adapter answers, and the base model does not.
    evaluation:
        How this version did beside the base model, as `adapters publish --evaluation` writes it.
    percent:
        The share of the callers whom this version answers when it is new; None for what the fleet says.
    component:
        The component's name if it is not `<prefix>-<name>`, such as that of a component made by hand.
    where:
        File and line, for messages. Adapters that differ in nothing else are equal.
    """

    name: str
    artifact: ArtifactReference
    digest: str | None = None
    checksum: str | None = None
    probe: Probe | None = None
    evaluation: EvaluationRecord | None = None
    percent: int | None = None
    component: str | None = None
    where: str = field(default="", compare=False)

    @property
    def known_digest(self) -> str | None:
        """The digest that the manifest gives, or else the one in the name of the key or the asset."""
        return self.digest or named_digest(self.artifact)

    def component_name(self, prefix: str) -> str:
        """Return the component's name in a fleet; ValueError if it is too long."""
        return self.component or component_name(prefix, self.name)

    def with_defaults(self, defaults: AdapterSettings) -> "ManifestAdapter":
        """Return the adapter with the defaults that it does not set. Mappings are joined; its keys win."""
        values: dict[str, Any] = {}
        for each in fields(AdapterSettings):
            own, default = getattr(self, each.name), getattr(defaults, each.name)
            values[each.name] = default if own is None else own
            if isinstance(own, Mapping):
                values[each.name] = {**default, **own}
        return replace(self, **values)


def common_values(record: object, type_: type) -> dict[str, Any]:
    """Return the values that a record has for the fields of another record, by name."""
    return {each.name: getattr(record, each.name) for each in fields(type_) if hasattr(record, each.name)}


def named_digest(artifact: ArtifactReference) -> str | None:
    """Return the digest in the name of a content-addressed key or asset; None for any other name."""
    match artifact:
        case AssetArtifact(identity=identity):
            return identity
        case S3Artifact(uri=key) | BucketArtifact(key=key):
            return digest_in_key(key)
    return None


MAX_SMOKE_BYTES = 8_000
"""JSON bytes of a smoke request's body. A fleet's default one is stored for each adapter without one."""
MAX_EXPRESSION_LENGTH = 1000


@dataclass(frozen=True, kw_only=True)
class SmokeSettings:
    """The keys of a smoke test: either `prompt` or `body`. Raises RecordError with every mistake.

    prompt:
        What to ask, at temperature 0.
    max_tokens:
        The longest answer, with `prompt`. Default: `DEFAULT_MAX_TOKENS`.
    body:
        The whole JSON body of the request, for containers that take another one.
    expect:
        A regular expression that must be found in the answer. Default: any answer with a 2XX code passes.
    """

    prompt: str | None = None
    max_tokens: int | None = None
    body: Mapping[str, Any] | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise RecordError(problems)

    def request(self) -> SmokeRequest:
        """Return the request that the Lambda functions send."""
        if self.prompt is not None:
            return SmokeRequest.from_prompt(self.prompt, max_tokens=self.max_tokens, expect=self.expect)
        return SmokeRequest(body=dict(self.body or {}), expect=self.expect)

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Find what is wrong: the key, and the problem of its value."""
        given = [key for key in ("prompt", "body") if getattr(self, key) is not None]
        if len(given) != 1:
            yield "", f"one of prompt, body should be given, got {' and '.join(given) or 'none'}"
        if self.prompt == "":
            yield "prompt", "should not be empty, got ''"
        if self.max_tokens is not None:
            if self.max_tokens <= 0:
                yield "max_tokens", f"should be above 0, got {self.max_tokens}"
            if given == ["body"]:
                yield "max_tokens", f"should be given with prompt only, got {self.max_tokens}"
        yield from problems_of_smoke(self.request())


def problems_of_smoke(smoke: SmokeRequest) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a smoke request: the key, and the problem of its value."""
    try:
        size = len(json.dumps(smoke.body, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        yield "body", f"should be plain data: {error!s:.200}"
    else:
        if size > MAX_SMOKE_BYTES:
            key = "prompt" if smoke.is_prompt else "body"
            yield key, f"should have at most {MAX_SMOKE_BYTES} bytes as JSON, got {size}"
    if smoke.expect is not None and (problem := _problem_of_expression(smoke.expect)):
        yield "expect", problem


def _problem_of_expression(text: str) -> str | None:
    if len(text) > MAX_EXPRESSION_LENGTH:
        return f"should have at most {MAX_EXPRESSION_LENGTH} characters, got {len(text)}"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return f"should be a regular expression ({error}), got {short_repr(text)}"
    return None
