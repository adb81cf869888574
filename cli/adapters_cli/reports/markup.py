"""Texts of anybody, made fit for HTML, XML, UTF-8 and Markdown, which GitHub and GitLab show as they are."""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

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


_LONGEST = 600
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
_MENTION = re.compile(r"@(?=\w)")


def plain(text: str) -> str:
    """Return a text on one line that Markdown shows as it is, and that calls nobody by @name."""
    shown = html.escape(_SPECIAL.sub(r"\\\1", _one_line(clean(text))), quote=False)
    return _MENTION.sub("@\N{ZERO WIDTH NON-JOINER}", shown)


def code(text: str) -> str:
    """Return a text as code on one line. Markdown reads what is between the tags, too."""
    return f"<code>{plain(text)}</code>"


def fenced(text: str) -> str:
    """Return a text as a block of code, which nothing in it can end."""
    shown = clean(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def folded(title: str, content: str) -> str:
    """Return Markdown that a click on the title shows."""
    return f"<details><summary>{_one_line(escaped(title))}</summary>\n\n{content}\n\n</details>"


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int, raw: Sequence[int] = ()
) -> str:
    """Return a table. The first `left` columns are aligned left; the cells of `raw` are Markdown already."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join(
        [
            line(plain(heading) for heading in headings),
            line("---" if column < left else "---:" for column in range(len(headings))),
            *(
                line(cell if column in raw else plain(cell) for column, cell in enumerate(row))
                for row in rows
            ),
        ]
    )


def _one_line(text: str) -> str:
    """Return a text without line ends, to which a carriage return alone belongs as well."""
    return re.sub(r"[\r\n]", " ", text)
