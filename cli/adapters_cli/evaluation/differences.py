"""What differs between two texts, word by word, in any script."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby, takewhile
from typing import Literal

Kind = Literal["same", "removed", "added"]

_MOST_TOKENS = 4_000
"""Two longer middles are shown as replaced: to align them would take seconds."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese put no space between words: each character is compared."""

_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


@dataclass(frozen=True)
class Piece:
    """A part of two texts.

    The left text is the pieces that are the same or removed; the right text, those the same or added.
    """

    kind: Kind
    text: str


def differences(left: str, right: str) -> list[Piece]:
    """Return the pieces of two texts in order: the same, removed from the left, added by the right."""
    before, after = tokens(left), tokens(right)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    rest = min(len(before), len(after)) - start
    backwards = zip(reversed(before), reversed(after), strict=False)
    end = min(rest, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], backwards)))
    pieces = [
        Piece("same", "".join(before[:start])),
        *_aligned(before[start : len(before) - end], after[start : len(after) - end]),
        Piece("same", "".join(before[len(before) - end :])),
    ]
    return list(_merged(pieces))


def tokens(text: str) -> list[str]:
    """Split a text into words, spaces and single signs. Nothing is lost, and no accent leaves its letter."""
    parts: list[str] = []
    previous = ""
    for character in text:
        sort = _sort(character)
        joined = bool(parts) and parts[-1][-1] == _JOINERS[0]
        if parts and (sort == "mark" or joined or (sort == previous and sort in ("word", "space"))):
            parts[-1] += character
        else:
            parts.append(character)
        if sort != "mark":
            previous = sort
    return parts


@lru_cache(maxsize=4_096)
def _sort(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "M" or character in _JOINERS or (category == "Sk" and character > "\N{DELETE}"):
        return "mark"
    if character.isspace():
        return "space"
    if category[0] in "LN":
        return "single" if _UNSPACED.match(character) else "word"
    return "sign"


def _aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[Piece]:
    if len(before) > _MOST_TOKENS or len(after) > _MOST_TOKENS:
        yield Piece("removed", "".join(before))
        yield Piece("added", "".join(after))
        return
    matcher = SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > 1_000)
    for kind, i, j, k, m in matcher.get_opcodes():
        # A space or a comma between two changed words is no agreement.
        if kind == "equal" and any(_sort(token[0]) in ("word", "single") for token in before[i:j]):
            yield Piece("same", "".join(before[i:j]))
        else:
            yield Piece("removed", "".join(before[i:j]))
            yield Piece("added", "".join(after[k:m]))


def _merged(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Yield the pieces with neighbours of a kind as one, removed before added, and none empty."""
    for is_same, run in groupby((p for p in pieces if p.text), key=lambda piece: piece.kind == "same"):
        parts = list(run)
        kinds: tuple[Kind, ...] = ("same",) if is_same else ("removed", "added")
        for kind in kinds:
            if text := "".join(part.text for part in parts if part.kind == kind):
                yield Piece(kind, text)
