"""The use of a base model's adapters by day: requests and tokens."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

HOUR = 3600.0
DAY = 86400.0
"""Seconds of a day. Days begin at midnight in UTC."""

_GROUPS = {"adapter", "prompt", "completion"}


@dataclass(frozen=True, kw_only=True)
class TokenPattern:
    """How a container tells the tokens of a request in its log.

    pattern:
        A regular expression of the whole line, with the groups `adapter`, `prompt` and `completion`.
    text:
        A text of each such line, which CloudWatch looks for.
    """

    pattern: str
    text: str

    @classmethod
    def of(cls, pattern: str, text: str = "", *, setting: str = "token_pattern") -> "TokenPattern":
        """Return the pattern. Raises ValueError, naming `setting`, for one that lacks a group."""
        try:
            groups = re.compile(pattern).groupindex.keys()
        except re.error as error:
            raise ValueError(
                f"'{setting}' should be a regular expression, got {pattern!r}: {error}"
            ) from None
        if lacking := sorted(_GROUPS - groups):
            raise ValueError(
                f"'{setting}' should have the groups (?P<{'>…) and (?P<'.join(lacking)}>…), got {pattern!r}"
            )
        return cls(pattern=pattern, text=text)


ANSWERED = TokenPattern(
    pattern=r"INFO [\w.]+: answered adapter=(?P<adapter>[^\s.]*)(?:\.\S*)?"
    r" prompt_tokens=(?P<prompt>\d+) completion_tokens=(?P<completion>\d+)",
    text="answered adapter",
)
"""The line of the embedded cloud's engine. LMI and vLLM print none unless they are made to.

After an update, the engine's name of an adapter is its component's with a number: `acme.2`.
"""


@dataclass(frozen=True, kw_only=True)
class CountedTokens:
    """The tokens of one request to a component, at a time in seconds since 1970."""

    at: float
    component: str
    prompt: int
    completion: int


@dataclass
class Usage:
    """The use of one adapter, of one tag or of all."""

    requests: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: "Usage") -> None:
        """Add another use."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens


Table = dict[str, dict[str, Usage]]
"""Usage by day, as ISO 8601 writes it in UTC, and by component."""


def new_table() -> Table:
    """Return a table that has an empty use for every day and component."""
    return defaultdict(lambda: defaultdict(Usage))


def day_of(at: float) -> str:
    """Return the day of a time in seconds since 1970."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def grouped(table: Table, key_of: Mapping[str, str]) -> dict[str, dict[str, Usage]]:
    """Return the use by day and by the key of each component, such as its name or the value of a tag."""
    return {day: by_key(table[day], key_of) for day in sorted(table)}


def by_key(used: Mapping[str, Usage], key_of: Mapping[str, str]) -> dict[str, Usage]:
    """Return the use by the key of each component. A component without a key is its own."""
    found: dict[str, Usage] = {}
    for component, usage in used.items():
        found.setdefault(key_of.get(component, component), Usage()).add(usage)
    return found


def summed(days: Iterable[Mapping[str, Usage]]) -> dict[str, Usage]:
    """Return the use of all days by key, the largest first."""
    found: dict[str, Usage] = {}
    for day in days:
        for key, usage in day.items():
            found.setdefault(key, Usage()).add(usage)
    order = sorted(found, key=lambda key: (-found[key].tokens, -found[key].requests, key))
    return {key: found[key] for key in order}
