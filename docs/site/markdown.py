"""The few forms of Markdown that the generated pages have."""

import re
import textwrap
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table. A cell may have any text in one paragraph."""
    lines = [f"| {' | '.join(_cell(text) for text in row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def code(text: str) -> str:
    """Format a text as code within a line."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def block(text: str, language: str = "", *, reason: str = "") -> str:
    """Format a text as a block of code. `reason` says why the test of the documents does not run it."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    mark = f"<!-- not run: {reason} -->\n" if reason else ""
    return f"{mark}{fence}{language}\n{text.rstrip()}\n{fence}"


def wrapped(text: str, *, indent: str = "") -> str:
    """Wrap a paragraph at 100 columns."""
    return textwrap.fill(
        text,
        100,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def anchor(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")


def escaped(text: str) -> str:
    """Return a plain text so that Markdown takes no part of it for HTML."""
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
