"""Texts of anybody, made fit for HTML, XML and UTF-8."""

import html
import unicodedata

_UNSAFE_CATEGORIES = ("Cc", "Cs")


def escaped(text: str) -> str:
    """Return a text of anybody as HTML."""
    return html.escape(clean(text))


def clean(text: str) -> str:
    """Replace the characters that neither HTML, XML nor UTF-8 can carry. The length stays the same."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if (character not in "\t\n\r" and unicodedata.category(character) in _UNSAFE_CATEGORIES)
        or character in "\ufffe\uffff"
        else character
        for character in text
    )
