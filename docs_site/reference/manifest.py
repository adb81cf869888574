"""The page of the manifest, from its JSON Schema."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from docs_site.markdown import anchor, escaped, table, wrapped

FILE = "manifest.md"

_SECTIONS = {
    "adapter": "adapters[]",
    "defaults": "defaults",
    "smokeRequest": "smoke",
    "probe": "probe",
    "evaluation": "evaluation",
    "bucketArtifact": "artifact",
}
"""Titles of the sections, by the definition that they show."""

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} keys",
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
}
_TYPES = {"object": "mapping", "array": "list", "integer": "whole number", "boolean": "true or false"}


def page() -> str:
    """Return the page."""
    schema = read_schema()
    parts = [
        "# Manifest",
        wrapped(
            "Every key of a manifest, from the schema that editors read"
            " (`lambda/adapter_fleet/manifest/manifest.schema.json`). [The manifest of a"
            " fleet](../guides/manifest.md) explains them, with examples."
        ),
        "## The document",
        _rows(schema, schema["$defs"]),
    ]
    for name, definition in schema["$defs"].items():
        if definition.get("properties"):
            parts += _section(name, definition, schema["$defs"])
    return "\n\n".join(parts) + "\n"


def read_schema() -> Mapping[str, Any]:
    """Return the schema."""
    found: Mapping[str, Any] = json.loads(
        files("adapter_fleet.manifest").joinpath("manifest.schema.json").read_text("utf-8")
    )
    return found


def _section(name: str, definition: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {_title(name)}"
    if "description" in definition:
        yield wrapped(escaped(definition["description"]))
    yield _rows(definition, definitions)


def _title(name: str) -> str:
    return _SECTIONS.get(name, name)


def _rows(owner: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    needed = owner.get("required", ())
    rows = []
    for key, said in owner["properties"].items():
        merged = {**_referred(said, definitions), **said}
        need = "yes" if key in needed else ""
        rows.append((f"`{key}`", _type(said, definitions), need, _description(merged)))
    return table(("key", "type", "needed", "what it is"), rows)


def _referred(said: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _reference(said)
    found: Mapping[str, Any] = {} if name is None else definitions[name]
    return found


def _reference(said: Mapping[str, Any]) -> str | None:
    return None if "$ref" not in said else str(said["$ref"]).rpartition("/")[2]


def _type(said: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    name = _reference(said)
    if name is not None and definitions[name].get("properties"):
        return f"[mapping](#{anchor(_title(name))})"
    if name is not None:
        return _type(definitions[name], definitions)
    if "anyOf" in said:
        return " or ".join(dict.fromkeys(_type(each, definitions) for each in said["anyOf"]))
    if "const" in said:
        return f"`{json.dumps(said['const'])}`"
    if "enum" in said:
        return " or ".join(f"`{json.dumps(each)}`" for each in said["enum"])
    kind = said.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    text = " or ".join(_TYPES.get(str(each), str(each)) for each in kinds)
    if "items" in said:
        return f"{text} of {_type(said['items'], definitions)}"
    return text


def _description(said: Mapping[str, Any]) -> str:
    limits = [form.format(said[key]) for key, form in _LIMITS.items() if key in said and said[key] != 1]
    text = escaped(str(said.get("description", "")))
    return f"{text} Limits: {', '.join(limits)}." if limits else text
