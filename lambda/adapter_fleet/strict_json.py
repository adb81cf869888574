"""Reading JSON that others wrote: one meaning, or an error."""

import json
from typing import Any, NoReturn


def loads(text: bytes) -> Any:
    """Parse UTF-8 JSON, with ValueError for all that parsers disagree on.

    Python's parser takes the last of duplicate keys, others the first: a check and the engine must not see
    two documents. NaN and infinities are not JSON.
    """
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has the key {duplicate!r} twice")
    return result


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
