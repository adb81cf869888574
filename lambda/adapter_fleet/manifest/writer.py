"""Writes a manifest: the document of its adapters, as plain data or as YAML for people."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import yaml

from adapter_fleet.documents.schema import keys_of
from adapter_fleet.documents.yaml_reader import plain_scalar
from adapter_fleet.evaluation import EvaluationRecord
from adapter_fleet.manifest.desired import Probe, SmokeRequest
from adapter_fleet.manifest.manifest_adapter import (
    ArtifactReference,
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    S3Artifact,
)


def manifest_text(
    adapters: Iterable[ManifestAdapter], *, base_model: str | None = None, schema: str | None = None
) -> str:
    """Return a manifest in YAML for people to edit; `schema` is the place of the schema for editors."""
    text = yaml.dump(
        plain_document(adapters, base_model),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
    )
    return f"# yaml-language-server: $schema={schema}\n{text}" if schema else text


def plain_document(adapters: Iterable[ManifestAdapter], base_model: str | None) -> dict[str, Any]:
    """Return the document that `Manifest.parse` reads as the same adapters."""
    document: dict[str, Any] = {} if base_model is None else {"base_model": base_model}
    return {**document, "adapters": [plain_adapter(adapter) for adapter in adapters]}


def plain_adapter(adapter: ManifestAdapter) -> dict[str, Any]:
    """Return the entry of an adapter in such a document."""
    values = {key: getattr(adapter, key) for key in _KEYS}
    return {
        key: _PLAIN[key](value) if key in _PLAIN else value
        for key, value in values.items()
        if value is not None and value != {}
    }


def _plain_smoke(smoke: SmokeRequest | Literal[False]) -> dict[str, Any] | Literal[False]:
    if smoke is False:
        return False
    prompt = smoke.prompt
    asked = (
        {"body": smoke.body} if prompt is None else {"prompt": prompt.prompt, "max_tokens": prompt.max_tokens}
    )
    return {**asked, **({"expect": smoke.expect} if smoke.expect is not None else {})}


def plain_probe(probe: Probe) -> dict[str, str | int]:
    """Return a probe as an entry has it."""
    most = {} if probe.max_tokens is None else {"max_tokens": probe.max_tokens}
    return {"prompt": probe.prompt, "answer": probe.answer, **most}


def plain_evaluation(record: EvaluationRecord) -> dict[str, Any]:
    """Return the record of an evaluation as an entry has it."""
    made = {"base": record.base, "decoding": record.decoding}
    return {
        "result": record.result,
        "dataset": f"sha256:{record.dataset}",
        "at": record.at,
        "figures": {
            metric: {"base": figure.base, "adapter": figure.adapter}
            for metric, figure in record.figures.items()
        },
        **{key: text for key, text in made.items() if text is not None},
    }


def _plain_artifact(artifact: ArtifactReference) -> str | dict[str, str]:
    match artifact:
        case S3Artifact(uri=uri):
            return uri
        case BucketArtifact(bucket=alias, key=key):
            return {"bucket": alias, "key": key}
        case AssetArtifact(identity=identity):
            return f"asset:{identity}"
        case LocalArtifact(path=path):
            text = path.as_posix()
            return text if text.startswith(("/", "../")) else f"./{text}"


_KEYS = list(dict.fromkeys(("name", "artifact", "digest", "checksum", *keys_of(ManifestAdapter))))
_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "artifact": _plain_artifact,
    "digest": "sha256:{}".format,
    "tags": dict,
    "smoke": _plain_smoke,
    "probe": plain_probe,
    "evaluation": plain_evaluation,
}
"""How to write the values that are no plain data."""


class _Dumper(yaml.SafeDumper):
    """Writes YAML 1.2, as `adapter_fleet.documents.reader` reads it. PyYAML itself writes YAML 1.1."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True  # values that adapters share, such as a smoke request, are written out


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if any(character in text for character in "\x85\u2028\u2029"):
        style = '"'  # PyYAML takes them for line breaks and does not keep which
    else:
        try:
            plain = plain_scalar(text)
        except ValueError:
            plain = None
        if not isinstance(plain, str):
            style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
