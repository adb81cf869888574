"""The project's packages as griffe reads them, and their docstrings as Markdown.

A docstring has paragraphs, entries (`name:` or `one, other:`, with an indented text) and `Example::` blocks.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import griffe

from docs.site.markdown import block, wrapped
from docs.site.reference.since import if_newer

_ROOT = Path(__file__).parents[3]
_PACKAGES = ("adapter_fleet", "adapter_rules", "multi_adapter_inference", "adapters_cli", "local_sagemaker")
_ENTRY = re.compile(r"[a-z_]\w*(?:, [a-z_]\w*)*:")
_DOCUMENT = re.compile(r"\bdocs/([\w/.-]+\.md)\b")
_NAME = re.compile(r"(?<![\[`])`([A-Za-z]\w*)`(?!`)")

Links = Callable[[str], str | None]
"""The address of a public name, if it has one."""


def load(package: str, root: Path = _ROOT) -> griffe.Module:
    """Return a package of a checkout."""
    found = _loader(root).modules_collection[package]
    assert isinstance(found, griffe.Module)
    return found


def docstring(found: griffe.Object | griffe.Alias) -> str:
    """Return the docstring of an object, which should have one."""
    assert found.docstring is not None, f"{found.path} should have a docstring, got none"
    return found.docstring.value


@cache
def _loader(root: Path) -> griffe.GriffeLoader:
    roots = [root / name for name in ("constructs", "lambda", "rules", "cli", "local")]
    loader = griffe.GriffeLoader(search_paths=roots)
    for package in _PACKAGES:
        loader.load(package)
    loader.resolve_aliases()
    return loader


def to_markdown(docstring: str, owner: str, *, links: Links, root: str) -> str:
    """Return a docstring as Markdown.

    owner:
        The class, or its method, whose docstring it is.
    links:
        The addresses of names that stand alone in code.
    root:
        The way from the page to the folder of the documents, such as `../../`.
    """
    return "\n\n".join(_parts(docstring.splitlines(), owner, links, root))


def linked(text: str, *, links: Links, root: str) -> str:
    """Return a text with links to the names and documents that it mentions."""

    def to_name(match: re.Match[str]) -> str:
        address = links(match[1])
        return match[0] if address is None else f"[{match[0]}]({address})"

    def to_page(match: re.Match[str]) -> str:
        return f"[{(_ROOT / match[0]).read_text().splitlines()[0][2:]}]({root}{match[1]})"

    return _DOCUMENT.sub(to_page, _NAME.sub(to_name, text))


def _parts(lines: list[str], owner: str, links: Links, root: str) -> Iterator[str]:
    while lines:
        line = lines.pop(0)
        if not line.strip():
            continue
        if line.endswith("::"):
            yield block(_indented(lines), "python")
        elif _ENTRY.fullmatch(line):
            entries = [_entry(line, lines, owner, links, root)]
            while lines and _ENTRY.fullmatch(lines[0]):
                entries.append(_entry(lines.pop(0), lines, owner, links, root))
            yield "\n".join(entries)
        else:
            paragraph = [line]
            while lines and lines[0].strip():
                paragraph.append(lines.pop(0))
            yield _paragraph(paragraph, links, root)


def _entry(line: str, lines: list[str], owner: str, links: Links, root: str) -> str:
    names = ", ".join(f"**`{name}`**" for name in line[:-1].split(", "))
    text = linked(" ".join(_indented(lines).split()), links=links, root=root)
    newer = if_newer(f"{owner}.{line[:-1].partition(', ')[0]}")
    return wrapped(f"- {names}: {text}{newer}", indent="  ")


def _paragraph(lines: list[str], links: Links, root: str) -> str:
    if lines[0].startswith(("- ", "* ")):
        return "\n".join(linked(line, links=links, root=root) for line in lines)
    return wrapped(linked(" ".join(lines), links=links, root=root))


def _indented(lines: list[str]) -> str:
    """Take the indented lines at the beginning, and return them without the indentation."""
    taken: list[str] = []
    while lines and (not lines[0].strip() or lines[0].startswith("    ")):
        taken.append(lines.pop(0)[4:])
    return "\n".join(taken).strip("\n")
