"""Reads YAML and JSON that people write: plain data with one meaning.

JSON is read by Python's own parser. It is far faster than YAML's, which is not compiled in the Lambda.
"""

import json
import math
from typing import Any

from adapter_fleet.documents.document import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_ITEMS,
    MAX_KEYS,
    MAX_VALUES,
    TOO_DEEP,
    Document,
    DocumentError,
    DocumentLimitError,
)
from adapter_fleet.documents.schema import Keys
from adapter_fleet.documents.strict_json import loads
from adapter_fleet.documents.yaml_reader import YamlReader


def read(data: bytes, *, called_json: bool = False) -> Document:
    """Read a document of YAML or JSON.

    Raises DocumentError for a text that is neither, and for a document with something else than plain data.
    With `called_json` the error says why it is no JSON.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError(1, f"it should have at most {MAX_DOCUMENT_BYTES} bytes, got {len(data)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(line, f"it should be UTF-8, got the byte 0x{data[error.start]:02x}") from None
    document = _parsed(text, called_json)
    if _count(document, document.value, ()) > MAX_VALUES:
        raise DocumentLimitError(0, f"it should have at most {MAX_VALUES} keys and values")
    return document


def _parsed(text: str, called_json: bool) -> Document:
    no_json = None
    if called_json or text.lstrip().startswith("{"):
        try:
            return Document(value=loads(text.encode()))
        except json.JSONDecodeError as error:
            no_json = DocumentError(error.lineno, f"it is not JSON: {error.msg}")
        except ValueError as error:
            raise DocumentError(0, str(error)) from None
    try:
        return YamlReader(text).read()  # YAML has mappings in braces as well
    except DocumentError as error:
        raise (called_json and no_json) or error from None


def _count(document: Document, value: Any, keys: Keys) -> int:
    """Return the number of keys and values in a value; raise DocumentError at the first that is refused."""
    match value:
        case dict() | list() if len(keys) >= MAX_DEPTH:
            raise DocumentError(document.line(keys), TOO_DEEP)
        case dict():
            if len(value) > MAX_KEYS:
                message = f"a mapping should have at most {MAX_KEYS} keys"
                raise DocumentLimitError(document.line(keys), message, keys)
            return 1 + sum(1 + _count(document, inner, (*keys, key)) for key, inner in value.items())
        case list():
            if len(value) > MAX_ITEMS:
                message = f"a list should have at most {MAX_ITEMS} items"
                raise DocumentLimitError(document.line(keys), message, keys)
            return 1 + sum(_count(document, inner, (*keys, index)) for index, inner in enumerate(value))
        case int() if not -(2**63) <= value < 2**63:
            # Readers disagree on larger numbers.
            raise DocumentError(document.line(keys), "a whole number should fit into 64 bits", keys)
        case float() if not math.isfinite(value):
            raise DocumentError(document.line(keys), f"a number should be finite, got {value}", keys)
    return 1
