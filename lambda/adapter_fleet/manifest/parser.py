"""Reads the adapters of a manifest from its document.

The records of the manifest have the document's keys; `make generate` makes `manifest.schema.json` of
them, for editors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args

from cattrs import Converter

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import DIGEST, near_names
from adapter_fleet.common.s3_uri import SCHEME, uri_of_address
from adapter_fleet.documents.document import MAX_ITEMS, Document, file_and_line
from adapter_fleet.documents.schema import (
    Keys,
    Problem,
    ProblemKind,
    dotted,
    exactly,
    keys_of,
    strict_converter,
    structure_what_fits,
)
from adapter_fleet.evaluation import EvaluationRecord, Figure
from adapter_fleet.manifest.desired import SmokeRequest
from adapter_fleet.manifest.manifest_adapter import (
    AdapterSettings,
    ArtifactReference,
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
    SmokeSettings,
)
from adapter_fleet.manifest.value_rules import (
    Violation,
    adapter_message,
    violation_of_unique_name,
    violations,
    violations_of_settings,
)

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")
"""The published JSON Schema of a manifest."""
MAX_ADAPTERS = MAX_ITEMS
"""The reader refuses a longer list."""
MAX_FINDINGS = 1_000
"""Findings that an error lists; the others are counted."""

_SmokeValue = SmokeRequest | Literal[False] | None


@dataclass(frozen=True, kw_only=True)
class ManifestDocument:
    """The adapters that a fleet should have.

    base_model:
        The base model that the adapters were trained for, such as `meta-llama/Llama-3.1-8B-Instruct`. It has
        to be the endpoint's: the last parts of the names are compared.
    defaults:
        Values of every adapter that does not set them. Tags are joined, and the adapter's own win.
    adapters:
        All adapters of the fleet. One that is taken out is deleted.

    Each adapter is structured on its own, so that all errors are found at once.
    """

    base_model: str | None = None
    defaults: AdapterSettings | None = None
    adapters: list[Any] | None = None


_WORDS: Mapping[Any, str] = {
    _SmokeValue: "a mapping or false",
    ArtifactReference: "a string, or a mapping with 'bucket' and 'key'",
}
_STAND_INS: Mapping[Any, Any] = {str: "", float: 0.0, Mapping[str, Figure]: {}, ArtifactReference: SCHEME}
"""Values for required keys that are missing or wrong, so that the rules can be applied to the others."""


def _converter() -> Converter:
    converter = strict_converter()
    # A key without a value is an error. It does not stand for a key that is left out.
    converter.register_structure_hook_func(
        lambda type_: isinstance(type_, UnionType),
        lambda value, type_: converter.structure(value, get_args(type_)[0]),
    )
    converter.register_structure_hook_func(
        lambda type_: type_ == _SmokeValue,
        lambda value, _: (
            value is not False and converter.structure(exactly(value, dict), SmokeSettings).request()
        ),
    )
    converter.register_structure_hook_func(
        lambda type_: type_ == ArtifactReference,
        lambda value, _: (
            converter.structure(value, BucketArtifact)
            if isinstance(value, dict)
            else _artifact(exactly(value, str))
        ),
    )
    return converter


def _artifact(text: str) -> ArtifactReference:
    """Return what a text refers to. The parser checks paths, as it knows where they may be."""
    if text.startswith(SCHEME):
        return S3Artifact(uri=text)
    scheme, colon, rest = text.partition(":")
    return AssetArtifact(identity=rest) if colon and scheme == "asset" else LocalArtifact(path=Path(text))


_CONVERTER = _converter()


class ManifestParser:
    """Makes the adapters of a document, or a list of all its errors."""

    def __init__(self, document: Document, where: str, folder: Path | None) -> None:
        self._document = document
        self._where = where
        self._folder = folder
        self._findings: list[tuple[int, Finding]] = []
        self._more_findings = 0
        self._names: list[str] = []
        self._earlier: dict[str, ManifestAdapter] = {}
        self._defaults = AdapterSettings()
        self._faulty: set[Keys] = set()
        """Every value with an error in it. Errors that only follow from that one are not reported."""

    def parse(self) -> tuple[str | None, str, tuple[ManifestAdapter, ...]]:
        """Return the base model, its file and line, and the adapters. JSON has no lines.

        Raises ManifestError with every error.
        """
        found, problems = structure_what_fits(
            _CONVERTER, self._document.value, ManifestDocument, words=_WORDS
        )
        entries = found.adapters if found is not None and found.adapters is not None else []
        self._names = [_name_of(index, item) for index, item in enumerate(entries)]
        self._add_problems(problems, ())
        if found is None:
            raise self._error()
        if found.adapters is None and ("adapters",) not in self._faulty:
            self._add("manifest-keys", ("adapters",), "should be given, got nothing")
        if found.base_model == "":
            self._add("manifest-types", ("base_model",), "should not be empty, got ''")
        if found.defaults is not None:
            self._take_defaults(found.defaults)
        made = (self._adapter(item, ("adapters", index)) for index, item in enumerate(entries))
        adapters = tuple(adapter for adapter in made if adapter is not None)
        if self._findings:
            raise self._error()
        return found.base_model, self._place(("base_model",)), adapters

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
        return file_and_line(self._where, self._document.line(keys))

    def _add(self, rule: str, keys: Keys, message: str) -> None:
        self._mark(keys)
        self._report(rule, keys, message)

    def _mark(self, keys: Keys) -> None:
        self._faulty.update(keys[:length] for length in range(1, len(keys) + 1))

    def _report(self, rule: str, keys: Keys, message: str) -> None:
        match keys:
            case ("adapters", int(index), *inner) if index < len(self._names):
                message = adapter_message(self._names[index], tuple(inner), message)
            case _:
                message = ": ".join(filter(None, (dotted(keys), message)))
        self._keep(self._document.line(keys), Finding.error(rule, self._place(keys), message))

    def _add_problems(self, problems: Iterable[Problem], keys: Keys) -> None:
        for problem in problems:
            path = (*keys, *problem.keys)
            # Nothing follows from a key that is unknown.
            if problem.kind is not ProblemKind.KEY or problem.type_ is not None:
                self._mark(path)
            is_of_list = path in ((), ("adapters",)) and problem.kind is ProblemKind.TYPE
            value = self._document.value
            hint = _how_to_list(value["adapters"] if path else value) if is_of_list else ""
            self._report(_RULES[problem.kind], path, problem.message + hint)

    def _take_defaults(self, defaults: AdapterSettings) -> None:
        """Keep the defaults. Their errors are reported once, on their own line."""
        self._defaults = defaults
        for violation in violations_of_settings(defaults):
            self._add(violation.rule, ("defaults", *violation.keys), violation.message)

    def _adapter(self, item: Any, keys: Keys) -> ManifestAdapter | None:
        if (name := _name_as_key(item)) is not None:
            message = f"unknown key; write '- name: {dotted((name,))}', and 'artifact: …' below it"
            self._add("manifest-keys", (*keys, name), message)
            return None
        adapter, problems = structure_what_fits(
            _CONVERTER, item, ManifestAdapter, words=_WORDS, stand_ins=_STAND_INS
        )
        self._add_problems(problems, keys)
        if adapter is None:
            return None
        adapter = replace(
            adapter,
            artifact=self._placed(adapter.artifact, item, (*keys, "artifact")),
            digest=self._digest(adapter.digest, (*keys, "digest")),
            evaluation=self._evaluation(adapter.evaluation, (*keys, "evaluation")),
            where=self._place(keys),
        )
        found = (*violations(adapter), *violation_of_unique_name(adapter, self._earlier))
        broken = [violation for violation in found if not self._follows(violation, keys)]
        for violation in broken:
            self._add(violation.rule, (*keys, *violation.keys), violation.message)
        return adapter.with_defaults(self._defaults)

    def _follows(self, violation: Violation, keys: Keys) -> bool:
        """Return True if a violation follows from an error that was reported before."""
        places = {(*keys, *violation.keys)}
        if violation.keys == ("digest",):
            places.add((*keys, "artifact"))
        return not places.isdisjoint(self._faulty)

    def _digest(self, text: str | None, keys: Keys) -> str | None:
        if text is None or keys in self._faulty:
            return text
        digest = text.removeprefix("sha256:")
        if digest == text or not DIGEST.fullmatch(digest):
            self._add(
                "digest-form", keys, f"should be 'sha256:' and 64 hexadecimal digits, got {short_repr(text)}"
            )
        return digest

    def _evaluation(self, record: EvaluationRecord | None, keys: Keys) -> EvaluationRecord | None:
        if record is None:
            return None
        return replace(
            record,
            dataset=self._digest(record.dataset, (*keys, "dataset")) or "",
            # 0 for 0.0, as earlier releases stored it: JSON has another text for each.
            figures={
                metric: Figure(base=figure.base or 0, adapter=figure.adapter or 0)
                for metric, figure in record.figures.items()
            },
        )

    def _placed(self, artifact: ArtifactReference, item: Any, keys: Keys) -> ArtifactReference:
        """Return a local artifact in the manifest's folder, and any other as it is."""
        if not isinstance(artifact, LocalArtifact):
            return artifact
        text = item["artifact"]
        if not text.startswith(("./", "../", "/")):
            message = (
                "should be 's3://<bucket>/<key>', a mapping with 'bucket' and 'key', or a path that begins"
                f" with './', '../' or '/', got {short_repr(text)}"
            )
            if (uri := uri_of_address(text)) is not None:
                message += f"; write {short_repr(uri)}"
            elif "\\" in text:
                message += "; write its folders with /"
            self._add("artifact-form", keys, message)
            return artifact
        if self._folder is None:
            message = f"should be in S3, as this manifest is no file of this machine, got {short_repr(text)}"
            self._add("artifact-place", keys, message)
            return artifact
        return LocalArtifact(path=self._folder / text)


_RULES = {
    ProblemKind.KEY: "manifest-keys",
    ProblemKind.TYPE: "manifest-types",
    ProblemKind.VALUE: "smoke-request",
}


def _how_to_list(value: Any) -> str:
    """Return how to write what stands where the adapters should, to be put behind that; '' if unknown."""
    if isinstance(value, list):
        return "; put 'adapters:' above the list"
    if not isinstance(value, dict) or not value:
        return ""
    first = next(iter(value))
    return f"; write '- name: {dotted((value.get('name', first),))}'"


def _name_as_key(item: Any) -> str | None:
    """Return the only key of an entry if it is an adapter's name, by what it leads to; None if not."""
    if not isinstance(item, dict) or len(item) != 1:
        return None
    ((key, value),) = item.items()
    is_key = key == "name" or near_names(key, keys_of(ManifestAdapter)) not in ([], ["name"])
    leads_to_adapter = value is None or isinstance(value, dict) or "/" in str(value)
    return str(key) if leads_to_adapter and not is_key else None


def _name_of(index: int, item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return repr(name) if isinstance(name, str) and name else f"#{index + 1}"
