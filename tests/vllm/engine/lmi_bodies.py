"""Lets vLLM take the bodies that LMI takes. The AWS vLLM image has none of this.

- `{"inputs": …, "parameters": {…}}` is answered with `{"generated_text": …}`, or with a line of JSON for each
  token of a stream [V, LMI's input and output schema].
- Streams of OpenAI's forms on `/invocations` are lines of JSON, too [V djl-serving, async_utils].
- `?adapter=`, and `adapters` or `model` in any body, name the adapter, unless the header does [V, LMI's
  documentation]. [I] So they do on `/v1/chat/completions`, but for the query.
- Any content type is JSON.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from local_sagemaker.container_protocol import ADAPTER_HEADER, SERVED_NAME
from local_sagemaker.http_guards import Receive, Scope, Send

Header = tuple[bytes, bytes]

_INVOCATIONS = "/invocations"
_LINES = b"application/jsonlines"
_DONE = b"[DONE]"
_GENERATING = (_INVOCATIONS, "/v1/chat/completions")
_ADAPTER_HEADER = ADAPTER_HEADER.lower().encode()
# [V LMI] The number of tokens if a body names none.
_DEFAULT_TOKENS = 30

# LMI's parameter and vLLM's name for it; the names of the others are the same.
_RENAMED = {"max_new_tokens": "max_tokens", "stop_sequences": "stop", "ignore_eos_token": "ignore_eos"}
# Parameters that shape LMI's answer, and those that would shape vLLM's in a way that LMI's has no place for.
_OWN = {"details", "return_full_text", "do_sample", "decoder_input_details", "watermark", "truncate"} | {
    "n",
    "echo",
}


class LmiBodies:
    """An ASGI application that translates requests to generate and passes all others on."""

    def __init__(self, app: Any):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Translate the request and the answer, or pass them on."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in _GENERATING:
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        content = _parsed(body)
        headers = [(b"content-type", b"application/json")]
        adapter = _adapter(scope, content)
        if adapter is not None:
            # vLLM takes it from the header on one path, and from the body on the other.
            headers.append((_ADAPTER_HEADER, adapter.encode()))
            content["model"] = adapter
        request = LmiRequest.of(content) if scope["path"] == _INVOCATIONS else None
        if request is not None:
            content, send = request.completion(), LmiAnswer(request, send).send
        elif scope["path"] == _INVOCATIONS and content.get("stream"):
            send = LmiAnswer(None, send).send
        body = _json(content) if content else body
        await self._app(_with_body(scope, body, headers), _replay(body, receive), send)


@dataclass(frozen=True, kw_only=True)
class LmiRequest:
    """A body of LMI's schema."""

    inputs: Any
    parameters: dict[str, Any]
    stream: bool

    @classmethod
    def of(cls, content: dict[str, Any]) -> "LmiRequest | None":
        """Return the request, None if the body has another schema."""
        if "inputs" not in content or "prompt" in content:
            return None
        parameters = content.get("parameters") or {}
        if not isinstance(parameters, dict):
            return None
        return cls(inputs=content["inputs"], parameters=parameters, stream=bool(content.get("stream")))

    @property
    def details(self) -> bool:
        """Whether the answer says more than its text."""
        return bool(self.parameters.get("details"))

    def completion(self) -> dict[str, Any]:
        """The same request in OpenAI's completions schema."""
        named = {
            _RENAMED.get(name, name): value for name, value in self.parameters.items() if name not in _OWN
        }
        content = {"max_tokens": _DEFAULT_TOKENS} | named | {"prompt": self.inputs, "stream": self.stream}
        if self.parameters.get("do_sample") is False:
            content["temperature"] = 0
        if self.stream or self.details:
            content |= {"logprobs": 0, "return_token_ids": True}
        if self.stream:
            content["stream_options"] = {"include_usage": True}  # LMI makes an empty line of the usage
        return content


@dataclass
class LmiAnswer:
    """An answer of vLLM's completions on its way to an LMI client; errors pass as they are.

    request is None for a stream in one of OpenAI's forms, whose events become lines of JSON.
    """

    request: LmiRequest | None
    to_client: Send
    _status: int = 0
    _unread: bytes = b""
    _tokens: list[dict[str, Any]] = field(default_factory=list)
    _text: str = ""
    _prompt_tokens: int = 0

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message of vLLM and send what an LMI client receives for it."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status != 200:
                await self.to_client(message)
            elif self.request is None or self.request.stream:
                await self.to_client(_start(_LINES))
        elif message["type"] != "http.response.body" or self._status != 200:
            await self.to_client(message)
        elif self.request is None or self.request.stream:
            lines = b"".join(self._lines(message.get("body", b"")))
            await self.to_client({**message, "body": lines})
        else:
            self._unread += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_whole(self.request)

    async def _send_whole(self, request: LmiRequest) -> None:
        (choice,) = json.loads(self._unread)["choices"]
        self._add(choice)
        content: dict[str, Any] = {"generated_text": self._text}
        if request.details:
            details = self._details(request, choice)
            content["details"] = details | {"prefill": [], "tokens": self._tokens}
        body = _json(content)
        await self.to_client(_start(b"application/json", len(body)))
        await self.to_client({"type": "http.response.body", "body": body, "more_body": False})

    def _lines(self, part: bytes) -> Iterator[bytes]:
        """Translate the server-sent events that are complete with this part."""
        *events, self._unread = (self._unread + part).split(b"\n\n")
        for event in events:
            data = event.removeprefix(b"data: ")
            if data == _DONE:
                yield b"\n"  # as LMI makes of it
                continue
            content = json.loads(data)
            if self.request is None or "choices" not in content:
                yield data + b"\n"  # as it is, such as an error in the middle of the stream
                continue
            if content["choices"] == []:
                yield b"\n"  # the usage
            for choice in content["choices"]:
                self._add(choice)
                if self._tokens:
                    yield self._line(self.request, choice)

    def _line(self, request: LmiRequest, choice: dict[str, Any]) -> bytes:
        ended = choice["finish_reason"] is not None
        content = {
            "index": 0,
            # vLLM holds text back until it is whole characters, so the text is the event's.
            "token": self._tokens[-1] | {"text": choice["text"]},
            "generated_text": self._text if ended else None,
            "details": self._details(request, choice) if ended and request.details else None,
        }
        return _json(content) + b"\n"

    def _add(self, choice: dict[str, Any]) -> None:
        self._text += choice["text"]
        self._prompt_tokens = len(choice.get("prompt_token_ids") or ()) or self._prompt_tokens
        probabilities = choice.get("logprobs") or {}
        self._tokens += [
            {"id": token, "text": text, "logprob": probability}
            for token, text, probability in zip(
                choice.get("token_ids") or (),
                probabilities.get("tokens", ()),
                probabilities.get("token_logprobs", ()),
                strict=True,
            )
        ]

    def _details(self, request: LmiRequest, choice: dict[str, Any]) -> dict[str, Any]:
        return {
            "finish_reason": choice["finish_reason"],
            "seed": request.parameters.get("seed"),
            "generated_tokens": len(self._tokens),
            "input_length": self._prompt_tokens,
        }


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _parsed(body: bytes) -> dict[str, Any]:
    """The object in a body, empty if it is none: vLLM says what is wrong."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _adapter(scope: Scope, content: dict[str, Any]) -> str | None:
    """The adapter that the header, the query or the body names, in this order; None is the base."""
    query = parse_qs(scope["query_string"].decode("latin-1")) if scope["path"] == _INVOCATIONS else {}
    headers = [value.decode("latin-1") for name, value in scope["headers"] if name == _ADAPTER_HEADER]
    names = [*headers, *query.get("adapter", ()), content.get("adapters"), content.get("model")]
    return next((name for name in names if isinstance(name, str) and name not in ("", SERVED_NAME)), None)


def _with_body(scope: Scope, body: bytes, headers: list[Header]) -> Scope:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    replaced = {name for name, _ in headers} | {b"transfer-encoding"}
    kept = [(name, value) for name, value in scope["headers"] if name not in replaced]
    return {**scope, "headers": [*kept, *headers]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then whatever the server says next, such as that the client has gone."""
    unsent = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> dict[str, Any]:
        message: dict[str, Any] = unsent.pop() if unsent else await receive()
        return message

    return replayed


def _start(media_type: bytes, length: int | None = None) -> dict[str, Any]:
    headers = [(b"content-type", media_type)]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
