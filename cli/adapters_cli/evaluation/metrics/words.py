"""The words of a text in any script."""

import unicodedata
from functools import cache

_WITHOUT_SPACES = (
    *("BOPOMOFO", "CJK", "HENTAIGANA", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA", "KATAKANA-HIRAGANA"),
    *("KHMER", "LAO", "MYANMAR", "NEW", "TAI", "THAI"),
)
"""First words of the Unicode names of characters in scripts that put no space between words.

`NEW` is New Tai Lue.
"""
_ZERO_WIDTH_SPACE = "\u200b"


def words_of(text: str) -> list[str]:
    """Return the words of a text, for comparison: compatible forms (NFKC) and cases of letters are equal.

    - A word is letters, digits and the marks on them. Everything else separates words, as in rouge-score.
    - In a script without spaces between words each character with its marks is a word. So is each symbol
      such as an emoji.
    - On ASCII text the words are those of rouge-score without stemmer.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words: list[str] = []
    before = "separator"
    for character in text:
        kind = _kind(character)
        if kind == "joiner":
            continue
        if kind == "mark":
            # On a letter or a word of its own. A mark on nothing is no word: NFKC makes one of a cedilla.
            kind = before
            joined = before != "separator"
        else:
            joined = kind == before == "letter"
        if joined:
            words[-1] += character
        elif kind != "separator":
            words.append(character)
        before = kind
    return words


@cache
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "M":
        return "mark"
    if category == "Cf" and character != _ZERO_WIDTH_SPACE:
        return "joiner"  # soft hyphens, direction marks, and joiners inside words of Persian and Hindi
    if category == "So":
        return "alone"
    if category[0] not in "LN":
        return "separator"
    script, _, _ = unicodedata.name(character, "").partition(" ")
    return "alone" if script in _WITHOUT_SPACES else "letter"
