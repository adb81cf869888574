"""One streamed request, and when its tokens came."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import Any

from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from adapter_fleet.common.aws_errors import code_of, message_of
from adapters_cli.aws.generated_text import TextRequest
from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint

_LONGEST_MESSAGE = 300


class BodyForm(Enum):
    """The forms of a request, in the order in which they are tried.

    Those of a fixed length ask the engine to write on after the end of its answer.
    """

    COMPLETION_OF_FIXED_LENGTH = ("OpenAI completion, ignore_eos", True)
    COMPLETION = ("OpenAI completion", False)
    LMI_OF_FIXED_LENGTH = ("LMI's own schema, ignore_eos_token", True)
    LMI = ("LMI's own schema", False)

    def __init__(self, title: str, fixed_length: bool) -> None:
        self.title, self.fixed_length = title, fixed_length

    def body(self, prompt: str, tokens: int) -> dict[str, Any]:
        """Return the body of a streamed request."""
        completion, lmi = TextRequest(prompt=prompt, max_tokens=tokens).bodies(stream=True)
        if self in (BodyForm.LMI, BodyForm.LMI_OF_FIXED_LENGTH):
            fixed = {"ignore_eos_token": True} if self.fixed_length else {}
            return {**lmi, "parameters": {**lmi["parameters"], **fixed}}
        fixed = {"ignore_eos": True} if self.fixed_length else {}
        return {**completion, **fixed, "stream_options": {"include_usage": True}}


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
    output_tokens, input_tokens:
        As the container counts them. Without its count, each event with a text is an output token.
    """

    sent: float
    ended: float
    first: float | None = None
    output_tokens: int = 0
    input_tokens: int | None = None
    error: RequestError | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A request of a load."""

    component: str
    times: StreamTimes

    @property
    def latency(self) -> float:
        """Seconds from the start to the end of the answer."""
        return self.times.ended - self.times.sent

    @property
    def first_token(self) -> float | None:
        """Seconds from the start to the first text; None if there was none."""
        return None if self.times.first is None else self.times.first - self.times.sent

    @property
    def inter_token(self) -> float | None:
        """Mean seconds between two tokens after the first; None for answers of one token."""
        if self.times.first is None or self.times.output_tokens < 2:
            return None
        return (self.times.ended - self.times.first) / (self.times.output_tokens - 1)


class StreamingClient:
    """Sends prompts to the components of an endpoint, and notes when the answer comes.

    form:
        How requests are written; `settle` finds it.
    """

    def __init__(self, endpoint: RuntimeEndpoint, now: Callable[[], float]) -> None:
        self._endpoint, self._now = endpoint, now
        self.form = BodyForm.COMPLETION_OF_FIXED_LENGTH

    def settle(self, component: str, prompt: str, tokens: int) -> RequestError | None:
        """Find the first form that the container takes; return the first form's error if it takes none."""
        errors = []
        for form in BodyForm:
            self.form = form
            error = self.ask(component, prompt, tokens).error
            if error is None:
                return None
            errors.append(error)
            if not error.kind.startswith("ModelError 4"):
                break
        self.form = BodyForm.COMPLETION_OF_FIXED_LENGTH
        return errors[0]

    def ask(
        self, component: str, prompt: str, tokens: int, cut_off: Callable[[], bool] = lambda: False
    ) -> StreamTimes:
        """Send a prompt and read its answer to the end. An error is part of what is returned.

        `cut_off` returns True when answers that still come are left.
        """
        stream = _Stream()
        sent, error = self._now(), None
        try:
            with closing(self._endpoint.events(component, self.form.body(prompt, tokens))) as events:
                for event in events:
                    stream.read(event, self._now())
                    if cut_off():
                        error = RequestError(kind="unfinished", message="the answer still came at the end")
                        break
        except ClientError as failure:
            error = RequestError(kind=_kind(failure), message=message_of(failure)[:_LONGEST_MESSAGE])
        except (BotoCoreError, HTTPError, ParserError, ValueError) as failure:
            error = RequestError(kind=type(failure).__name__, message=str(failure)[:_LONGEST_MESSAGE])
        return stream.times(sent, self._now(), error or stream.error)


class _Stream:
    """What has come of an answer."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._events = 0
        self._output: int | None = None
        self._input: int | None = None
        self.error: RequestError | None = None

    def read(self, event: Any, now: float) -> None:
        match event:
            case {"error": error}:
                self.error = RequestError(kind="error in the stream", message=str(error)[:_LONGEST_MESSAGE])
            case {"choices": [{"text": str(text)}, *_]} | {"token": {"text": str(text)}}:
                # The first event of some containers has no text: it only opens the answer.
                if text and self._first is None:
                    self._first = now
                self._events += bool(text)
        match event:
            case {"usage": {"completion_tokens": int(output), "prompt_tokens": int(given)}}:
                self._output, self._input = output, given
            case {"details": {"generated_tokens": int(output), **details}}:
                given_there = details.get("input_length")
                self._output, self._input = output, given_there if isinstance(given_there, int) else None

    def times(self, sent: float, ended: float, error: RequestError | None) -> StreamTimes:
        if error is None and self._first is None and not self._output:
            error = RequestError(kind="no text", message="the answer has no token")
        return StreamTimes(
            sent=sent,
            ended=ended,
            first=self._first,
            output_tokens=self._events if self._output is None else self._output,
            input_tokens=self._input,
            error=error,
        )


def _kind(error: ClientError) -> str:
    status = error.response.get("OriginalStatusCode")
    return f"{code_of(error)} {status}" if status else code_of(error)
