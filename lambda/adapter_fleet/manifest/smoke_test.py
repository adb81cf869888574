"""The smoke test of an adapter, as a manifest or an app declares it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.documents.schema import RecordError
from adapter_fleet.manifest.desired import SmokeRequest

MAX_SMOKE_BYTES = 8_000
"""JSON bytes of a smoke request's body. A fleet's default one is stored for each adapter without one."""
MAX_EXPRESSION_LENGTH = 1000


@dataclass(frozen=True, kw_only=True)
class SmokeSettings:
    """The keys of a smoke test. Raises RecordError with every mistake; give either `prompt` or `body`.

    prompt:
        What to ask, at temperature 0.
    max_tokens:
        The longest answer, with `prompt`. Default: `DEFAULT_MAX_TOKENS`.
    body:
        The whole JSON body of the request, for containers that take another one.
    expect:
        A regular expression that must be found in the answer. Default: any answer with a 2XX code passes.
    """

    prompt: str | None = None
    max_tokens: int | None = None
    body: Mapping[str, Any] | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise RecordError(problems)

    def request(self) -> SmokeRequest:
        """Return the request that the Lambda functions send."""
        if self.prompt is not None:
            return SmokeRequest.from_prompt(self.prompt, max_tokens=self.max_tokens, expect=self.expect)
        return SmokeRequest(body=dict(self.body or {}), expect=self.expect)

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Find what is wrong: the key, and the problem of its value."""
        given = [key for key in ("prompt", "body") if getattr(self, key) is not None]
        if len(given) != 1:
            yield "", f"one of prompt, body should be given, got {' and '.join(given) or 'none'}"
        if self.prompt == "":
            yield "prompt", "should not be empty, got ''"
        if self.max_tokens is not None:
            if self.max_tokens <= 0:
                yield "max_tokens", f"should be above 0, got {self.max_tokens}"
            if given == ["body"]:
                yield "max_tokens", f"should be given with prompt only, got {self.max_tokens}"
        yield from problems_of_smoke(self.request())


def problems_of_smoke(smoke: SmokeRequest) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a smoke request: the key, and the problem of its value."""
    try:
        size = len(json.dumps(smoke.body, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        yield "body", f"should be plain data: {error!s:.200}"
    else:
        if size > MAX_SMOKE_BYTES:
            key = "prompt" if smoke.is_prompt else "body"
            yield key, f"should have at most {MAX_SMOKE_BYTES} bytes as JSON, got {size}"
    if smoke.expect is not None and (problem := _problem_of_expression(smoke.expect)):
        yield "expect", problem


def _problem_of_expression(text: str) -> str | None:
    if len(text) > MAX_EXPRESSION_LENGTH:
        return f"should have at most {MAX_EXPRESSION_LENGTH} characters, got {len(text)}"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return f"should be a regular expression ({error}), got {short_repr(text)}"
    return None
