"""Log probabilities of an answer's tokens in OpenAI's two forms, with vLLM's order of the likeliest tokens.

[V vLLM, `openai/completion/serving.py` and `openai/chat_completion/serving.py`] The chosen token comes first.
Completions give it beside the requested number of likeliest tokens, and chat counts it among them.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from local_sagemaker.model_server.scheduler import GeneratedToken
from local_sagemaker.model_server.text import TextCodec

# [V] vLLM's default of `--max-logprobs`.
MOST_LIKELIEST = 20


def completion_log_probabilities(
    steps: Sequence[GeneratedToken], codec: TextCodec, *, likeliest: int, offset: int
) -> dict[str, Any]:
    """Format parallel lists; `offset` is the length of the text before the first step."""
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


def chat_log_probabilities(
    steps: Sequence[GeneratedToken], codec: TextCodec, *, likeliest: int
) -> dict[str, Any]:
    """Format an object for each token."""

    def entry(token: int, score: float | None) -> dict[str, Any]:
        text = codec.decode([token])
        return {"token": text, "logprob": score, "bytes": list(text.encode())}

    return {
        "content": [
            entry(step.token, step.log_probability)
            | {"top_logprobs": [entry(token, score) for token, score in ranked(step)[:likeliest]]}
            for step in steps
        ]
    }


def ranked(step: GeneratedToken) -> list[tuple[int, float | None]]:
    """Return the chosen token, then the likeliest others."""
    others = [(token, score) for token, score in step.likeliest if token != step.token]
    return [(step.token, step.log_probability), *others]
