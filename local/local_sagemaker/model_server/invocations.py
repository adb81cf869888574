"""The three forms of answers: OpenAI completions, OpenAI chat, and LMI's `generated_text`."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from local_sagemaker.model_server.scheduler import GeneratedToken, GenerationRequest
from local_sagemaker.model_server.text import TextCodec

_EVENTS = "text/event-stream"
_LINES = "application/jsonlines"

# [V] vLLM's default of `--max-logprobs`.
MOST_LIKELIEST = 20


def text_of(steps: Sequence[GeneratedToken]) -> str:
    """Return all the text of an answer."""
    return "".join(step.text for step in steps)


@dataclass(frozen=True, kw_only=True)
class OpenAiInvocation:
    """The common part of OpenAI's two forms; streams are server-sent events, or lines of JSON."""

    generation: GenerationRequest
    stream: bool
    codec: TextCodec
    model: str
    id: str
    created: int
    include_usage: bool
    media_type: str = _EVENTS

    def _event(self, content: dict[str, Any]) -> str:
        text = json.dumps(content, ensure_ascii=False)
        return f"{text}\n" if self.media_type == _LINES else f"data: {text}\n\n"

    def _choice(
        self, content: dict[str, Any], steps: Sequence[GeneratedToken], *, offset: int = 0
    ) -> dict[str, Any]:
        """Format the one choice of an answer, or of a part of it after `offset` characters."""
        likeliest = self.generation.likeliest
        scored = None
        if likeliest is not None and steps:
            scored = log_probabilities(steps, self.codec, likeliest=likeliest, offset=offset)
        return {
            "index": 0,
            **content,
            "logprobs": scored,
            "finish_reason": steps[-1].finish_reason if steps else None,
            "stop_reason": steps[-1].stopped_by if steps else None,
        }

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
        """Format each token, then the usage if requested, then the end mark."""
        count = offset = 0
        async for step in steps:
            yield self._event(self._envelope(kind, [self._choice(field(step.text), [step], offset=offset)]))
            count += 1
            offset += len(step.text)
        if self.include_usage:
            yield self._event(self._envelope(kind, []) | self._usage(count))
        # [V djl-serving, vllm_stream_output_formatter] LMI makes an empty line of OpenAI's mark.
        yield "\n" if self.media_type == _LINES else "data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True)
class CompletionInvocation(OpenAiInvocation):
    """`{"prompt": …}`, OpenAI's completions."""

    def whole(self, steps: Sequence[GeneratedToken]) -> dict[str, Any]:
        """Format a `text_completion`."""
        choices = [self._choice({"text": text_of(steps)}, steps)]
        return self._envelope("text_completion", choices) | self._usage(len(steps))

    def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format `text_completion` chunks."""
        return self._chunks("text_completion", steps, lambda text: {"text": text})


@dataclass(frozen=True, kw_only=True)
class ChatInvocation(OpenAiInvocation):
    """`{"messages": …}`, OpenAI's chat completions."""

    def whole(self, steps: Sequence[GeneratedToken]) -> dict[str, Any]:
        """Format a `chat.completion`."""
        message = {"role": "assistant", "content": text_of(steps)}
        choices = [self._choice({"message": message}, steps)]
        return self._envelope("chat.completion", choices) | self._usage(len(steps))

    async def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format `chat.completion.chunk` chunks, the first of which names the role."""
        kind = "chat.completion.chunk"
        opening = {"delta": {"role": "assistant", "content": ""}}
        yield self._event(self._envelope(kind, [self._choice(opening, [])]))
        async for chunk in self._chunks(kind, steps, lambda text: {"delta": {"content": text}}):
            yield chunk


@dataclass(frozen=True, kw_only=True)
class LmiInvocation:
    """`{"inputs": …, "parameters": …}`, LMI's own schema; streams are lines of JSON."""

    generation: GenerationRequest
    stream: bool
    codec: TextCodec
    details: bool
    prepended: str
    media_type: str = _LINES

    def whole(self, steps: Sequence[GeneratedToken]) -> dict[str, Any]:
        """Format `generated_text`, with details if requested."""
        content: dict[str, Any] = {"generated_text": self.prepended + text_of(steps)}
        if self.details:
            tokens = [self._token(step, self.codec.decode([step.token])) for step in steps]
            content["details"] = self._details(steps) | {"prefill": [], "tokens": tokens}
        return content

    async def events(self, steps: AsyncIterator[GeneratedToken]) -> AsyncIterator[str]:
        """Format a line for each token, the last of which has the whole text, then two empty lines."""
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
                content["generated_text"] = self.prepended + text_of(so_far)
                content["details"] = self._details(so_far) if self.details else None
            yield json.dumps(content, ensure_ascii=False) + "\n"
        # [V djl-serving, convert_completion_chunk_response_to_lmi_schema] Of vLLM's usage and end mark.
        yield "\n\n"

    def _details(self, steps: Sequence[GeneratedToken]) -> dict[str, Any]:
        return {
            "finish_reason": steps[-1].finish_reason,
            "seed": self.generation.sampling.seed,
            "generated_tokens": len(steps),
            "input_length": len(self.generation.prompt),
        }

    def _token(self, step: GeneratedToken, text: str) -> dict[str, Any]:
        return {"id": step.token, "text": text, "logprob": step.log_probability}


Invocation = CompletionInvocation | ChatInvocation | LmiInvocation
"""A checked request, which also formats its answer."""


def in_lines(invocation: Invocation) -> Invocation:
    """Return the same with a stream of lines of JSON."""
    return dataclasses.replace(invocation, media_type=_LINES)


def log_probabilities(
    steps: Sequence[GeneratedToken], codec: TextCodec, *, likeliest: int, offset: int
) -> dict[str, Any]:
    """Format parallel lists; `offset` is the length of the text before the first step.

    [V vLLM, `openai/completion/serving.py`] The chosen token comes before the likeliest ones.
    """
    tokens = [codec.decode([step.token]) for step in steps]
    offsets = list(accumulate(map(len, tokens[:-1]), initial=offset))
    return {
        "text_offset": offsets,
        "token_logprobs": [step.log_probability for step in steps],
        "tokens": tokens,
        "top_logprobs": [
            {codec.decode([token]): score for token, score in ranked(step)[: likeliest + 1]} for step in steps
        ],
    }


def ranked(step: GeneratedToken) -> list[tuple[int, float | None]]:
    """Return the chosen token, then the likeliest others."""
    others = [(token, score) for token, score in step.likeliest if token != step.token]
    return [(step.token, step.log_probability), *others]
