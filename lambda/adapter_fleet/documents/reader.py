"""Reads YAML and JSON that people write: plain data with one meaning, and the line of everything in it.

JSON is read by Python's own parser. It is far faster than YAML's, which is not compiled in the Lambda.
"""

import json

from adapter_fleet.documents.document import (
    MAX_DOCUMENT_BYTES,
    Document,
    DocumentError,
)
from adapter_fleet.documents.json_reader import JSON_SPACE, JsonReader
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
    no_json = None
    if called_json or text.lstrip(JSON_SPACE).startswith("{"):
        try:
            return JsonReader(text).read()
        except json.JSONDecodeError as error:
            no_json = DocumentError(error.lineno, f"it is not JSON: {error.msg}")
    try:
        return YamlReader(text).read()  # YAML has mappings in braces as well
    except DocumentError as error:
        raise (called_json and no_json) or error from None
