"""The JSON Schema of a manifest for editors, from the dataclasses that read it.

Keys, types and what is needed follow from the fields, descriptions from their docstrings. `_FORMS` has the
rules of `adapter_fleet.manifest.value_rules` that a schema can express.
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from adapter_fleet.common.naming import MAX_COMPONENT_NAME_LENGTH
from adapter_fleet.documents.schema import keys_of
from adapter_fleet.evaluation import MAX_METRICS, EvaluationRecord, Figure
from adapter_fleet.manifest.desired import Probe, SmokeRequest
from adapter_fleet.manifest.manifest_adapter import (
    MAX_EXPRESSION_LENGTH,
    AdapterSettings,
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    S3Artifact,
    SmokeSettings,
)
from adapter_fleet.manifest.parser import MAX_ADAPTERS, ManifestDocument
from adapter_fleet.manifest.value_rules import MAX_ANSWER_CHARACTERS, MAX_PROMPT_CHARACTERS

Schema = dict[str, Any]

_RECORDS = (AdapterSettings, ManifestAdapter, BucketArtifact, SmokeSettings, Probe, EvaluationRecord, Figure)
_WORDS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Any: {},
    Literal[False]: {"const": False},
    # Both are read from other keys than those of their fields.
    SmokeRequest: {"$ref": "#/$defs/SmokeSettings"},
    S3Artifact: {
        "type": "string",
        "maxLength": 1024,
        "pattern": r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.*[^/]|[^/])\.tar\.gz$",
    },
    LocalArtifact: {"type": "string", "pattern": r"^(\./|\.\./|/)"},
    AssetArtifact: {"type": "string", "pattern": "^asset:[0-9a-f]{64}$"},
}
_COMPONENT = {
    "maxLength": MAX_COMPONENT_NAME_LENGTH,
    "pattern": "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
}
_DIGEST = {"pattern": "^sha256:[0-9a-f]{64}$"}
_FORMS: Mapping[type, Mapping[str, Schema]] = {
    ManifestDocument: {
        "base_model": {"minLength": 1},
        "adapters": {"maxItems": MAX_ADAPTERS, "items": {"$ref": "#/$defs/ManifestAdapter"}},
    },
    AdapterSettings: {
        "rank": {"exclusiveMinimum": 0},
        "tags": {
            "propertyNames": {
                "minLength": 1,
                "maxLength": 128,
                "pattern": "^(?![aA][wW][sS]:)(?![fF][lL][eE][eE][tT]-[uU][iI][dD]$)",
            },
            "additionalProperties": {"type": "string", "maxLength": 256},
        },
    },
    ManifestAdapter: {
        "name": _COMPONENT,
        "component": _COMPONENT,
        "digest": _DIGEST,
        "checksum": {"pattern": "^sha256:[0-9a-f]{64}(-[1-9][0-9]{0,4})?$"},
        "percent": {"minimum": 1, "maximum": 100},
    },
    BucketArtifact: {"bucket": {"minLength": 1}, "key": {"pattern": r"^(.*[^/]|[^/])\.tar\.gz$"}},
    SmokeSettings: {
        "prompt": {"minLength": 1},
        "max_tokens": {"exclusiveMinimum": 0},
        "expect": {"maxLength": MAX_EXPRESSION_LENGTH},
    },
    Probe: {
        "prompt": {"minLength": 1, "maxLength": MAX_PROMPT_CHARACTERS},
        "answer": {"minLength": 1, "maxLength": MAX_ANSWER_CHARACTERS},
        "max_tokens": {"exclusiveMinimum": 0},
    },
    EvaluationRecord: {
        "result": {
            "maxLength": 1024,
            "pattern": r"^s3://[^/]+/(.*/)?sha256-[0-9a-f]{64}\.evaluations/[^/]+\.json$",
        },
        "dataset": _DIGEST,
        "at": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "base": {"minLength": 1, "maxLength": 256},
        "decoding": {"minLength": 1, "maxLength": 256},
        "figures": {
            "minProperties": 1,
            "maxProperties": MAX_METRICS,
            "propertyNames": {"minLength": 1, "maxLength": 100},
        },
    },
}
_EITHER = {"oneOf": [{"required": ["prompt"]}, {"required": ["body"], "not": {"required": ["max_tokens"]}}]}
_ENTRY = re.compile(r"^(\w+):\n((?:    .*\n?)+)", re.MULTILINE)


def text() -> str:
    """Return the file."""
    definitions = {record.__name__: _table(record) for record in _RECORDS}
    definitions[SmokeSettings.__name__] |= _EITHER
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of an adapter fleet",
        **_table(ManifestDocument),
        "required": ["adapters"],
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2) + "\n"


def _table(record: type) -> Schema:
    hints, keys = get_type_hints(record), keys_of(record)
    needed = [
        each.name
        for each in fields(record)
        if each.name in keys and each.default is MISSING and each.default_factory is MISSING
    ]
    forms = {key: form for owner in record.__mro__ for key, form in _FORMS.get(owner, {}).items()}
    meanings = _meanings(record)
    return {
        "description": (inspect.getdoc(record) or "").partition("\n")[0],
        "type": "object",
        "additionalProperties": False,
        "required": needed,
        "properties": {
            key: {"description": meanings[key], **_type(hints[key]), **forms.get(key, {})} for key in keys
        },
    }


def _meanings(record: type) -> dict[str, str]:
    """Return what the docstrings of a record and of its bases say of each field."""
    found: dict[str, str] = {}
    for owner in reversed(record.__mro__):
        for entry in _ENTRY.finditer(inspect.cleandoc(owner.__doc__ or "")):
            found[entry[1]] = " ".join(entry[2].split())
    return found


def _type(hint: Any) -> Schema:
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(hint, type) and is_dataclass(hint):
        return {"$ref": f"#/$defs/{hint.__name__}"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return {"type": "array"}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    choices = [_type(each) for each in arguments if each is not NoneType]
    return choices[0] if len(choices) == 1 else {"anyOf": choices}
