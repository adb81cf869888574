"""The manifest of a fleet: which adapters there should be, in YAML or JSON that people write.

Every rule has an identifier, which the findings carry; all of them are errors:

====================  ==================================================================================
rule                  what it asks for
====================  ==================================================================================
manifest-readable     a document of plain data with one meaning (`adapter_fleet.document`)
manifest-keys         the keys that there are, and those that have to be there
manifest-types        values of the right types
manifest-base-model   the base model that the endpoint runs
adapter-name          letters, digits and hyphens, as the component's name ends with it
adapter-unique        no name twice, whatever the case
artifact-form         `s3://<bucket>/<key>.tar.gz`, a bucket's alias and a key, `asset:<identity>` or a path
artifact-place        no path in a manifest that is no file of this machine
digest-form           `sha256:` and 64 hexadecimal digits
digest-required       a digest, where neither the key nor the files of this machine tell it
digest-agrees         the digest that the key or the asset has in its name
rank-positive         a rank above 0
lora-rank             a rank within the endpoint's limit
tag-form              what AWS takes for a tag, and not the tag that marks a fleet's own
tag-count             at most 40 tags, as the fleet has its own beside them
smoke-request         a prompt or a body, and a regular expression
component-name        a name that SageMaker takes for the component
component-unique      no component twice, whatever the case
bucket-known          an alias of a bucket that the fleet has been given
asset-known           an asset that was uploaded with the fleet
====================  ==================================================================================

`manifest.schema.json` beside this module tells editors as much of it as a JSON Schema can.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import yaml
from cattrs import Converter

from adapter_fleet.base_model import BaseModelFacts
from adapter_fleet.desired import Artifact, DesiredAdapter, DesiredFleet, SmokeRequest
from adapter_fleet.document import Document, DocumentError, plain_scalar, read
from adapter_fleet.findings import Finding
from adapter_fleet.names import check_component_name, component_name
from adapter_fleet.structure import (
    Keys,
    Problem,
    ProblemKind,
    dotted,
    exactly,
    known_or_meant,
    shown,
    strict_converter,
    structure_what_fits,
)

ARCHIVE_SUFFIX = ".tar.gz"
FLEET_TAG = "fleet-uid"
"""The tag on every component of a fleet; its value is the fleet's identity."""
MAX_TAGS = 40
"""Of AWS's 50 for a resource. The rest is for the fleet's own tag and those of the stack."""
DEFAULT_MAX_TOKENS = 16
MAX_EXPECT_LENGTH = 1000
SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")
"""The published JSON Schema of a manifest."""

# Url in the botocore service model of SageMaker.
_MAX_URI_LENGTH = 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONTENT_ADDRESSED = re.compile(rf"(?:sha256-)?({_DIGEST.pattern}){re.escape(ARCHIVE_SUFFIX)}")
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
    component: str | None = None
    where: str = field(default="", compare=False)

    @property
    def known_digest(self) -> str | None:
        """The digest that is given, or else the one in the name of the key or the asset."""
        return self.digest or named_digest(self.artifact)

    def component_name(self, prefix: str) -> str:
        """Return the component's name in a fleet; ValueError where it is too long."""
        return self.component or component_name(prefix, self.name)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The adapters that a fleet should have. Made by `parse` or `of`, which apply the rules.

    where:
        File and line of `base_model`, for messages.
    """

    base_model: str | None = None
    adapters: tuple[ManifestAdapter, ...] = ()
    where: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: bytes, *, where: str, folder: Path | None) -> "Manifest":
        """Read a manifest in YAML or JSON.

        `where` names it in messages. Paths are relative to `folder`; without one there may be none. Raises
        ManifestError with all that is wrong, and nothing else whatever the bytes are.
        """
        try:
            document = read(text)
        except DocumentError as error:
            place = f"{where}:{error.line}"
            raise ManifestError([Finding.error("manifest-readable", place, str(error))]) from None
        return _Reader(document, where, folder).manifest()

    @classmethod
    def of(
        cls, adapters: Iterable[ManifestAdapter], *, base_model: str | None = None, where: str = ""
    ) -> "Manifest":
        """Make a manifest of adapters that a program declares; ManifestError where they break a rule."""
        manifest = cls(base_model=base_model, adapters=tuple(adapters), where=where)
        findings = [
            broken.finding(adapter.where, adapter.name)
            for adapter in manifest.adapters
            for broken in _broken(_Draft(**{f.name: getattr(adapter, f.name) for f in fields(_Draft)}))
        ]
        findings += _repeated(
            [(adapter.name, adapter.component, adapter.where) for adapter in manifest.adapters]
        )
        if findings:
            raise ManifestError(findings)
        return manifest

    def with_assets(self, identities: Mapping[str, str]) -> "Manifest":
        """Return the manifest once its paths are uploaded: `identities` has an asset for each such name.

        Raises ManifestError where a digest is given and is another one.
        """
        return Manifest.of(
            (
                replace(adapter, artifact=AssetArtifact(identity=identities[adapter.name]))
                if isinstance(adapter.artifact, LocalArtifact)
                else adapter
                for adapter in self.adapters
            ),
            base_model=self.base_model,
            where=self.where,
        )

    def findings(
        self, *, prefix: str, max_lora_rank: int | None = None, base_model: str | None = None
    ) -> list[Finding]:
        """Apply the rules that need the endpoint; what is not known about it is not compared.

        Base models are the same if the last parts of their names are.
        """
        found = []
        if self.base_model and base_model and not BaseModelFacts(name=base_model).is_named(self.base_model):
            message = f"base_model: should be {shown(base_model)}, as the endpoint runs it"
            found.append(
                Finding.error("manifest-base-model", self.where, f"{message}, got {shown(self.base_model)}")
            )
        components: dict[str, ManifestAdapter] = {}
        for adapter in self.adapters:
            found += [
                broken.finding(adapter.where, adapter.name)
                for broken in _broken_at_endpoint(adapter, prefix, max_lora_rank, components)
            ]
        return found

    def resolve(
        self, *, prefix: str, buckets: Mapping[str, str], archives: Mapping[str, str]
    ) -> DesiredFleet:
        """Look up the bucket of each alias and the URI of each asset, and name the components.

        Raises ManifestError with all that is not known, and with the findings about names.
        """
        findings = self.findings(prefix=prefix)
        uris = []
        for adapter in self.adapters:
            try:
                uris.append(_uri(adapter.artifact, buckets, archives))
            except _RuleError as error:
                findings.append(
                    _Broken(error.rule, ("artifact",), str(error)).finding(adapter.where, adapter.name)
                )
        if findings:
            raise ManifestError(findings)
        return DesiredFleet(
            adapters=tuple(
                DesiredAdapter(
                    name=adapter.name,
                    component=adapter.component_name(prefix),
                    artifact=Artifact(uri=uri, digest=adapter.known_digest),
                    rank=adapter.rank,
                    tags=dict(adapter.tags),
                    smoke=adapter.smoke,
                )
                for adapter, uri in zip(self.adapters, uris, strict=True)
            )
        )

    def to_json(self) -> bytes:
        """Return it as a manifest in JSON, without defaults: equal manifests give equal bytes."""
        document = _plain_document(self.adapters, self.base_model)
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json()).hexdigest()


def manifest_text(
    adapters: Iterable[ManifestAdapter], *, base_model: str | None = None, schema: str | None = None
) -> str:
    """Return a manifest in YAML for people to go on with; `schema` is the place of the schema for editors."""
    # No alias for what several adapters share, such as the body of a smoke request.
    text = yaml.dump(
        _plain_document(adapters, base_model),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
    )
    return f"# yaml-language-server: $schema={schema}\n{text}" if schema else text


def named_digest(artifact: ArtifactSource) -> str | None:
    """Return the digest that the name of a key or an asset has in it: it is content-addressed."""
    match artifact:
        case AssetArtifact(identity=identity):
            return identity
        case S3Artifact(uri=key) | BucketArtifact(key=key):
            match_ = _CONTENT_ADDRESSED.fullmatch(key.rpartition("/")[2])
            return match_.group(1) if match_ else None
    return None


# What a document has, key for key. Everything may be missing here, so that all mistakes are found at once.


@dataclass(frozen=True, kw_only=True)
class SmokeEntry:
    """A smoke request as it is written."""

    prompt: str | None = None
    max_tokens: int | None = None
    body: dict[str, Any] | None = None
    expect: str | None = None


@dataclass(frozen=True, kw_only=True)
class BucketEntry:
    """An archive by alias and key as it is written."""

    bucket: str | None = None
    key: str | None = None


_SmokeValue = SmokeEntry | bool | None
_ArtifactValue = str | BucketEntry | None


@dataclass(frozen=True, kw_only=True)
class DefaultsEntry:
    """What adapters have that say nothing else, as it is written."""

    rank: int | None = None
    tags: dict[str, str] | None = None
    smoke: _SmokeValue = None


@dataclass(frozen=True, kw_only=True)
class AdapterEntry:
    """An adapter as it is written."""

    name: str | None = None
    artifact: _ArtifactValue = None
    digest: str | None = None
    rank: int | None = None
    tags: dict[str, str] | None = None
    smoke: _SmokeValue = None
    component: str | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """The whole document as it is written."""

    base_model: str | None = None
    defaults: DefaultsEntry | None = None
    adapters: list[Any] | None = None


_WORDS: Mapping[Any, str] = {
    _SmokeValue: "a mapping or false",
    _ArtifactValue: "a string, or a mapping with 'bucket' and 'key'",
}


def _converter() -> Converter:
    converter = strict_converter()
    # A key with nothing after it is a mistake, and no way to say that there is none.
    converter.register_structure_hook_func(
        lambda type_: isinstance(type_, UnionType),
        lambda value, type_: converter.structure(value, get_args(type_)[0]),
    )
    converter.register_structure_hook_func(
        lambda type_: type_ == _SmokeValue,
        lambda value, _: False if value is False else converter.structure(exactly(value, dict), SmokeEntry),
    )
    converter.register_structure_hook_func(
        lambda type_: type_ == _ArtifactValue,
        lambda value, _: (
            converter.structure(value, BucketEntry) if isinstance(value, dict) else exactly(value, str)
        ),
    )
    return converter


_CONVERTER = _converter()


class _RuleError(ValueError):
    """A value breaks a rule."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class _Broken:
    """A broken rule, and the keys in the adapter that lead to what broke it."""

    rule: str
    keys: Keys
    message: str

    def finding(self, where: str, adapter: str) -> Finding:
        return Finding.error(self.rule, where, _of_adapter(repr(adapter), self.keys, self.message))


def _of_adapter(adapter: str, keys: Keys, message: str) -> str:
    return ": ".join(filter(None, (f"adapter {adapter:.80}", dotted(keys), message)))


@dataclass(kw_only=True)
class _Draft:
    """What is known of an adapter; None for what is not given or not right."""

    name: str | None = None
    artifact: ArtifactSource | None = None
    digest: str | None = None
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | None = None
    component: str | None = None


def _broken(draft: _Draft, *, judge_digest: bool = True) -> Iterator[_Broken]:
    """Apply all rules on one adapter."""
    if draft.name is not None:
        yield from _broken_name(draft.name, "name", "adapter-name")
    if draft.component is not None:
        yield from _broken_name(draft.component, "component", "component-name")
    if draft.artifact is not None:
        yield from _broken_artifact(draft.artifact)
        if judge_digest:
            yield from _broken_digest(draft.artifact, draft.digest)
    yield from _broken_rank(draft.rank)
    yield from _broken_tags(draft.tags)
    yield from _broken_smoke(draft.smoke)


def _broken_name(name: str, key: str, rule: str) -> Iterator[_Broken]:
    try:
        check_component_name(name, what=key)
    except ValueError as error:
        yield _Broken(rule, (key,), f"{error!s:.300}".removeprefix(f"'{key}' "))


def _broken_artifact(artifact: ArtifactSource) -> Iterator[_Broken]:
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
            if not _DIGEST.fullmatch(identity):
                problem = f"should be 'asset:' and 64 hexadecimal digits, got {shown(identity)}"
        case LocalArtifact(path=path):
            if not str(path).isprintable():
                problem = f"should be a path of printable characters, got {shown(str(path))}"
    if problem is not None:
        yield _Broken("artifact-form", ("artifact",), problem)


def _problem_of_key(key: str) -> str | None:
    if not key.endswith(ARCHIVE_SUFFIX) or key.rpartition("/")[2] == ARCHIVE_SUFFIX:
        return f"should be the key of an archive, '….tar.gz', got {shown(key)}"
    if not key.isprintable():
        return f"should be a key of printable characters, got {shown(key)}"
    return None


def _broken_digest(artifact: ArtifactSource, digest: str | None) -> Iterator[_Broken]:
    named = named_digest(artifact)
    if digest is not None and not _DIGEST.fullmatch(digest):
        yield _Broken("digest-form", ("digest",), f"should be 64 hexadecimal digits, got {shown(digest)}")
    elif digest is not None and named is not None and digest != named:
        message = f"should be sha256:{named}, as the archive is named, got sha256:{digest}"
        yield _Broken("digest-agrees", ("digest",), message)
    elif digest is None and named is None and not isinstance(artifact, LocalArtifact):
        message = "should be given, as the key has none in its name ('sha256-<64 hex>.tar.gz'), got nothing"
        yield _Broken("digest-required", ("digest",), message)


def _broken_rank(rank: int | None) -> Iterator[_Broken]:
    if rank is not None and rank <= 0:
        yield _Broken("rank-positive", ("rank",), f"should be above 0, got {rank}")


def _broken_tags(tags: Mapping[str, str]) -> Iterator[_Broken]:
    for key, value in tags.items():
        if problem := _problem_of_tag(key, value):
            yield _Broken("tag-form", ("tags", f"{key:.80}"), problem)
    if len(tags) > MAX_TAGS:
        yield _Broken("tag-count", ("tags",), f"should be at most {MAX_TAGS}, got {len(tags)}")


def _problem_of_tag(key: str, value: str) -> str | None:
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


def _broken_smoke(smoke: SmokeRequest | None) -> Iterator[_Broken]:
    if smoke is None:
        return
    try:
        json.dumps(smoke.body, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield _Broken("smoke-request", ("smoke", "body"), f"should be plain data: {error!s:.200}")
    if smoke.expect is not None and (problem := _problem_of_expression(smoke.expect)):
        yield _Broken("smoke-request", ("smoke", "expect"), problem)


def _problem_of_expression(text: str) -> str | None:
    if len(text) > MAX_EXPECT_LENGTH:
        return f"should have at most {MAX_EXPECT_LENGTH} characters, got {len(text)}"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return f"should be a regular expression ({error}), got {shown(text)}"
    return None


def _broken_at_endpoint(
    adapter: ManifestAdapter,
    prefix: str,
    max_lora_rank: int | None,
    components: dict[str, ManifestAdapter],
) -> Iterator[_Broken]:
    """Apply the rules on one adapter that need the endpoint; `components` are those of the ones before."""
    if max_lora_rank is not None and adapter.rank is not None and adapter.rank > max_lora_rank:
        message = f"should be at most {max_lora_rank} ('max_lora_rank'), got {adapter.rank}"
        yield _Broken("lora-rank", ("rank",), message)
    try:
        component = adapter.component_name(prefix)
    except ValueError as error:
        yield _Broken("component-name", (), str(error))
        return
    other = components.setdefault(component.casefold(), adapter)
    if other is not adapter:
        yield _Broken("component-unique", (), _used_twice("component", component, other.name, other.where))


def _repeated(adapters: Iterable[tuple[str | None, str | None, str]]) -> Iterator[Finding]:
    """Find names and components, each with where it is, that another adapter before has as well."""
    names: dict[str, tuple[str, str]] = {}
    components: dict[str, tuple[str, str]] = {}
    for name, component, where in adapters:
        itself = (name or "?", where)
        if name is not None and (other := names.setdefault(name.casefold(), itself)) is not itself:
            yield _Broken("adapter-unique", (), _used_twice("name", name, *other)).finding(where, name)
        if component is None:
            continue
        if (other := components.setdefault(component.casefold(), itself)) is not itself:
            message = _used_twice("component", component, *other)
            yield _Broken("component-unique", (), message).finding(where, itself[0])


def _used_twice(what: str, value: str, other: str, where: str) -> str:
    whose = f"adapter {other!r:.80}" + (f" in {where}" if where else "")
    return f"{what}: should be its own, whatever the case, and {whose} has it, got {shown(value)}"


def _uri(artifact: ArtifactSource, buckets: Mapping[str, str], archives: Mapping[str, str]) -> str:
    match artifact:
        case S3Artifact(uri=uri):
            return uri
        case BucketArtifact(alias=alias, key=key):
            if alias not in buckets:
                hint = known_or_meant(alias, buckets)
                raise _RuleError("bucket-known", f"unknown alias of a bucket ({hint}), got {shown(alias)}")
            return f"s3://{buckets[alias]}/{key}"
        case AssetArtifact(identity=identity):
            if identity not in archives:
                raise _RuleError("asset-known", f"no such asset was uploaded, got asset:{identity:.80}")
            return archives[identity]
    raise _RuleError("artifact-place", f"should be uploaded before, got the path {shown(str(artifact.path))}")


class _Reader:
    """Makes a manifest of a document, or a list of all that is wrong with it."""

    def __init__(self, document: Document, where: str, folder: Path | None) -> None:
        self._document = document
        self._where = where
        self._folder = folder
        self._findings: list[tuple[int, Finding]] = []
        self._names: list[str] = []
        self._refused = {problem.keys for problem in document.problems}
        self._troubled: set[Keys] = set()
        """Every value with something wrong in it, for which nothing else is told that may follow of it."""

    def manifest(self) -> Manifest:
        entry, problems = structure_what_fits(_CONVERTER, self._document.value, ManifestEntry, words=_WORDS)
        entries = entry.adapters if entry is not None and entry.adapters is not None else []
        self._names = [_name_of(index, item) for index, item in enumerate(entries)]
        for refused in self._document.problems:
            self._add("manifest-readable", refused.keys, refused.message, refused.line)
        self._add_problems(problems, ())
        if entry is None:
            raise self._error()
        if entry.adapters is None and ("adapters",) not in self._troubled:
            self._add("manifest-keys", ("adapters",), "should be given, got nothing")
        if entry.base_model == "":
            self._add("manifest-types", ("base_model",), "should not be empty, got ''")
        defaults = self._draft(entry.defaults or DefaultsEntry(), ("defaults",))
        drafts = [self._adapter(index, item, defaults) for index, item in enumerate(entries)]
        for finding in _repeated(
            (draft.name, draft.component, self._place(("adapters", index)))
            for index, draft in enumerate(drafts)
        ):
            self._findings.append((int(finding.where.rpartition(":")[2]), finding))
        if self._findings:
            raise self._error()
        return Manifest(
            base_model=entry.base_model,
            adapters=tuple(
                _adapter(draft, self._place(("adapters", index))) for index, draft in enumerate(drafts)
            ),
            where=self._place(("base_model",)),
        )

    def _error(self) -> ManifestError:
        self._findings.sort(key=lambda item: item[0])
        return ManifestError(finding for _, finding in self._findings)

    def _place(self, keys: Keys) -> str:
        return f"{self._where}:{self._document.line(keys)}"

    def _add(self, rule: str, keys: Keys, message: str, line: int | None = None) -> None:
        line = line or self._document.line(keys)
        match keys:
            case ("adapters", int(index), *inner) if index < len(self._names):
                message = _of_adapter(self._names[index], tuple(inner), message)
            case _:
                message = ": ".join(filter(None, (dotted(keys), message)))
        self._findings.append((line, Finding.error(rule, f"{self._where}:{line}", message)))
        self._troubled.update(keys[:length] for length in range(1, len(keys) + 1))

    def _add_problems(self, problems: Iterable[Problem], keys: Keys) -> None:
        for problem in problems:
            path = (*keys, *problem.keys)
            # What was refused is None, which has been told.
            if path not in self._refused or not problem.message.endswith("got nothing"):
                self._add(_RULES[problem.kind], path, problem.message)

    def _adapter(self, index: int, item: Any, defaults: _Draft) -> _Draft:
        keys: Keys = ("adapters", index)
        entry, problems = structure_what_fits(_CONVERTER, item, AdapterEntry, words=_WORDS)
        self._add_problems(problems, keys)
        if entry is None:
            return _Draft()
        draft = self._draft(entry, keys)
        for key in ("name", "artifact"):
            if getattr(entry, key) is None and (*keys, key) not in self._troubled:
                self._add("manifest-keys", (*keys, key), "should be given, got nothing")
        if isinstance(entry.artifact, str):
            draft.artifact = self._artifact(entry.artifact, (*keys, "artifact"))
        elif entry.artifact is not None:
            draft.artifact = self._bucket_artifact(entry.artifact, (*keys, "artifact"))
        if entry.digest is not None:
            draft.digest = entry.digest.removeprefix("sha256:")
            if draft.digest == entry.digest or not _DIGEST.fullmatch(draft.digest):
                message = f"should be 'sha256:' and 64 hexadecimal digits, got {shown(entry.digest)}"
                self._add("digest-form", (*keys, "digest"), message)
        judged = {(*keys, "artifact"), (*keys, "digest")}.isdisjoint(self._troubled)
        for rule in _broken(draft, judge_digest=judged):
            self._add(rule.rule, (*keys, *rule.keys), rule.message)
        # Those of the defaults have been judged, and have a line of their own.
        draft.rank = defaults.rank if entry.rank is None else draft.rank
        draft.smoke = defaults.smoke if entry.smoke is None else draft.smoke
        own = len(draft.tags)
        draft.tags = {**defaults.tags, **draft.tags}
        if len(draft.tags) > MAX_TAGS >= own and len(defaults.tags) <= MAX_TAGS:
            message = f"should be at most {MAX_TAGS} with those of the defaults, got {len(draft.tags)}"
            self._add("tag-count", (*keys, "tags"), message)
        return draft

    def _draft(self, entry: AdapterEntry | DefaultsEntry, keys: Keys) -> _Draft:
        draft = _Draft(rank=entry.rank, tags=entry.tags or {})
        if isinstance(entry.smoke, SmokeEntry):
            draft.smoke = self._smoke(entry.smoke, (*keys, "smoke"))
        if isinstance(entry, AdapterEntry):
            draft.name = entry.name
            draft.component = entry.component
        else:
            for rule in _broken(draft):
                self._add(rule.rule, (*keys, *rule.keys), rule.message)
        return draft

    def _smoke(self, entry: SmokeEntry, keys: Keys) -> SmokeRequest | None:
        given = [key for key in ("prompt", "body") if getattr(entry, key) is not None]
        if len(given) > 1 or (not given and keys not in self._troubled):
            message = f"one of prompt, body should be given, got {' and '.join(given) or 'none'}"
            self._add("smoke-request", keys, message)
        if entry.prompt == "":
            self._add("smoke-request", (*keys, "prompt"), "should not be empty, got ''")
        if entry.max_tokens is not None:
            if entry.max_tokens <= 0:
                message = f"should be above 0, got {entry.max_tokens}"
                self._add("smoke-request", (*keys, "max_tokens"), message)
            if entry.prompt is None and entry.body is not None:
                message = f"should be given with prompt only, got {entry.max_tokens}"
                self._add("smoke-request", (*keys, "max_tokens"), message)
        if entry.prompt is not None:
            return prompt_request(entry.prompt, max_tokens=entry.max_tokens, expect=entry.expect)
        return SmokeRequest(body=entry.body or {}, expect=entry.expect)

    def _artifact(self, text: str, keys: Keys) -> ArtifactSource | None:
        if text.startswith("s3://"):
            return S3Artifact(uri=text)
        scheme, colon, rest = text.partition(":")
        if colon and scheme == "asset":
            return AssetArtifact(identity=rest)
        if not text.startswith(("./", "../", "/")):
            message = (
                "should be 's3://<bucket>/<key>', a mapping with 'bucket' and 'key', or a path that begins"
                f" with './', '../' or '/', got {shown(text)}"
            )
            self._add("artifact-form", keys, message)
            return None
        if self._folder is None:
            message = f"should be in S3, as this manifest is no file of this machine, got {shown(text)}"
            self._add("artifact-place", keys, message)
            return None
        return LocalArtifact(path=self._folder / text)

    def _bucket_artifact(self, entry: BucketEntry, keys: Keys) -> ArtifactSource | None:
        for key in ("bucket", "key"):
            if getattr(entry, key) is None and (*keys, key) not in self._troubled:
                self._add("manifest-keys", (*keys, key), "should be given, got nothing")
        if entry.bucket is None or entry.key is None:
            return None
        return BucketArtifact(alias=entry.bucket, key=entry.key)


_RULES = {
    ProblemKind.KEY: "manifest-keys",
    ProblemKind.TYPE: "manifest-types",
    ProblemKind.VALUE: "manifest-types",
}


def prompt_request(prompt: str, *, max_tokens: int | None = None, expect: str | None = None) -> SmokeRequest:
    """Return the smoke request of a prompt, in the form that LMI containers take."""
    parameters = {"max_new_tokens": max_tokens or DEFAULT_MAX_TOKENS, "temperature": 0}
    return SmokeRequest(body={"inputs": prompt, "parameters": parameters}, expect=expect)


def _name_of(index: int, item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return repr(name) if isinstance(name, str) and name else f"#{index + 1}"


def _adapter(draft: _Draft, where: str) -> ManifestAdapter:
    assert draft.name is not None
    assert draft.artifact is not None
    return ManifestAdapter(
        name=draft.name,
        artifact=draft.artifact,
        digest=draft.digest,
        rank=draft.rank,
        tags=draft.tags,
        smoke=draft.smoke,
        component=draft.component,
        where=where,
    )


def _plain_document(adapters: Iterable[ManifestAdapter], base_model: str | None) -> dict[str, Any]:
    """Return the document of which `parse` makes the same manifest."""
    document: dict[str, Any] = {} if base_model is None else {"base_model": base_model}
    return {**document, "adapters": [_plain_adapter(adapter) for adapter in adapters]}


def _plain_adapter(adapter: ManifestAdapter) -> dict[str, Any]:
    smoke = adapter.smoke
    entry = {
        "name": adapter.name,
        "artifact": _plain_artifact(adapter.artifact),
        "digest": f"sha256:{adapter.digest}" if adapter.digest else None,
        "rank": adapter.rank,
        "tags": dict(adapter.tags) or None,
        "smoke": smoke
        and {"body": smoke.body, **({"expect": smoke.expect} if smoke.expect is not None else {})},
        "component": adapter.component,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _plain_artifact(artifact: ArtifactSource) -> str | dict[str, str]:
    match artifact:
        case S3Artifact(uri=uri):
            return uri
        case BucketArtifact(alias=alias, key=key):
            return {"bucket": alias, "key": key}
        case AssetArtifact(identity=identity):
            return f"asset:{identity}"
        case LocalArtifact(path=path):
            text = path.as_posix()
            return text if text.startswith(("/", "../")) else f"./{text}"


class _Dumper(yaml.SafeDumper):
    """Writes what `adapter_fleet.document` reads: PyYAML itself writes YAML 1.1."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if any(character in text for character in "\x85\u2028\u2029"):
        style = '"'  # PyYAML takes them for line breaks and forgets which
    else:
        try:
            plain = plain_scalar(text)
        except ValueError:
            plain = None
        if not isinstance(plain, str):
            style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
