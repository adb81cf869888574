"""The parameters of a body: typed access, and errors that quote wrong values."""

import json
import math
from collections.abc import Mapping
from typing import Any

from local_sagemaker.model_server.errors import BadRequestError
from local_sagemaker.model_server.sampling import Sampling

# Parameters that would change the answer and are not implemented, with the values that change nothing.
NEUTRAL_VALUES: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "decoder_input_details": (None, False),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
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
    "top_logprobs": (None, 0),
    "top_n_tokens": (None, 1),
    "truncate": (None,),
    "typical_p": (None, 1),
}


# How much of a wrong value an error quotes.
SHOWN_CHARACTERS = 80


class Parameters:
    """Typed access to the parameters of a body; errors quote wrong values."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        for name, neutral in NEUTRAL_VALUES.items():
            if name in content and content[name] not in neutral:
                raise BadRequestError(f"'{name}' is not implemented here, got {quoted(content[name])}")

    def number(self, name: str, default: float, *, least: float, most: float | None = None) -> float:
        """Return a number within bounds."""
        value = self._bounded(name, int | float, "a number", least, most)
        return default if value is None else float(value)

    def integer(self, name: str, default: int | None, *, least: int, most: int | None = None) -> int | None:
        """Return an integer within bounds."""
        value = self._bounded(name, int, "an integer", least, most)
        return default if value is None else int(value)

    def _bounded(self, name: str, kind: Any, wanted: str, least: float, most: float | None) -> Any:
        value = self._content.get(name)
        is_of_kind = isinstance(value, kind) and not isinstance(value, bool)
        if value is not None and not (is_of_kind and least <= value <= (math.inf if most is None else most)):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise BadRequestError(f"'{name}' should be {wanted} {bounds}, got {quoted(value)}")
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


def quoted(value: object) -> str:
    """Return a wrong value as JSON for an error, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
