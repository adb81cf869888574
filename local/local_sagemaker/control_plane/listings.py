"""Answers of the List operations: filters, order and pages, the same for every kind of resource."""

import base64
import json
import operator
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from local_sagemaker.errors import validation_exception

# [V] ListInferenceComponents returns 10 by default and at most 100; the other List operations do the same.
_DEFAULT_PAGE = 10

Summary = dict[str, Any]
Position = tuple[Any, str]
"""Where an entry is in a listing: the value that it is sorted by, and its name."""

_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "Before": lambda moment, limit: moment < limit,
    "After": lambda moment, limit: moment > limit,
}


class CreationOrder(Protocol):
    """The summaries of a kind, in the order of their creation times and then of their names."""

    def __call__(self, after: Position | None, *, descending: bool) -> Iterator[Summary]:
        """Yield the summaries behind a position, or all, one by one."""


def list_page(
    request: dict[str, Any],
    summaries: Iterable[Summary],
    *,
    kind: str,
    equals: dict[str, str] | None = None,
    by_creation: CreationOrder | None = None,
) -> dict[str, Any]:
    """The answer of a List operation: the page that a request asks for.

    kind is the prefix of the resource's members ("Endpoint"). equals maps the request's filters for equality
    to the members that they compare. All listings share the filters for names and times. by_creation yields
    the summaries in the usual order, so that a page of many resources does not sort all of them.
    """
    name_key, answer_key = f"{kind}Name", f"{kind}s"
    sort_by = request.get("SortBy", "CreationTime")
    sort_key = {"Name": name_key, "Status": f"{kind}Status"}.get(sort_by, sort_by)
    descending = request.get("SortOrder", "Descending") == "Descending"
    after = None
    if request.get("NextToken"):
        after = _decode(request["NextToken"], sorted_by_text=sort_by in ("Name", "Status"))

    def position(summary: Summary) -> Position:
        return summary[sort_key], summary[name_key]

    if by_creation is not None and sort_by == "CreationTime":
        ordered: Iterable[Summary] = by_creation(after, descending=descending)
    else:
        ordered = sorted(summaries, key=position, reverse=descending)
        if after is not None:
            behind = operator.lt if descending else operator.gt
            ordered = [summary for summary in ordered if behind(position(summary), after)]
    size = request.get("MaxResults", _DEFAULT_PAGE)
    matches = _filter(request, name_key, equals or {})
    chosen = list(islice(filter(matches, ordered), size + 1))
    answer: dict[str, Any] = {answer_key: chosen[:size]}
    if size < len(chosen):
        answer["NextToken"] = _encode(position(chosen[size - 1]))
    return answer


def _filter(request: dict[str, Any], name_key: str, equals: dict[str, str]) -> Callable[[Summary], bool]:
    """A function that returns whether a summary matches the filters of a request."""
    # [I] As elsewhere in the API, names are the same in any case.
    wanted = [(member, request[name].lower()) for name, member in equals.items() if name in request]
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
            if summary[member].lower() != value:
                return False
        return all(holds(summary[member], limit) for member, holds, limit in bounds)

    return matches


def _encode(last: Position) -> str:
    """A token with the last entry of a page: entries that appear or vanish before it shift nothing."""
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode()


def _decode(token: str, *, sorted_by_text: bool) -> Position:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise validation_exception("The pagination token is invalid.") from None
    if not isinstance(value, str if sorted_by_text else (int, float)) or not isinstance(name, str):
        raise validation_exception("The pagination token is invalid.")
    return value, name
