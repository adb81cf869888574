"""One adapter of a manifest and its rules. The table of rules is in `manifest.manifest`."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapter_fleet.common.digests import ARCHIVE_SUFFIX, DIGEST, digest_in_key
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import FLEET_TAG, check_component_name, component_name
from adapter_fleet.documents.schema import Keys, dotted, shown
from adapter_fleet.manifest.desired import SmokeRequest

MAX_TAGS = 40
"""Of an adapter's own. The rest of what a component may have is for the fleet's own tag and its others."""
MAX_COMPONENT_TAGS = 50
"""TagList in the botocore service model of SageMaker."""
DEFAULT_MAX_TOKENS = 16
MAX_EXPECT_LENGTH = 1000
MAX_CASELESS_WIDTH = 50_000
"""Characters in the ranges of an expression for any case. Python's compiler looks at each of them: a range
of tens of thousands takes it milliseconds, and an expression has room for a hundred of them.
"""

# Url in the botocore service model of SageMaker.
_MAX_URI_LENGTH = 1024
_CHECKSUM = re.compile(rf"sha256:{DIGEST.pattern}(-[1-9][0-9]{{0,4}})?")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# TagKey and TagValue in the botocore service model of SageMaker: [\p{L}\p{Z}\p{N}_.:/=+\-@]
_PLAIN_TAG = re.compile(r"[A-Za-z0-9 _.:/=+\-@]*")
_MAX_TAG_KEY_LENGTH = 128
_MAX_TAG_VALUE_LENGTH = 256


class ManifestError(ValueError):
    """Everything that is wrong with a manifest, in `findings`."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True, kw_only=True)
class S3Artifact:
    """An archive in S3 by its URI."""

    uri: str


@dataclass(frozen=True, kw_only=True)
class BucketArtifact:
    """An archive in a bucket that the fleet knows by an alias, so that a manifest fits several accounts."""

    alias: str
    key: str


@dataclass(frozen=True, kw_only=True)
class LocalArtifact:
    """A directory or an archive of this machine. Uploading it makes it an asset."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class AssetArtifact:
    """An archive that was uploaded with the fleet, by the SHA-256 of its canonical tar."""

    identity: str


ArtifactSource = S3Artifact | BucketArtifact | LocalArtifact | AssetArtifact


@dataclass(frozen=True, kw_only=True)
class ManifestAdapter:
    """One adapter of a manifest, with the manifest's defaults.

    digest:
        SHA-256 of the canonical tar in hexadecimal, as far as the manifest says it.
    checksum:
        S3's SHA-256 of the archive, as `adapters publish` writes it. An archive without is read.
    smokeless:
        Whether it is to have no smoke request (`smoke: false`), not even that of the fleet.
    component:
        The component's name where it is not `<prefix>-<name>`, as for one that was made by hand.
    where:
        File and line, for messages. It makes no difference between two adapters.
    """

    name: str
    artifact: ArtifactSource
    digest: str | None = None
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | None = None
    smokeless: bool = False
    component: str | None = None
    checksum: str | None = None
    where: str = field(default="", compare=False)

    @property
    def known_digest(self) -> str | None:
        """The digest that is given, or else the one in the name of the key or the asset."""
        return self.digest or named_digest(self.artifact)

    def component_name(self, prefix: str) -> str:
        """Return the component's name in a fleet; ValueError where it is too long."""
        return self.component or component_name(prefix, self.name)


def named_digest(artifact: ArtifactSource) -> str | None:
    """Return the digest that the name of a key or an asset has in it: it is content-addressed."""
    match artifact:
        case AssetArtifact(identity=identity):
            return identity
        case S3Artifact(uri=key) | BucketArtifact(key=key):
            return digest_in_key(key)
    return None


def prompt_request(prompt: str, *, max_tokens: int | None = None, expect: str | None = None) -> SmokeRequest:
    """Return the smoke request of a prompt, in the form that LMI containers take."""
    parameters = {"max_new_tokens": max_tokens or DEFAULT_MAX_TOKENS, "temperature": 0}
    return SmokeRequest(body={"inputs": prompt, "parameters": parameters}, expect=expect)


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken rule, and the keys in the adapter that lead to what broke it."""

    rule: str
    keys: Keys
    message: str

    def finding(self, where: str, adapter: str) -> Finding:
        """Return it as a finding of the adapter of that name."""
        return Finding.error(self.rule, where, of_adapter(repr(adapter), self.keys, self.message))


def of_adapter(adapter: str, keys: Keys, message: str) -> str:
    """Return a message that begins with the adapter it is about."""
    return ": ".join(filter(None, (f"adapter {adapter:.80}", dotted(keys), message)))


@dataclass(kw_only=True)
class Draft:
    """What is known of an adapter; None for what is not given or not right."""

    name: str | None = None
    artifact: ArtifactSource | None = None
    digest: str | None = None
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | None = None
    smokeless: bool = False
    component: str | None = None
    checksum: str | None = None


def broken(draft: Draft, *, judge_digest: bool = True) -> Iterator[Broken]:
    """Apply all rules on one adapter."""
    if draft.name is not None:
        yield from _broken_name(draft.name, "name", "adapter-name")
    if draft.component is not None:
        yield from _broken_name(draft.component, "component", "component-name")
    if draft.artifact is not None:
        yield from _broken_artifact(draft.artifact)
        if judge_digest:
            yield from _broken_digest(draft.artifact, draft.digest)
    yield from _broken_checksum(draft.checksum, draft.artifact)
    yield from _broken_rank(draft.rank)
    yield from _broken_tags(draft.tags)
    yield from _broken_smoke(draft.smoke)


def _broken_name(name: str, key: str, rule: str) -> Iterator[Broken]:
    try:
        check_component_name(name, what=key)
    except ValueError as error:
        yield Broken(rule, (key,), f"{error!s:.300}".removeprefix(f"'{key}' "))


def _broken_artifact(artifact: ArtifactSource) -> Iterator[Broken]:
    problem = None
    match artifact:
        case S3Artifact(uri=uri):
            bucket, slash, key = uri.removeprefix("s3://").partition("/")
            if not uri.startswith("s3://") or not slash or not _BUCKET.fullmatch(bucket):
                problem = f"should be 's3://<bucket>/<key>', got {shown(uri)}"
            elif len(uri) > _MAX_URI_LENGTH:
                problem = f"should have at most {_MAX_URI_LENGTH} characters, got {len(uri)}"
            else:
                problem = _problem_of_key(key)
        case BucketArtifact(alias=alias, key=key):
            problem = _problem_of_key(key)
            if not alias:
                problem = "should have a 'bucket' that is not empty"
        case AssetArtifact(identity=identity):
            if not DIGEST.fullmatch(identity):
                problem = f"should be 'asset:' and 64 hexadecimal digits, got {shown(identity)}"
        case LocalArtifact(path=path):
            if not str(path).isprintable():
                problem = f"should be a path of printable characters, got {shown(str(path))}"
    if problem is not None:
        yield Broken("artifact-form", ("artifact",), problem)


def _problem_of_key(key: str) -> str | None:
    if not key.endswith(ARCHIVE_SUFFIX) or key.rpartition("/")[2] == ARCHIVE_SUFFIX:
        return f"should be the key of an archive, '….tar.gz', got {shown(key)}"
    if not key.isprintable():
        return f"should be a key of printable characters, got {shown(key)}"
    return None


def _broken_digest(artifact: ArtifactSource, digest: str | None) -> Iterator[Broken]:
    named = named_digest(artifact)
    if digest is not None and not DIGEST.fullmatch(digest):
        yield Broken("digest-form", ("digest",), f"should be 64 hexadecimal digits, got {shown(digest)}")
    elif digest is not None and named is not None and digest != named:
        message = f"should be sha256:{named}, as the archive is named, got sha256:{digest}"
        yield Broken("digest-agrees", ("digest",), message)
    elif digest is None and named is None and not isinstance(artifact, LocalArtifact):
        message = "should be given, as the key has none in its name ('sha256-<64 hex>.tar.gz'), got nothing"
        yield Broken("digest-required", ("digest",), message)


def _broken_checksum(checksum: str | None, artifact: ArtifactSource | None) -> Iterator[Broken]:
    if checksum is None:
        return
    if not _CHECKSUM.fullmatch(checksum):
        message = (
            "should be S3's SHA-256 of the archive: 'sha256:' and 64 hexadecimal digits, and '-<parts>' if it"
            f" was uploaded in parts, got {shown(checksum)}"
        )
        yield Broken("checksum-form", ("checksum",), message)
    elif isinstance(artifact, LocalArtifact | AssetArtifact):
        yield Broken("checksum-form", ("checksum",), "is for an archive in S3, got a path or an asset")


def _broken_rank(rank: int | None) -> Iterator[Broken]:
    if rank is not None and rank <= 0:
        yield Broken("rank-positive", ("rank",), f"should be above 0, got {rank}")


def _broken_tags(tags: Mapping[str, str]) -> Iterator[Broken]:
    if len(tags) > MAX_TAGS:
        yield Broken("tag-count", ("tags",), f"should be at most {MAX_TAGS}, got {len(tags)}")
        return
    for key, value in tags.items():
        if problem := problem_of_tag(key, value):
            yield Broken("tag-form", ("tags", key), problem)


def problem_of_tag(key: str, value: str) -> str | None:
    """Tell what is wrong with one tag of a component, be it an adapter's own or of its fleet."""
    if not 0 < len(key) <= _MAX_TAG_KEY_LENGTH:
        return f"a key should have 1 to {_MAX_TAG_KEY_LENGTH} characters, got {len(key)}"
    if len(value) > _MAX_TAG_VALUE_LENGTH:
        return f"should have at most {_MAX_TAG_VALUE_LENGTH} characters, got {len(value)}"
    # IAM compares the keys of tags whatever their case.
    if key.casefold() == FLEET_TAG:
        return f"{FLEET_TAG!r} is the tag by which the fleet knows its own"
    if key.casefold().startswith("aws:"):
        return "keys that begin with 'aws:' are AWS's own"
    for text in (key, value):
        if not _PLAIN_TAG.fullmatch(text) and not all(map(_is_of_tags, text)):
            return f"should be letters, digits, spaces and _.:/=+-@, got {shown(text)}"
    return None


def _is_of_tags(character: str) -> bool:
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"


def _broken_smoke(smoke: SmokeRequest | None) -> Iterator[Broken]:
    if smoke is None:
        return
    for key, problem in problems_of_smoke(smoke):
        yield Broken("smoke-request", ("smoke", key), problem)


def problems_of_smoke(smoke: SmokeRequest) -> Iterator[tuple[str, str]]:
    """Tell what is wrong with a smoke request, each with the key that it is about."""
    try:
        json.dumps(smoke.body, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield "body", f"should be plain data: {error!s:.200}"
    if smoke.expect is not None and (problem := _problem_of_expression(smoke.expect)):
        yield "expect", problem


def _problem_of_expression(text: str) -> str | None:
    if len(text) > MAX_EXPECT_LENGTH:
        return f"should have at most {MAX_EXPECT_LENGTH} characters, got {len(text)}"
    if _CASELESS.search(text) and (width := _width_of_ranges(text)) > MAX_CASELESS_WIDTH:
        return f"should have ranges of at most {MAX_CASELESS_WIDTH} characters beside (?i), got {width}"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return f"should be a regular expression ({error}), got {shown(text)}"
    return None


_CASELESS = re.compile(r"\(\?[a-zA-Z-]*i")
_CHARACTER = re.compile(
    r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\N\{[^}]*\}|\\[0-7]{1,3}|\\.|.", re.DOTALL
)

_OCTAL = re.compile(r"\\[0-7]{1,3}")


def _width_of_ranges(text: str) -> int:
    """Return how many characters the ranges of an expression have; a `-` outside of brackets counts, too."""
    characters = _CHARACTER.findall(text)
    return sum(
        max(0, _code(characters[place + 1], 0x10FFFF) - _code(characters[place - 1], 0))
        for place, character in enumerate(characters[1:-1], 1)
        if character == "-"
    )


def _code(character: str, unknown: int) -> int:
    """Return the code of a character as an expression writes it; `unknown` for one by its name."""
    if character.startswith(("\\x", "\\u", "\\U")) and len(character) > 2:
        return int(character[2:], 16)
    if character.startswith("\\N{"):
        return unknown
    if _OCTAL.fullmatch(character):
        return int(character[1:], 8)
    return ord(character[-1])


def problem_of_tags(tags: Mapping[str, str], fleet_tags: Mapping[str, str]) -> str | None:
    """Tell what is wrong with the number of tags that a component gets: the adapter's and the fleet's."""
    count = len({*tags, *fleet_tags, FLEET_TAG})
    if count <= MAX_COMPONENT_TAGS:
        return None
    return (
        f"should be at most {MAX_COMPONENT_TAGS} with the {len(fleet_tags)} of the fleet and {FLEET_TAG!r},"
        f" got {count}"
    )


def broken_at_endpoint(
    adapter: ManifestAdapter,
    prefix: str,
    max_lora_rank: int | None,
    components: dict[str, ManifestAdapter],
    fleet_tags: Mapping[str, str],
) -> Iterator[Broken]:
    """Apply the rules on one adapter that need the fleet; `components` are those of the ones before."""
    if problem := problem_of_tags(adapter.tags, fleet_tags):
        yield Broken("tag-count", ("tags",), problem)
    if max_lora_rank is not None and adapter.rank is not None and adapter.rank > max_lora_rank:
        message = f"should be at most {max_lora_rank} ('max_lora_rank'), got {adapter.rank}"
        yield Broken("lora-rank", ("rank",), message)
    try:
        component = adapter.component_name(prefix)
    except ValueError as error:
        yield Broken("component-name", (), str(error))
        return
    other = components.setdefault(component.casefold(), adapter)
    if other is not adapter:
        yield Broken("component-unique", (), _used_twice("component", component, other.name, other.where))


def repeated(adapters: Iterable[tuple[str | None, str | None, str]]) -> Iterator[Finding]:
    """Find names and components, each with where it is, that another adapter before has as well."""
    names: dict[str, tuple[str, str]] = {}
    components: dict[str, tuple[str, str]] = {}
    for name, component, where in adapters:
        itself = (name or "?", where)
        if name is not None and (other := names.setdefault(name.casefold(), itself)) is not itself:
            yield Broken("adapter-unique", (), _used_twice("name", name, *other)).finding(where, name)
        if component is None:
            continue
        if (other := components.setdefault(component.casefold(), itself)) is not itself:
            message = _used_twice("component", component, *other)
            yield Broken("component-unique", (), message).finding(where, itself[0])


def _used_twice(what: str, value: str, other: str, where: str) -> str:
    whose = f"adapter {other!r:.80}" + (f" in {where}" if where else "")
    return f"{what}: should be its own, whatever the case, and {whose} has it, got {shown(value)}"
