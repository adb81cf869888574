"""The three forms of requests: OpenAI completions, OpenAI chat, and LMI's `inputs` with `parameters`.

The key `prompt`, `messages` or `inputs` decides the form, as in LMI's vLLM handler (djl-serving,
`lmi_vllm/vllm_async_service.py`). Parameters that would change the answer and are not implemented are
refused.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local_sagemaker.model_server.errors import BadRequestError
from local_sagemaker.model_server.invocations import (
    MOST_LIKELIEST,
    ChatInvocation,
    CompletionInvocation,
    Invocation,
    LmiInvocation,
)
from local_sagemaker.model_server.parameters import Parameters, quoted
from local_sagemaker.model_server.scheduler import GenerationRequest
from local_sagemaker.model_server.served_model import ServedModel

DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's
DEFAULT_LMI_TOKENS = 30


def parse_invocation(
    content: dict[str, Any], served: ServedModel, *, forms: Sequence[str], adapter: str | None
) -> Invocation:
    """Check a body of one of the forms for an adapter, None for the base, and return what to generate."""
    form = next((form for form in forms if form in content), None)
    if form is None:
        raise BadRequestError(
            f"the body should have {' or '.join(', '.join(map(repr, forms)).rsplit(', ', 1))}"
        )
    parsers: Mapping[str, Callable[..., Invocation]] = {
        "prompt": parse_completion,
        "inputs": parse_lmi,
        "messages": parse_chat,
    }
    return parsers[form](content, served, adapter)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadRequestError("the body should be a JSON object")
    return content


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
    fields = Parameters(content)
    prompt = served.codec.encode(content["prompt"])
    return CompletionInvocation(
        generation=generation_request(
            fields,
            served,
            prompt,
            max_tokens=fields.integer("max_tokens", None, least=1),
            default_tokens=DEFAULT_COMPLETION_TOKENS,
            likeliest=fields.integer("logprobs", None, least=0, most=MOST_LIKELIEST),
            adapter=adapter,
        ),
        stream=fields.boolean("stream", False),
        codec=served.codec,
        model=adapter or served.name,
        id=f"cmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        include_usage=include_usage(content),
    )


def parse_chat(content: Mapping[str, Any], served: ServedModel, adapter: str | None) -> ChatInvocation:
    """Check OpenAI's chat body."""
    fields = Parameters(content)
    if fields.boolean("logprobs", False):
        raise BadRequestError("'logprobs' of a chat is not implemented here, got true")
    prompt = served.codec.encode_chat(parse_messages(content["messages"]))
    max_tokens = fields.integer("max_completion_tokens", None, least=1)
    return ChatInvocation(
        generation=generation_request(
            fields,
            served,
            prompt,
            max_tokens=max_tokens or fields.integer("max_tokens", None, least=1),
            default_tokens=served.context,
            likeliest=None,
            adapter=adapter,
        ),
        stream=fields.boolean("stream", False),
        codec=served.codec,
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
    fields = Parameters(parameters)
    details, stream = fields.boolean("details", False), Parameters(content).boolean("stream", False)
    return LmiInvocation(
        generation=generation_request(
            fields,
            served,
            served.codec.encode(text),
            max_tokens=fields.integer("max_new_tokens", None, least=1),
            default_tokens=DEFAULT_LMI_TOKENS,
            # Details and the lines of a stream have the log probabilities of the chosen tokens.
            likeliest=0 if details or stream else None,
            adapter=adapter,
            ignore_end=fields.boolean("ignore_eos_token", False),
        ),
        stream=stream,
        codec=served.codec,
        details=details,
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
    return Parameters(options).boolean("include_usage", False)


def generation_request(
    fields: Parameters,
    served: ServedModel,
    prompt: list[int],
    *,
    max_tokens: int | None,
    default_tokens: int,
    likeliest: int | None,
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
        likeliest=likeliest,
        adapter=adapter,
    )
