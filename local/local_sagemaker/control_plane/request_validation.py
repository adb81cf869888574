"""Checks requests against botocore's own model of the service, with AWS's messages."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)

from local_sagemaker.errors import ApiError, validation_exception

# What the newest botocore has beside the one that ministack pins, in botocore's own form of an extension.
_NEWER_MODELS = Path(__file__).parent / "newer_models"


@cache
def service_model(service: str = "sagemaker") -> ServiceModel:
    """Botocore's model of a service, with the newest members of SageMaker's hosting."""
    # A loader of its own: one that a session shares may have cached the model without the newest members.
    loader = Loader(extra_search_paths=[str(_NEWER_MODELS)])
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


def operation_model(operation: str, service: str = "sagemaker") -> OperationModel:
    """Botocore's model of an operation."""
    return service_model(service).operation_model(operation)


def check_request(operation: str, request: dict[str, Any], *, service: str = "sagemaker") -> None:
    """Raise a ValidationException for missing, unknown or wrong parameters.

    A value of another type is a SerializationException: AWS reads a request before it checks it.
    """
    shape = operation_model(operation, service).input_shape
    problems = shape_problems(shape, request) if shape is not None else []
    if problems:
        raise validation_exception(counted_problems(problems))


def counted_problems(problems: list[str]) -> str:
    """Return one text of all problems, which begins as AWS's does."""
    errors = "errors" if len(problems) > 1 else "error"
    return f"{len(problems)} validation {errors} detected: {'; '.join(problems)}"


def header_problems(operation: str, headers: Mapping[str, str], *, service: str) -> list[str]:
    """What is wrong with the headers of a request, whose names are in lower case."""
    shape = operation_model(operation, service).input_shape
    assert isinstance(shape, StructureShape)
    names = {
        member: of.serialization["name"].lower()
        for member, of in shape.members.items()
        if of.serialization.get("location") == "header"
    }
    return [
        problem
        for member, name in names.items()
        if name in headers
        for problem in shape_problems(shape.members[member], headers[name], _member(member))
    ]


def without_nulls(value: Any) -> Any:
    """A checked request without its null members: to the API they are absent."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def coerce_request(operation: str, request: dict[str, Any], *, service: str = "sagemaker") -> dict[str, Any]:
    """Convert a template's values to the API's types as CloudFormation does: "1" becomes 1."""
    shape = operation_model(operation, service).input_shape
    coerced: dict[str, Any] = request if shape is None else _coerce(shape, request)
    return coerced


def _coerce(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = shape.members
        return {key: _coerce(members[key], item) if key in members else item for key, item in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_coerce(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _coerce(shape.value, item) for key, item in value.items()}
    if shape.type_name == "string" and isinstance(value, (int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str):
        try:
            if shape.type_name in ("integer", "long"):
                return int(value)
            if shape.type_name in ("float", "double"):
                return float(value)
        except ValueError:
            return value
        if shape.type_name == "boolean" and value.lower() in ("true", "false"):
            return value.lower() == "true"
    return value


_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def shape_problems(shape: Shape, value: Any, path: str = "") -> list[str]:
    """What is wrong with a value of a shape, in AWS's words; ApiError for a value of another type."""
    if value is None:
        return [f"{_at(value, path)}: Member must not be null"]
    if not _is_a(_TYPES[shape.type_name], value):
        raise ApiError("SerializationException", f"{_wrong_type(shape.type_name, value)} (at '{path}')")
    if isinstance(shape, StructureShape):
        return _structure_problems(shape, value, path)
    found = _size_problems(shape, value, path)
    if isinstance(shape, StringShape):
        found += _text_problems(shape, value, path)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value, start=1):
            found += shape_problems(shape.member, item, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            found += shape_problems(shape.key, key, f"{path}.{key}.key")
            found += shape_problems(shape.value, item, f"{path}.{key}.value")
    return found


def _is_a(types: tuple[type, ...], value: Any) -> bool:
    # In Python True is an integer; in the API it is not.
    return type(value) is bool if types == (bool,) else isinstance(value, types) and type(value) is not bool


def _wrong_type(wanted: str, value: Any) -> str:
    """[T Athena, which shares the framework] What AWS says of a value of another type, but for its place."""
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return "Start of list found where not expected."
    token = {bool: str(value).upper(), str: "STRING"}.get(type(value), "NUMBER")
    article = "an" if wanted[0] in "aeiou" else "a"
    return f"{token}_VALUE can not be converted to {article} {wanted.title()}"


def _structure_problems(shape: StructureShape, value: dict[str, Any], path: str) -> list[str]:
    prefix = f"{path}." if path else ""
    found = [
        f"{_at(None, prefix + _member(name))}: Member must not be null"
        for name in shape.required_members
        if value.get(name) is None
    ]
    for name, item in value.items():
        if name not in shape.members:
            known = ", ".join(shape.members)
            found.append(f"Unknown parameter '{prefix}{_member(name)}', must be one of: {known}")
        elif item is not None:
            found += shape_problems(shape.members[name], item, prefix + _member(name))
    return found


def _size_problems(shape: Shape, value: Any, path: str) -> list[str]:
    sized = isinstance(value, (str, list, dict))
    if not sized and not isinstance(value, (int, float)):
        return []
    measure, limits = (len(value) if sized else value), shape.metadata
    subject = "have length" if sized else "have value"
    found = []
    if "min" in limits and measure < limits["min"]:
        found.append(f"{_at(value, path)}: Member must {subject} greater than or equal to {limits['min']}")
    if "max" in limits and measure > limits["max"]:
        found.append(f"{_at(value, path)}: Member must {subject} less than or equal to {limits['max']}")
    return found


def _text_problems(shape: StringShape, value: str, path: str) -> list[str]:
    pattern = _pattern(shape.metadata.get("pattern", ""))
    if pattern is not None and not pattern.fullmatch(value):
        text = shape.metadata["pattern"]
        return [f"{_at(value, path)}: Member must satisfy regular expression pattern: {text}"]
    if shape.enum and value not in shape.enum:
        return [f"{_at(value, path)}: Member must satisfy enum value set: [{', '.join(shape.enum)}]"]
    return []


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    # Python does not know Java's \p{L}, \p{Z} and \p{N}, which the tag patterns use.
    text = text.replace(r"[\p{Print}]", "[ -~]").replace(r"\p{ASCII}", r"[\x00-\x7f]").replace(r"\z", r"\Z")
    text = re.sub(r"\\p\{[LN]\}", r"\\w", text).replace(r"\p{Z}", r"\s").replace(r"\p{Print}", "[ -~]")
    # Nor Java's pairs of surrogates, which stand for the characters above U+FFFF.
    text = text.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    return re.compile(text) if text else None


def _at(value: Any, path: str) -> str:
    shown = "null" if value is None else f"'{_shown(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint"


def _shown(value: Any) -> str:
    """A value as AWS prints it: Java's way."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return "null" if value is None else str(value)


def _member(name: str) -> str:
    return name[:1].lower() + name[1:]
