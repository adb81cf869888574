"""Reads YAML and JSON that people write: plain data with one meaning, and the line of everything in it.

JSON is read by Python's own parser. It is far faster than YAML's, which is not compiled in the Lambda.
"""

import json
import re
from collections import deque
from itertools import count, islice

from adapter_fleet.documents.document import (
    MAX_DOCUMENT_BYTES,
    Document,
    DocumentError,
    DocumentLimitError,
)
from adapter_fleet.documents.json_reader import JSON_SPACE, JsonReader
from adapter_fleet.documents.yaml_reader import LINE_BREAK, NOT_SUBSTITUTED, YamlReader

_NEAR_LINES = 3
"""YAML's parsers report a line that has no ':' at one of the next."""
_UNQUOTED = r"^[^\"'#]*?"
_STRAYS = tuple(
    (re.compile(form), problem)
    for form, problem in (
        (r"^(<{7}|={7}|>{7})(?= |$)", "'{}' is a conflict of git: resolve it"),
        (rf"{_UNQUOTED}(\{{[{{%])", "'{}' is a template: render it first"),
        (rf"{_UNQUOTED}(\$\{{)", NOT_SUBSTITUTED),
        (r"^[\s-]*(\xa0)|[:-]\xa0", "a no-break space (U+00A0) stands where a space should"),
        (r"(?:^|[:,\[{-])\s*([“”„\u2018\u2019])", "typographic quotes ({}) stand where ' or \" should"),
    )
)
"""What editors, git and tools for templates leave in a text that is none of YAML's."""


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
        stray = None if isinstance(error, DocumentLimitError) else _stray_near(text, error.line)
        raise stray or (called_json and no_json) or error from None


def stray_text(line: str) -> str | None:
    """Return what stands in a line or a value that is not meant for a document; None if nothing does."""
    found = ((form.search(line), problem) for form, problem in _STRAYS)
    return next((problem.replace("{}", match[1] or "") for match, problem in found if match), None)


def _stray_near(text: str, line: int) -> DocumentError | None:
    starts = deque([0], maxlen=_NEAR_LINES)
    starts.extend(found.end() for found in islice(LINE_BREAK.finditer(text), line - 1))
    for number, start in zip(count(line, -1), reversed(starts), strict=False):
        row = LINE_BREAK.split(text[start : start + 1000], 1)[0]
        if (number == line or ": " not in row) and (problem := stray_text(row)) is not None:
            return DocumentError(number, problem)
    return None
