"""Requests for generated text in the forms that containers take, and answers with tokens and seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, str]
"""One message of a chat: `role` and `content`."""


@dataclass(frozen=True, kw_only=True)
class TextRequest:
    """A prompt, or messages for the container's chat template, and the limits of the answer."""

    prompt: str = ""
    messages: Sequence[Message] = ()
    max_tokens: int
    temperature: float = 0
    stop: Sequence[str] = ()

    def bodies(self, *, stream: bool = False) -> list[dict[str, Any]]:
        """Return the JSON bodies to try, one after the other, until the container takes one.

        OpenAI's completions and chat completions are understood by vLLM and by LMI since its asynchronous
        service. Earlier LMI releases know LMI's own schema alone, which has no messages.
        """
        stop = list(self.stop)
        limits = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        streamed = {"stream": True} if stream else {}
        openai = {**limits, **({"stop": stop} if stop else {}), **streamed}
        if self.messages:
            return [{"messages": [dict(message) for message in self.messages], **openai}]
        parameters = {"max_new_tokens": self.max_tokens, "temperature": self.temperature, "details": True}
        lmi = {**parameters, **({"stop_sequences": stop} if stop else {})}
        return [{"prompt": self.prompt, **openai}, {"inputs": self.prompt, "parameters": lmi, **streamed}]


@dataclass(frozen=True, kw_only=True)
class GeneratedText:
    """Generated text.

    seconds:
        From the request to the whole answer.
    prompt_tokens, completion_tokens:
        As the container counts them; None where it does not.
    """

    text: str
    seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def text_of_answer(answer: object, seconds: float) -> GeneratedText | None:
    """Return the generated text in a container's answer, in any of its forms; None if there is none."""
    match answer:
        case {"choices": [{"text": str(text)}, *_]} | {"choices": [{"message": {"content": str(text)}}, *_]}:
            usage = answer.get("usage") if isinstance(answer, Mapping) else None
            return GeneratedText(
                text=text,
                seconds=seconds,
                prompt_tokens=_count(usage, "prompt_tokens"),
                completion_tokens=_count(usage, "completion_tokens"),
            )
        case {"generated_text": str(text), **others} | [{"generated_text": str(text), **others}, *_]:
            details = others.get("details")
            return GeneratedText(
                text=text,
                seconds=seconds,
                prompt_tokens=_count(details, "input_length"),
                completion_tokens=_count(details, "generated_tokens"),
            )
    return None


def _count(counts: object, name: str) -> int | None:
    found = counts.get(name) if isinstance(counts, Mapping) else None
    return found if isinstance(found, int) else None
