"""Sends streamed requests, and notes when their tokens come."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from adapter_fleet.common.aws_errors import code_of, message_of
from adapters_cli.aws.generated_text import TextRequest
from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint

_LONGEST_MESSAGE = 300


@dataclass(frozen=True, kw_only=True)
class RequestError:
    """Why a request has no whole answer. Errors of one kind are counted together."""

    kind: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class StreamTimes:
    """When a request was sent, and when its answer came. Times are seconds of the clock.

    first:
        When the first text came; None if there was none, as of tokens that are all special ones.
    output_tokens:
        As the container counts them. Without its count, each event with a text is a token.
    """

    sent: float
    ended: float
    first: float | None = None
    output_tokens: int = 0
    error: RequestError | None = None

    @property
    def latency(self) -> float:
        """Seconds from the start to the end of the answer."""
        return self.ended - self.sent

    @property
    def first_token(self) -> float | None:
        """Seconds from the start to the first text; None if there was none."""
        return None if self.first is None else self.first - self.sent

    @property
    def inter_token(self) -> float | None:
        """Mean seconds between two tokens after the first; None for answers of one token."""
        if self.first is None or self.output_tokens < 2:
            return None
        return (self.ended - self.first) / (self.output_tokens - 1)


class StreamingClient:
    """Sends prompts to the components of an endpoint, and notes when the answer comes.

    fixed_length:
        True if the engine is asked to write on after the end of its answer. `settle` finds out.
    """

    def __init__(self, endpoint: RuntimeEndpoint, now: Callable[[], float]) -> None:
        self._endpoint, self._now = endpoint, now
        self.fixed_length = True

    def settle(self, component: str, prompt: str, tokens: int) -> RequestError | None:
        """Find out whether the container takes a fixed length; return the error if it takes no request."""
        error = self.ask(component, prompt, tokens).error
        if error is None or not error.kind.startswith("ModelError 4"):
            return error
        self.fixed_length = False
        return error if self.ask(component, prompt, tokens).error else None

    def ask(self, component: str, prompt: str, tokens: int) -> StreamTimes:
        """Send a prompt and read its answer to the end. An error is part of what is returned."""
        stream = _Stream()
        sent, error = self._now(), None
        try:
            with closing(self._endpoint.events(component, self._body(prompt, tokens))) as events:
                for event in events:
                    stream.read(event, self._now())
        except ClientError as failure:
            error = RequestError(kind=_kind(failure), message=message_of(failure)[:_LONGEST_MESSAGE])
        except (BotoCoreError, HTTPError, ParserError, ValueError) as failure:
            error = RequestError(kind=type(failure).__name__, message=str(failure)[:_LONGEST_MESSAGE])
        return stream.times(sent, self._now(), error or stream.error)

    def _body(self, prompt: str, tokens: int) -> dict[str, Any]:
        completion = TextRequest(prompt=prompt, max_tokens=tokens).bodies(stream=True)[0]
        fixed = {"ignore_eos": True} if self.fixed_length else {}
        return {**completion, **fixed, "stream_options": {"include_usage": True}}


class _Stream:
    """What has come of an answer."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._events = 0
        self._output: int | None = None
        self.error: RequestError | None = None

    def read(self, event: Any, now: float) -> None:
        match event:
            case {"error": error}:
                self.error = RequestError(kind="error in the stream", message=str(error)[:_LONGEST_MESSAGE])
            case {"choices": [{"text": str(text)}, *_]}:
                # The first event of some containers has no text: it only opens the answer.
                if text and self._first is None:
                    self._first = now
                self._events += bool(text)
        match event:
            case {"usage": {"completion_tokens": int(output)}}:
                self._output = output

    def times(self, sent: float, ended: float, error: RequestError | None) -> StreamTimes:
        if error is None and self._first is None and not self._output:
            error = RequestError(kind="no text", message="the answer has no token")
        return StreamTimes(
            sent=sent,
            ended=ended,
            first=self._first,
            output_tokens=self._events if self._output is None else self._output,
            error=error,
        )


def _kind(error: ClientError) -> str:
    status = error.response.get("OriginalStatusCode")
    return f"{code_of(error)} {status}" if status else code_of(error)
