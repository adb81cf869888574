"""The properties of models, endpoint configurations, endpoints and components, as others declare them.

Each property is a path of names, without the indices of lists: `ProductionVariants.InstanceType`. Only those
with a value of their own count, and only those that a caller can set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.properties.newer_shapes import KINDS, Model


def installed_schemas() -> Path:
    """The CloudFormation schemas that the installed cfn-lint has."""
    return Path(str(files("cfnlint"))) / "data" / "schemas"


def of_cloudformation(schemas: Path) -> dict[str, set[str]]:
    """The properties by kind, from the schemas of resource types."""
    names = json.loads((schemas / "providers" / "us-east-1.json").read_text())
    found = {}
    for kind in KINDS:
        file = schemas / "resources" / f"{names[f'AWS::SageMaker::{kind}']}.json"
        schema = json.loads(file.read_text())
        read_only = [
            pointer.removeprefix("/properties/").replace("/*", "").replace("/", ".")
            for pointer in schema["readOnlyProperties"]
        ]
        paths = set(_of_schema(schema, schema["definitions"], ""))
        found[kind] = {path for path in paths if not _below(path, read_only)}
    return found


def _below(path: str, parents: list[str]) -> bool:
    return any(path == parent or path.startswith(f"{parent}.") for parent in parents)


def _of_schema(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> Iterator[str]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if path == "Tags":
        yield path
    elif "items" in schema:
        yield from _of_schema(schema["items"], definitions, path)
    elif schema.get("properties"):
        for name, inner in schema["properties"].items():
            yield from _of_schema(inner, definitions, f"{path}.{name}" if path else name)
    else:
        yield path


def of_api(model: Model) -> dict[str, set[str]]:
    """The parameters by kind, of the operations that create and update."""
    shapes, operations = model["shapes"], model["operations"]
    return {
        kind: {
            path
            for verb in ("Create", "Update")
            if f"{verb}{kind}" in operations
            for path in _of_shape(shapes, operations[f"{verb}{kind}"]["input"]["shape"], "")
        }
        for kind in KINDS
    }


def _of_shape(shapes: Mapping[str, Any], name: str, path: str) -> Iterator[str]:
    shape = shapes[name]
    if path == "Tags":
        yield path
    elif shape["type"] == "structure":
        for member, inner in shape["members"].items():
            yield from _of_shape(shapes, inner["shape"], f"{path}.{member}" if path else member)
    elif shape["type"] == "list":
        yield from _of_shape(shapes, shape["member"]["shape"], path)
    else:
        yield path
