"""Answers of the List operations: filters, order and pages, the same for every kind of resource."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from local_sagemaker.errors import validation_exception

# [V] ListInferenceComponents returns 10 by default and at most 100; the other List operations do the same.
_DEFAULT_PAGE = 10

Summary = dict[str, Any]

_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "Before": lambda moment, limit: moment < limit,
    "After": lambda moment, limit: moment > limit,
}


def list_page(
    request: dict[str, Any],
    summaries: Sequence[Summary],
    *,
    kind: str,
    equals: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The answer of a List operation: the page that a request asks for.

    kind is the prefix of the resource's members ("Endpoint"). equals maps the request's filters for equality
    to the members that they compare. All listings share the filters for names and times.
    """
    name_key, answer_key = f"{kind}Name", f"{kind}s"
    matches = _filter(request, name_key, equals or {})
    chosen = [summary for summary in summaries if matches(summary)]
    sort_by = request.get("SortBy", "CreationTime")
    sort_key = {"Name": name_key, "Status": f"{kind}Status"}.get(sort_by, sort_by)
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda summary: str(summary[name_key]))
    chosen.sort(key=lambda summary: summary[sort_key], reverse=descending)
    if request.get("NextToken"):
        value, name = _decode(request["NextToken"], sorted_by_text=sort_by in ("Name", "Status"))
        chosen = [
            summary
            for summary in chosen
            if (summary[sort_key] < value if descending else summary[sort_key] > value)
            or (summary[sort_key] == value and summary[name_key] > name)
        ]

    size = request.get("MaxResults", _DEFAULT_PAGE)
    answer: dict[str, Any] = {answer_key: chosen[:size]}
    if size < len(chosen):
        last = chosen[size - 1]
        answer["NextToken"] = _encode(last[sort_key], last[name_key])
    return answer


def _filter(request: dict[str, Any], name_key: str, equals: dict[str, str]) -> Callable[[Summary], bool]:
    """A function that returns whether a summary matches the filters of a request."""
    wanted = [(member, request[name]) for name, member in equals.items() if name in request]
    bounds = [
        (member, holds, request[member + bound])
        for member in ("CreationTime", "LastModifiedTime")
        for bound, holds in _BOUNDS.items()
        if member + bound in request
    ]
    part = request.get("NameContains", "")

    def matches(summary: Summary) -> bool:
        if part not in summary[name_key]:
            return False
        for member, value in wanted:
            if summary[member] != value:
                return False
        return all(holds(summary[member], limit) for member, holds, limit in bounds)

    return matches


def _encode(value: float | str, name: str) -> str:
    """A token with the last entry of a page: entries that appear or vanish before it shift nothing."""
    return base64.urlsafe_b64encode(json.dumps([value, name]).encode()).decode()


def _decode(token: str, *, sorted_by_text: bool) -> tuple[Any, str]:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise validation_exception("The pagination token is invalid.") from None
    if not isinstance(value, str if sorted_by_text else (int, float)) or not isinstance(name, str):
        raise validation_exception("The pagination token is invalid.")
    return value, name
