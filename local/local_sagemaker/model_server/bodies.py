"""The three forms of requests and answers: OpenAI completions, OpenAI chat, LMI `inputs`/`parameters`.

The key `prompt`, `messages` or `inputs` decides the form, as in LMI's vLLM handler (djl-serving,
`lmi_vllm/vllm_async_service.py`). Parameters that would change the answer and are not implemented are
refused.
"""

import json
import math
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.model_server.errors import BadRequestError
from local_sagemaker.model_server.sampling import Sampling
from local_sagemaker.model_server.scheduler import GeneratedToken, GenerationRequest
from local_sagemaker.model_server.text import TextCodec

# A name of the base model in a body's `model`, beside the one in its config.json (LMI's default served name).
SERVED_NAME = "lmi"

DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's
DEFAULT_LMI_TOKENS = 30

# Parameters that would change the answer and are not implemented, with the values that change nothing.
NEUTRAL_VALUES: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "decoder_input_details": (None, False),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "min_p": (None, 0),
    "n": (None, 1),
    "num_beams": (None, 1),
    "presence_penalty": (None, 0),
    "prompt_logprobs": (None,),
    "repetition_penalty": (None, 1),
    "response_format": (None, {"type": "text"}),
    "suffix": (None, ""),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "top_n_tokens": (None, 1),
    "truncate": (None,),
    "typical_p": (None, 1),
}


# How much of a wrong value an error quotes.
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """The parts of the base model that parsing a body needs."""

    name: str
    context: int
    codec: TextCodec
    default_sampling: Sampling

    @property
    def names(self) -> tuple[str, str]:
        """The names of the base model in a body's `model`."""
        return SERVED_NAME, self.name


def default_sampling(directory: Path) -> Sampling:
    """Read the model's own defaults from `generation_config.json`, as vLLM does."""
    path = directory / "generation_config.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    given = {key: content[key] for key in ("temperature", "top_p", "top_k") if content.get(key) is not None}
    return Sampling(**given)


class Fields:
    """Typed access to the parameters of a body; errors quote wrong values."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        for name, neutral in NEUTRAL_VALUES.items():
            if name in content and content[name] not in neutral:
                raise BadRequestError(f"'{name}' is not implemented here, got {quoted(content[name])}")

    def number(self, name: str, default: float, *, least: float, most: float | None = None) -> float:
        """Return a number within bounds."""
        value = self._content.get(name)
        if value is None:
            return default
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or not least <= value <= (math.inf if most is None else most):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise BadRequestError(f"'{name}' should be a number {bounds}, got {quoted(value)}")
        return float(value)

    def integer(self, name: str, default: int | None, *, least: int) -> int | None:
        """Return an integer of at least some value."""
        value = self._content.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise BadRequestError(f"'{name}' should be an integer of at least {least}, got {quoted(value)}")
        return value

    def boolean(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._content.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadRequestError(f"'{name}' should be true or false, got {quoted(value)}")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """Return a string or a list of strings as a tuple, without empty ones."""
        value = self._content.get(name)
        if value is None:
            return ()
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(entry, str) and entry for entry in values):
            raise BadRequestError(f"'{name}' should be a string or a list of them, got {quoted(value)}")
        return tuple(values)

    def sampling(self, defaults: Sampling) -> Sampling:
        """Return the sampling settings."""
        top_k = self.integer("top_k", defaults.top_k, least=-1) or 0
        return Sampling(
            temperature=self.number("temperature", defaults.temperature, least=0),
            top_p=self.number("top_p", defaults.top_p, least=0, most=1),
            top_k=max(top_k, 0),  # for vLLM, -1 means all
            seed=self.integer("seed", None, least=0),
        )


@dataclass(frozen=True, kw_only=True)
class WholeAnswer:
    """A whole answer."""

    steps: Sequence[GeneratedToken]

    @property
    def text(self) -> str:
        """All the text."""
        return "".join(step.text for step in self.steps)

    @property
    def last(self) -> GeneratedToken:
        """The step that ended it."""
        return self.steps[-1]


@dataclass(frozen=True, kw_only=True)
class Invocation(ABC):
    """A checked request, which also formats its answer."""

    generation: GenerationRequest
    stream: bool
    media_type: str

    @abstractmethod
    def whole(self, answer: WholeAnswer) -> dict[str, Any]:
        """Format a whole answer."""

    @abstractmethod
    def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format an answer as a stream."""


@dataclass(frozen=True, kw_only=True)
class OpenAiInvocation(Invocation):
    """The common part of OpenAI's two forms; streams are server-sent events."""

    model: str
    id: str
    created: int
    include_usage: bool
    media_type: str = "text/event-stream"

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def _usage(self, completion: int) -> dict[str, Any]:
        prompt = len(self.generation.prompt)
        counts = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        return {"usage": counts}

    async def _chunks(
        self, kind: str, steps: AsyncIterator[GeneratedToken], field: Callable[[str], dict[str, Any]]
    ) -> AsyncIterator[str]:
        """Format each token, then the usage if requested, then OpenAI's end mark."""
        count = 0
        async for step in steps:
            count += 1
            yield event(self._envelope(kind, [choice(field(step.text), step)]))
        if self.include_usage:
            yield event(self._envelope(kind, []) | self._usage(count))
        yield "data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True)
class CompletionInvocation(OpenAiInvocation):
    """`{"prompt": …}`, OpenAI's completions."""

    def whole(self, answer: WholeAnswer) -> dict[str, Any]:
        """Format a `text_completion`."""
        choices = [choice({"text": answer.text}, answer.last)]
        return self._envelope("text_completion", choices) | self._usage(len(answer.steps))

    def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format `text_completion` chunks."""
        return self._chunks("text_completion", steps, lambda text: {"text": text})


@dataclass(frozen=True, kw_only=True)
class ChatInvocation(OpenAiInvocation):
    """`{"messages": …}`, OpenAI's chat completions."""

    def whole(self, answer: WholeAnswer) -> dict[str, Any]:
        """Format a `chat.completion`."""
        message = {"role": "assistant", "content": answer.text}
        choices = [choice({"message": message}, answer.last)]
        return self._envelope("chat.completion", choices) | self._usage(len(answer.steps))

    async def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format `chat.completion.chunk` chunks, the first of which names the role."""
        kind = "chat.completion.chunk"
        opening = {"delta": {"role": "assistant", "content": ""}}
        yield event(self._envelope(kind, [choice(opening, None)]))
        async for chunk in self._chunks(kind, steps, lambda text: {"delta": {"content": text}}):
            yield chunk


@dataclass(frozen=True, kw_only=True)
class LmiInvocation(Invocation):
    """`{"inputs": …, "parameters": …}`, LMI's own schema; streams are lines of JSON."""

    codec: TextCodec
    details: bool
    prepended: str
    media_type: str = "application/jsonlines"

    def whole(self, answer: WholeAnswer) -> dict[str, Any]:
        """Format `generated_text`, with details if requested."""
        content: dict[str, Any] = {"generated_text": self.prepended + answer.text}
        if self.details:
            tokens = [self._token(step, self.codec.decode([step.token])) for step in answer.steps]
            content["details"] = self._details(answer) | {"prefill": [], "tokens": tokens}
        return content

    async def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format a line for each token; the last one has the whole text."""
        so_far: list[GeneratedToken] = []
        async for step in steps:
            so_far.append(step)
            content = {
                "index": 0,
                "token": self._token(step, step.text),
                "generated_text": None,
                "details": None,
            }
            if step.finish_reason:
                answer = WholeAnswer(steps=so_far)
                content["generated_text"] = self.prepended + answer.text
                content["details"] = self._details(answer) if self.details else None
            yield json.dumps(content, ensure_ascii=False) + "\n"

    def _details(self, answer: WholeAnswer) -> dict[str, Any]:
        return {
            "finish_reason": answer.last.finish_reason,
            "seed": self.generation.sampling.seed,
            "generated_tokens": len(answer.steps),
            "input_length": len(self.generation.prompt),
        }

    def _token(self, step: GeneratedToken, text: str) -> dict[str, Any]:
        return {"id": step.token, "text": text, "logprob": step.log_probability}


def choice(content: dict[str, Any], step: GeneratedToken | None) -> dict[str, Any]:
    """Format the one choice of an OpenAI answer, as of a step."""
    return {
        "index": 0,
        **content,
        "logprobs": None,
        "finish_reason": step and step.finish_reason,
        "stop_reason": step and step.stopped_by,
    }


def quoted(value: object) -> str:
    """Return a wrong value as JSON for an error, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def event(content: dict[str, Any]) -> str:
    """Format one server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def parse_invocation(
    content: dict[str, Any], served: ServedModel, *, forms: Sequence[str], adapter: str | None
) -> Invocation:
    """Check a body of one of the forms for an adapter, None for the base, and return what to generate."""
    form = next((form for form in forms if form in content), None)
    if form is None:
        raise BadRequestError(f"the body should have {' or '.join(map(repr, forms))}")
    parse = {"prompt": parse_completion, "inputs": parse_lmi, "messages": parse_chat}[form]
    return parse(content, served, adapter)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object."""
    try:
        content = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadRequestError("the body should be a JSON object")
    return content


def name_in_body(content: Mapping[str, Any], served: ServedModel) -> str | None:
    """Return the adapter that `adapters` or `model` names; None is the base."""
    return name_in(content, "adapters", served) or name_in(content, "model", served)


def name_in(content: Mapping[str, Any], key: str, served: ServedModel) -> str | None:
    """Return the adapter that one key of a body names; None is the base."""
    name = content.get(key)
    if name is not None and not isinstance(name, str):
        raise BadRequestError(f"'{key}' should be a string, got {quoted(name)}")
    return name if name and name not in served.names else None


def parse_completion(
    content: Mapping[str, Any], served: ServedModel, adapter: str | None
) -> CompletionInvocation:
    """Check OpenAI's completions body."""
    if not isinstance(content["prompt"], str):
        raise BadRequestError(f"'prompt' should be a string, got {quoted(content['prompt'])}")
    fields = Fields(content)
    prompt = served.codec.encode(content["prompt"])
    return CompletionInvocation(
        generation=generation_request(
            fields,
            served,
            prompt,
            max_tokens=fields.integer("max_tokens", None, least=1),
            default_tokens=DEFAULT_COMPLETION_TOKENS,
            adapter=adapter,
        ),
        stream=fields.boolean("stream", False),
        model=adapter or served.name,
        id=f"cmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        include_usage=include_usage(content),
    )


def parse_chat(content: Mapping[str, Any], served: ServedModel, adapter: str | None) -> ChatInvocation:
    """Check OpenAI's chat body."""
    fields = Fields(content)
    prompt = served.codec.encode_chat(parse_messages(content["messages"]))
    max_tokens = fields.integer("max_completion_tokens", None, least=1)
    return ChatInvocation(
        generation=generation_request(
            fields,
            served,
            prompt,
            max_tokens=max_tokens or fields.integer("max_tokens", None, least=1),
            default_tokens=served.context,
            adapter=adapter,
        ),
        stream=fields.boolean("stream", False),
        model=adapter or served.name,
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        include_usage=include_usage(content),
    )


def parse_lmi(content: Mapping[str, Any], served: ServedModel, adapter: str | None) -> LmiInvocation:
    """Check LMI's body."""
    text, parameters = content["inputs"], content.get("parameters") or {}
    if not isinstance(text, str):
        raise BadRequestError(f"'inputs' should be a string, got {quoted(text)}")
    if not isinstance(parameters, dict):
        raise BadRequestError(f"'parameters' should be an object, got {quoted(parameters)}")
    if "stop" not in parameters and "stop_sequences" in parameters:
        parameters = parameters | {"stop": parameters["stop_sequences"]}
    if parameters.get("do_sample") is False:
        parameters = parameters | {"temperature": 0}
    fields = Fields(parameters)
    return LmiInvocation(
        generation=generation_request(
            fields,
            served,
            served.codec.encode(text),
            max_tokens=fields.integer("max_new_tokens", None, least=1),
            default_tokens=DEFAULT_LMI_TOKENS,
            adapter=adapter,
            ignore_end=fields.boolean("ignore_eos_token", False),
        ),
        stream=Fields(content).boolean("stream", False),
        codec=served.codec,
        details=fields.boolean("details", False),
        prepended=text if fields.boolean("return_full_text", False) else "",
    )


def parse_messages(messages: object) -> list[dict[str, Any]]:
    """Check chat messages; text parts of a message are joined."""
    if not isinstance(messages, list) or not messages:
        raise BadRequestError(f"'messages' should be a list of messages, got {quoted(messages)}")
    checked = []
    for position, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError(f"'messages[{position}]' should be an object with a 'role'")
        content = message.get("content")
        if isinstance(content, list) and all(
            isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
            for part in content
        ):
            content = "".join(part["text"] for part in content)
        if not isinstance(content, str):
            raise BadRequestError(f"'messages[{position}].content' should be text, got {quoted(content)}")
        checked.append({**message, "content": content})
    return checked


def include_usage(content: Mapping[str, Any]) -> bool:
    """Whether a stream ends with usage counts."""
    options = content.get("stream_options") or {}
    if not isinstance(options, dict):
        raise BadRequestError(f"'stream_options' should be an object, got {quoted(options)}")
    return Fields(options).boolean("include_usage", False)


def generation_request(
    fields: Fields,
    served: ServedModel,
    prompt: list[int],
    *,
    max_tokens: int | None,
    default_tokens: int,
    adapter: str | None,
    ignore_end: bool | None = None,
) -> GenerationRequest:
    """Return the request; BadRequestError if the prompt and the answer exceed the context."""
    if not prompt:
        raise BadRequestError("the prompt is empty")
    room = served.context - len(prompt)
    if room < 1 or (max_tokens is not None and max_tokens > room):
        wanted = "" if max_tokens is None else f" and {max_tokens} tokens to generate"
        raise BadRequestError(
            f"the context length is {served.context} tokens, got {len(prompt)} in the prompt{wanted}"
        )
    return GenerationRequest(
        prompt=prompt,
        max_tokens=min(default_tokens, room) if max_tokens is None else max_tokens,
        sampling=fields.sampling(served.default_sampling),
        stop=fields.strings("stop"),
        ignore_end=fields.boolean("ignore_eos", False) if ignore_end is None else ignore_end,
        adapter=adapter,
    )
