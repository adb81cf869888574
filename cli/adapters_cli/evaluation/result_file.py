"""A result as JSON: written whole, and read back strictly."""

import json
from pathlib import Path

from cattrs import Converter
from cattrs.errors import ForbiddenExtraKeysError

from adapters_cli.evaluation.result import EvaluationResult

FORMAT = "adapters-evaluation"
VERSION = 2
"""Changes whenever a reader of the one before would misread the file."""

RESULT_FILE = "result.json"

_converter = Converter(forbid_extra_keys=True, detailed_validation=False)


def to_json(result: EvaluationResult) -> str:
    """Return a result as JSON."""
    document = {"format": FORMAT, "version": VERSION, **_converter.unstructure(result)}
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)


def from_json(text: str | bytes, *, where: str) -> EvaluationResult:
    """Read a result. Raises ValueError for anything that `to_json` does not write."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where}: it is no JSON: {error}") from None
    match document:
        case {"format": "adapters-evaluation", "version": version, **fields}:
            if version != VERSION:
                raise ValueError(f"{where}: 'version' should be {VERSION}, got {version!r}")
        case _:
            raise ValueError(f"{where}: it is no result of 'adapters evaluate'")
    try:
        result = _converter.structure(fields, EvaluationResult)
    except (ForbiddenExtraKeysError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: it is no result of 'adapters evaluate': {error!r}") from None
    # cattrs takes 7 for "7". A file that is read must be written the same.
    if json.loads(json.dumps(_converter.unstructure(result))) != fields:
        raise ValueError(f"{where}: it is no result of 'adapters evaluate': a value has the wrong type")
    return result


def read_result(path: Path) -> EvaluationResult:
    """Read a result from a file. Raises OSError, and ValueError for a file that is none."""
    return from_json(path.read_bytes(), where=str(path))
