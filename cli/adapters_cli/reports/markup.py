"""HTML and SVG that cannot forget to escape a text."""

import html
import unicodedata

_UNSAFE_CATEGORIES = ("Cc", "Cs")


class Markup(str):
    """Text that is HTML already. Every other text is escaped where it enters an element."""

    __slots__ = ()


def element(name: str, /, *content: str | None, **attributes: str | float | bool | None) -> Markup:
    """Return an element with its content and attributes.

    In an attribute's name `_` stands for `-`, and a last one for nothing: `class_`, `aria_label`. An
    attribute that is None or False is left out, and True has no value.
    """
    written = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        written.append(attribute if value is True else f'{attribute}="{escaped(_attribute(value))}"')
    opening = f"<{' '.join(written)}>"
    if name in ("meta", "link", "input", "br"):
        return Markup(opening)
    return Markup(f"{opening}{joined(*content)}</{name}>")


def joined(*content: str | None) -> Markup:
    """Return contents one after the other, escaped unless they are markup."""
    return Markup(
        "".join(part if isinstance(part, Markup) else escaped(part) for part in content if part is not None)
    )


def escaped(text: str) -> Markup:
    """Return a text of anybody as HTML."""
    return Markup(html.escape(clean(text)))


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


def _attribute(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
