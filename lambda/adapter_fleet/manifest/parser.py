"""Reads the adapters of a manifest from its document.

The records below have the document's keys, one for one; `manifest.schema.json` is the same for editors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from cattrs import Converter

from adapter_fleet.common.archive_names import DIGEST
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.documents.document import MAX_ITEMS, Document
from adapter_fleet.documents.schema import (
    Keys,
    Problem,
    ProblemKind,
    dotted,
    exactly,
    strict_converter,
    structure_what_fits,
)
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord, Figure
from adapter_fleet.manifest.desired import Probe, SmokeRequest
from adapter_fleet.manifest.manifest_adapter import (
    ArtifactReference,
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
)
from adapter_fleet.manifest.value_rules import (
    MAX_TAGS,
    adapter_message,
    duplicates,
    violations,
    violations_of_settings,
)

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")
"""The published JSON Schema of a manifest."""
MAX_ADAPTERS = MAX_ITEMS
"""The reader refuses a longer list as soon as it comes to the next item, which bounds the memory."""
MAX_FINDINGS = 1_000
"""Findings that an error lists; the others are counted."""

# Every key may be missing here, so that all errors are found at once.


@dataclass(frozen=True, kw_only=True)
class SmokeEntry:
    """A smoke request in the document."""

    prompt: str | None = None
    max_tokens: int | None = None
    body: dict[str, Any] | None = None
    expect: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeEntry:
    """A probe in the document."""

    prompt: str | None = None
    answer: str | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class FigureEntry:
    """The figures of a metric in the document."""

    base: float | None = None
    adapter: float | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationEntry:
    """The record of an evaluation in the document."""

    result: str | None = None
    dataset: str | None = None
    at: str | None = None
    figures: dict[str, FigureEntry] | None = None
    base: str | None = None
    decoding: str | None = None


@dataclass(frozen=True, kw_only=True)
class BucketEntry:
    """An archive by alias and key in the document."""

    bucket: str | None = None
    key: str | None = None


_SmokeValue = SmokeEntry | bool | None
_ArtifactValue = str | BucketEntry | None


@dataclass(frozen=True, kw_only=True)
class DefaultsEntry:
    """What an adapter gets for each key that it leaves out."""

    rank: int | None = None
    tags: dict[str, str] | None = None
    smoke: _SmokeValue = None


@dataclass(frozen=True, kw_only=True)
class AdapterEntry(DefaultsEntry):
    """An adapter in the document."""

    name: str | None = None
    artifact: _ArtifactValue = None
    digest: str | None = None
    checksum: str | None = None
    probe: ProbeEntry | None = None
    evaluation: EvaluationEntry | None = None
    component: str | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """The whole document."""

    base_model: str | None = None
    defaults: DefaultsEntry | None = None
    adapters: list[Any] | None = None


_WORDS: Mapping[Any, str] = {
    _SmokeValue: "a mapping or false",
    _ArtifactValue: "a string, or a mapping with 'bucket' and 'key'",
}


def _converter() -> Converter:
    converter = strict_converter()
    # A key without a value is an error. It does not stand for a key that is left out.
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


class ManifestParser:
    """Makes the adapters of a document, or a list of all its errors."""

    def __init__(self, document: Document, where: str, folder: Path | None) -> None:
        self._document = document
        self._where = where
        self._folder = folder
        self._findings: list[tuple[int, Finding]] = []
        self._more_findings = document.more_problems
        self._names: list[str] = []
        self._refused = {problem.keys for problem in document.problems}
        self._defaults = DefaultsEntry()
        self._default_smoke: SmokeRequest | None = None
        self._faulty: set[Keys] = set()
        """Every value with an error in it. Errors that only follow from that one are not reported."""

    def parse(self) -> tuple[str | None, str, tuple[ManifestAdapter, ...]]:
        """Return the base model, its file and line, and the adapters.

        Raises ManifestError with every error.
        """
        entry, problems = structure_what_fits(_CONVERTER, self._document.value, ManifestEntry, words=_WORDS)
        entries = entry.adapters if entry is not None and entry.adapters is not None else []
        self._names = [_name_of(index, item) for index, item in enumerate(entries)]
        for refused in self._document.problems:
            self._add("manifest-readable", refused.keys, refused.message, refused.line)
        self._add_problems(problems, ())
        if entry is None:
            raise self._error()
        if entry.adapters is None and ("adapters",) not in self._faulty:
            self._add("manifest-keys", ("adapters",), "should be given, got nothing")
        if entry.base_model == "":
            self._add("manifest-types", ("base_model",), "should not be empty, got ''")
        if entry.defaults is not None:
            self._take_defaults(entry.defaults)
        made = (self._adapter(item, ("adapters", index)) for index, item in enumerate(entries))
        adapters = tuple(adapter for adapter in made if adapter is not None)
        for adapter, violation in duplicates(adapters):
            self._keep(int(adapter.where.rpartition(":")[2]), violation.finding(adapter))
        if self._findings:
            raise self._error()
        return entry.base_model, self._place(("base_model",)), adapters

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
                message = adapter_message(self._names[index], tuple(inner), message)
            case _:
                message = ": ".join(filter(None, (dotted(keys), message)))
        self._keep(line, Finding.error(rule, f"{self._where}:{line}", message))
        self._faulty.update(keys[:length] for length in range(1, len(keys) + 1))

    def _add_problems(self, problems: Iterable[Problem], keys: Keys) -> None:
        for problem in problems:
            path = (*keys, *problem.keys)
            # The reader put None in place of a value that it refused, and reported it.
            if path not in self._refused or not problem.message.endswith("got nothing"):
                self._add(_RULES[problem.kind], path, problem.message)

    def _take_defaults(self, defaults: DefaultsEntry) -> None:
        """Keep the defaults. Their errors are reported once, on their own line."""
        self._defaults, self._default_smoke = defaults, self._smoke(defaults.smoke, ("defaults",))
        for violation in violations_of_settings(defaults.rank, defaults.tags or {}, self._default_smoke):
            self._add(violation.rule, ("defaults", *violation.keys), violation.message)

    def _adapter(self, item: Any, keys: Keys) -> ManifestAdapter | None:
        entry, problems = structure_what_fits(_CONVERTER, item, AdapterEntry, words=_WORDS)
        self._add_problems(problems, keys)
        if entry is None:
            return None
        adapter = ManifestAdapter(
            name=entry.name or "",
            artifact=self._artifact(entry.artifact, (*keys, "artifact")) or _NO_ARTIFACT,
            digest=self._digest(entry.digest, (*keys, "digest")),
            checksum=entry.checksum,
            rank=entry.rank,
            tags=entry.tags or {},
            smoke=self._smoke(entry.smoke, keys),
            smokeless=entry.smoke is False,
            probe=self._probe(entry.probe, (*keys, "probe")),
            evaluation=self._evaluation(entry.evaluation, (*keys, "evaluation")),
            component=entry.component,
            where=self._place(keys),
        )
        self._require(entry, ("name", "artifact"), keys)
        self._apply_rules(adapter, entry, keys)
        return self._with_defaults(adapter, entry, keys)

    def _apply_rules(self, adapter: ManifestAdapter, entry: AdapterEntry, keys: Keys) -> None:
        """Apply the rules to the values that are known."""
        unknown = {
            "name": entry.name is None,
            "artifact": adapter.artifact is _NO_ARTIFACT,
            "digest": not {(*keys, "artifact"), (*keys, "digest")}.isdisjoint(self._faulty),
        }
        for violation in violations(adapter):
            if not unknown.get(str(violation.keys[0])):
                self._add(violation.rule, (*keys, *violation.keys), violation.message)

    def _with_defaults(self, adapter: ManifestAdapter, entry: AdapterEntry, keys: Keys) -> ManifestAdapter:
        defaults = self._defaults
        default_tags = defaults.tags or {}
        tags = {**default_tags, **adapter.tags}
        if len(tags) > MAX_TAGS >= max(len(adapter.tags), len(default_tags)):
            message = f"should be at most {MAX_TAGS} with those of the defaults, got {len(tags)}"
            self._add("tag-count", (*keys, "tags"), message)
        adapter = replace(adapter, rank=defaults.rank if entry.rank is None else entry.rank, tags=tags)
        if entry.smoke is None:
            adapter = replace(adapter, smoke=self._default_smoke, smokeless=defaults.smoke is False)
        return adapter

    def _require(self, entry: object, required: Iterable[str], keys: Keys) -> None:
        for key in required:
            if getattr(entry, key) is None and (*keys, key) not in self._faulty:
                self._add("manifest-keys", (*keys, key), "should be given, got nothing")

    def _digest(self, text: str | None, keys: Keys) -> str | None:
        if text is None:
            return None
        digest = text.removeprefix("sha256:")
        if digest == text or not DIGEST.fullmatch(digest):
            self._add(
                "digest-form", keys, f"should be 'sha256:' and 64 hexadecimal digits, got {short_repr(text)}"
            )
        return digest

    def _smoke(self, entry: _SmokeValue, keys: Keys) -> SmokeRequest | None:
        if not isinstance(entry, SmokeEntry):
            return None
        keys = (*keys, "smoke")
        given = [key for key in ("prompt", "body") if getattr(entry, key) is not None]
        if len(given) > 1 or (not given and keys not in self._faulty):
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
            return SmokeRequest.from_prompt(entry.prompt, max_tokens=entry.max_tokens, expect=entry.expect)
        return SmokeRequest(body=entry.body or {}, expect=entry.expect)

    def _probe(self, entry: ProbeEntry | None, keys: Keys) -> Probe | None:
        if entry is None:
            return None
        self._require(entry, ("prompt", "answer"), keys)
        if entry.prompt is None or entry.answer is None:
            return None
        return Probe(prompt=entry.prompt, answer=entry.answer, max_tokens=entry.max_tokens)

    def _evaluation(self, entry: EvaluationEntry | None, keys: Keys) -> EvaluationRecord | None:
        if entry is None:
            return None
        self._require(entry, ("result", "dataset", "at", "figures"), keys)
        dataset = self._digest(entry.dataset, (*keys, "dataset"))
        for metric, figure in (entry.figures or {}).items():
            self._require(figure, ("base", "adapter"), (*keys, "figures", metric))
        if any(known[: len(keys)] == keys for known in self._faulty):
            return None
        figures = {
            metric: Figure(base=figure.base or 0, adapter=figure.adapter or 0)
            for metric, figure in (entry.figures or {}).items()
        }
        return EvaluationRecord(
            result=entry.result or "",
            dataset=dataset or "",
            at=entry.at or "",
            figures=figures,
            base=entry.base,
            decoding=entry.decoding,
        )

    def _artifact(self, value: _ArtifactValue, keys: Keys) -> ArtifactReference | None:
        if isinstance(value, BucketEntry):
            self._require(value, ("bucket", "key"), keys)
            if value.bucket is None or value.key is None:
                return None
            return BucketArtifact(alias=value.bucket, key=value.key)
        if value is None or value.startswith(SCHEME):
            return None if value is None else S3Artifact(uri=value)
        scheme, colon, rest = value.partition(":")
        if colon and scheme == "asset":
            return AssetArtifact(identity=rest)
        return self._local_artifact(value, keys)

    def _local_artifact(self, text: str, keys: Keys) -> LocalArtifact | None:
        if not text.startswith(("./", "../", "/")):
            message = (
                "should be 's3://<bucket>/<key>', a mapping with 'bucket' and 'key', or a path that begins"
                f" with './', '../' or '/', got {short_repr(text)}"
            )
            self._add("artifact-form", keys, message)
            return None
        if self._folder is None:
            message = f"should be in S3, as this manifest is no file of this machine, got {short_repr(text)}"
            self._add("artifact-place", keys, message)
            return None
        return LocalArtifact(path=self._folder / text)


_NO_ARTIFACT = S3Artifact(uri="")
"""Stands for an artifact that is missing or wrong, so that the rules can be applied to the other values."""

_RULES = {
    ProblemKind.KEY: "manifest-keys",
    ProblemKind.TYPE: "manifest-types",
    ProblemKind.VALUE: "manifest-types",
}


def _name_of(index: int, item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return repr(name) if isinstance(name, str) and name else f"#{index + 1}"
