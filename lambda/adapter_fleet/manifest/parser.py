"""A manifest as it is written, and how adapters are made of it. Editors read `manifest.schema.json`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from cattrs import Converter

from adapter_fleet.common.digests import DIGEST
from adapter_fleet.common.findings import Finding
from adapter_fleet.documents.reader import MAX_ITEMS, Document
from adapter_fleet.documents.schema import (
    Keys,
    Problem,
    ProblemKind,
    dotted,
    exactly,
    shown,
    strict_converter,
    structure_what_fits,
)
from adapter_fleet.manifest.desired import SmokeRequest
from adapter_fleet.manifest.entry import (
    MAX_TAGS,
    ArtifactSource,
    AssetArtifact,
    BucketArtifact,
    Draft,
    LocalArtifact,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
    broken,
    of_adapter,
    prompt_request,
    repeated,
)

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")
"""The published JSON Schema of a manifest."""
MAX_ADAPTERS = MAX_ITEMS
"""A longer list is refused while it is read, so that no more are held in memory."""
MAX_FINDINGS = 1_000
"""Mistakes that are listed; the others are counted."""

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
    checksum: str | None = None
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


class EntryReader:
    """Makes a manifest of a document, or a list of all that is wrong with it."""

    def __init__(self, document: Document, where: str, folder: Path | None) -> None:
        self._document = document
        self._where = where
        self._folder = folder
        self._findings: list[tuple[int, Finding]] = []
        self._more_findings = document.more_problems
        self._names: list[str] = []
        self._refused = {problem.keys for problem in document.problems}
        self._troubled: set[Keys] = set()
        """Every value with something wrong in it, for which nothing else is told that may follow of it."""

    def read(self) -> tuple[str | None, str, tuple[ManifestAdapter, ...]]:
        """Return the base model, where it is named, and the adapters.

        Raises ManifestError with all that is wrong.
        """
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
        for finding in repeated(
            (draft.name, draft.component, self._place(("adapters", index)))
            for index, draft in enumerate(drafts)
        ):
            self._keep(int(finding.where.rpartition(":")[2]), finding)
        if self._findings:
            raise self._error()
        adapters = (_adapter(draft, self._place(("adapters", index))) for index, draft in enumerate(drafts))
        return entry.base_model, self._place(("base_model",)), tuple(adapters)

    def _error(self) -> ManifestError:
        self._findings.sort(key=lambda item: item[0])
        findings = [finding for _, finding in self._findings]
        if self._more_findings:
            message = f"and {self._more_findings} more mistakes"
            findings.append(Finding.error("manifest-findings", self._where, message))
        return ManifestError(findings)

    def _keep(self, line: int, finding: Finding) -> None:
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append((line, finding))
        else:
            self._more_findings += 1

    def _place(self, keys: Keys) -> str:
        return f"{self._where}:{self._document.line(keys)}"

    def _add(self, rule: str, keys: Keys, message: str, line: int | None = None) -> None:
        line = line or self._document.line(keys)
        match keys:
            case ("adapters", int(index), *inner) if index < len(self._names):
                message = of_adapter(self._names[index], tuple(inner), message)
            case _:
                message = ": ".join(filter(None, (dotted(keys), message)))
        self._keep(line, Finding.error(rule, f"{self._where}:{line}", message))
        self._troubled.update(keys[:length] for length in range(1, len(keys) + 1))

    def _add_problems(self, problems: Iterable[Problem], keys: Keys) -> None:
        for problem in problems:
            path = (*keys, *problem.keys)
            # What was refused is None, which has been told.
            if path not in self._refused or not problem.message.endswith("got nothing"):
                self._add(_RULES[problem.kind], path, problem.message)

    def _adapter(self, index: int, item: Any, defaults: Draft) -> Draft:
        keys: Keys = ("adapters", index)
        entry, problems = structure_what_fits(_CONVERTER, item, AdapterEntry, words=_WORDS)
        self._add_problems(problems, keys)
        if entry is None:
            return Draft()
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
            if draft.digest == entry.digest or not DIGEST.fullmatch(draft.digest):
                message = f"should be 'sha256:' and 64 hexadecimal digits, got {shown(entry.digest)}"
                self._add("digest-form", (*keys, "digest"), message)
        draft.checksum = entry.checksum
        judged = {(*keys, "artifact"), (*keys, "digest")}.isdisjoint(self._troubled)
        for rule in broken(draft, judge_digest=judged):
            self._add(rule.rule, (*keys, *rule.keys), rule.message)
        # Those of the defaults have been judged, and have a line of their own.
        draft.rank = defaults.rank if entry.rank is None else draft.rank
        if entry.smoke is None:
            draft.smoke, draft.smokeless = defaults.smoke, defaults.smokeless
        own = len(draft.tags)
        draft.tags = {**defaults.tags, **draft.tags}
        if len(draft.tags) > MAX_TAGS >= own and len(defaults.tags) <= MAX_TAGS:
            message = f"should be at most {MAX_TAGS} with those of the defaults, got {len(draft.tags)}"
            self._add("tag-count", (*keys, "tags"), message)
        return draft

    def _draft(self, entry: AdapterEntry | DefaultsEntry, keys: Keys) -> Draft:
        draft = Draft(rank=entry.rank, tags=entry.tags or {})
        if isinstance(entry.smoke, SmokeEntry):
            draft.smoke = self._smoke(entry.smoke, (*keys, "smoke"))
        draft.smokeless = entry.smoke is False
        if isinstance(entry, AdapterEntry):
            draft.name = entry.name
            draft.component = entry.component
        else:
            for rule in broken(draft):
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


def _name_of(index: int, item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return repr(name) if isinstance(name, str) and name else f"#{index + 1}"


def _adapter(draft: Draft, where: str) -> ManifestAdapter:
    assert draft.name is not None
    assert draft.artifact is not None
    return ManifestAdapter(
        name=draft.name,
        artifact=draft.artifact,
        digest=draft.digest,
        rank=draft.rank,
        tags=draft.tags,
        smoke=draft.smoke,
        smokeless=draft.smokeless,
        component=draft.component,
        checksum=draft.checksum,
        where=where,
    )
