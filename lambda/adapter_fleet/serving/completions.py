"""Prompts as containers take them, and the text that they answer with.

OpenAI's completions are understood by vLLM and by LMI since its asynchronous service. Earlier LMI releases
know LMI's own schema alone (docs.djl.ai, "LMI handlers inference API schema").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

NEAR_TIE = 0.25
"""Two tokens whose log probabilities differ by less may change places. Logits in bfloat16 between 16 and 32
have steps of 0.125, so that the same weights may choose either one on another batch."""

_TOP_TOKENS = 2


class PromptForm(Enum):
    """The forms of a prompt's body, in the order in which they are tried."""

    WITH_LOGPROBS = "completions with log probabilities"
    COMPLETIONS = "completions"
    LMI = "LMI's own schema"


@dataclass(frozen=True, kw_only=True)
class PromptRequest:
    """A prompt and the most tokens of its answer, which is asked for at temperature 0."""

    prompt: str
    max_tokens: int

    def body(self, form: PromptForm = PromptForm.COMPLETIONS) -> dict[str, Any]:
        """Return the request's JSON body."""
        if form is PromptForm.LMI:
            parameters = {"max_new_tokens": self.max_tokens, "temperature": 0}
            return {"inputs": self.prompt, "parameters": parameters}
        logprobs = {"logprobs": _TOP_TOKENS} if form is PromptForm.WITH_LOGPROBS else {}
        return {"prompt": self.prompt, "max_tokens": self.max_tokens, "temperature": 0, **logprobs}

    @classmethod
    def of_body(cls, body: Mapping[str, object]) -> "PromptRequest | None":
        """Return the prompt of a body that `body` makes; None for any other body."""
        match body:
            case {"prompt": str(prompt), "max_tokens": int(most)}:
                found = cls(prompt=prompt, max_tokens=most)
                return found if body == found.body() else None
        return None


@dataclass(frozen=True, kw_only=True)
class Completion:
    """The generated text, and where the container gives them, the likeliest tokens at each position.

    tokens:
        The text of each generated token, its log probability, and those of the likeliest ones.
    """

    text: str
    tokens: Sequence[tuple[str, float, Mapping[str, float]]] = ()

    def begins_with(self, expected: str) -> bool:
        """Return True if this is the expected text, up to a near tie.

        White space in front does not count, as containers differ in it.
        """
        expected = expected.lstrip()
        return self.text.lstrip().startswith(expected) or self._leaves_at_near_tie(expected)

    def _leaves_at_near_tie(self, expected: str) -> bool:
        """Return True if the first token that differs was nearly as likely as the expected one."""
        rest = expected
        for position, (token, likelihood, others) in enumerate(self.tokens):
            chosen, *alternatives = (text if position else text.lstrip() for text in (token, *others))
            if rest.startswith(chosen):
                rest = rest[len(chosen) :]
                continue
            return any(
                text and (rest.startswith(text) or text.startswith(rest)) and likelihood - other < NEAR_TIE
                for text, other in zip(alternatives, others.values(), strict=True)
            )
        return False


def completion_of(answer: object) -> Completion | None:
    """Return the completion in a container's answer, in either schema; None if there is none."""
    match answer:
        case {"choices": [{"text": str(text), **choice}, *_]}:
            return Completion(text=text, tokens=_tokens(choice.get("logprobs")))
        case {"generated_text": str(text)} | [{"generated_text": str(text)}, *_]:
            return Completion(text=text)
    return None


def _tokens(logprobs: object) -> tuple[tuple[str, float, Mapping[str, float]], ...]:
    """Return the tokens of OpenAI's `logprobs`; none where it has another form."""
    match logprobs:
        case {"tokens": [*tokens], "token_logprobs": [*own], "top_logprobs": [*top]}:
            found = tuple(zip(tokens, own, top, strict=False))
            if all(
                isinstance(token, str) and isinstance(at, int | float) and isinstance(others, Mapping)
                for token, at, others in found
            ):
                return found
    return ()
