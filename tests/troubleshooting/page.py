"""Writes the pages on troubleshooting: the code's messages, with causes and remedies of `entries.toml`.

python -m tests.troubleshooting.page

A message belongs to the one entry whose `match` fits it, where `…` stands for anything. What fits no entry
and says itself what should be otherwise belongs to the one group of its module.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.troubleshooting.messages import GAP, ROOT, Message, messages

DOCS = ROOT / "docs"
SOURCE = Path(__file__).parent / "entries.toml"
INDEX = "troubleshooting.md"
SCRIPT = "troubleshooting/find.js"
FIELD = Path(__file__).parent / "find.js"
MANIFEST_RULES = ROOT / "lambda" / "adapter_fleet" / "manifest" / "manifest.py"
GENERATED = "<!-- Written by tests/troubleshooting/page.py, from the code and entries.toml beside it. -->"
SAYS_IT_ITSELF = re.compile(r"\bshould\b")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Messages with one remedy.

    match:
        The messages of the code; `…` stands for anything.
    said:
        Texts of AWS, of a container or of a tool, which no code here writes.
    modules:
        A regular expression that the module of a message begins with.
    seen:
        Where it is printed, if that is not what the page says.
    """

    page: str
    title: str
    do: str
    match: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    modules: str = ""
    seen: str = ""
    why: str = ""
    more: tuple[str, ...] = ()

    def takes(self, message: Message) -> bool:
        return re.match(self.modules, message.module) is not None and any(
            fits(pattern, message.text) for pattern in self.match
        )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Messages that say themselves what should be otherwise, or all of some modules.

    everything:
        True to take a message that does not say `should`, too.
    """

    page: str
    title: str
    do: str
    modules: str
    severity: str = ""
    everything: bool = False

    def takes(self, message: Message) -> bool:
        says = self.everything or SAYS_IT_ITSELF.search(message.text) is not None
        told = self.severity in ("", message.severity)
        return says and told and re.match(self.modules, message.module) is not None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, with what a reader of it has before them."""

    name: str
    title: str
    begin: str
    seen: str


@dataclass(frozen=True, kw_only=True)
class Book:
    """All pages, entries and groups, with the messages of each."""

    index: Mapping[str, Any]
    pages: Sequence[Page]
    entries: Sequence[Entry]
    groups: Sequence[Group]
    pasted: Sequence[Mapping[str, str]]
    of_entry: dict[Entry, list[Message]] = field(default_factory=lambda: defaultdict(list))
    of_group: dict[Group, list[Message]] = field(default_factory=lambda: defaultdict(list))
    takers: dict[Message, list[str]] = field(default_factory=dict)


@cache
def book() -> Book:
    """Return what `entries.toml` says, and which message belongs where."""
    content = tomllib.loads(SOURCE.read_text())
    pages = [Page(**page) for page in content["page"]]
    entries = [Entry(**_frozen(entry)) for entry in content["entry"]]
    groups = [Group(**group) for group in content["group"]]
    made = Book(index=content["index"], pages=pages, entries=entries, groups=groups, pasted=content["pasted"])
    for message in messages():
        taking: list[Entry] = [entry for entry in entries if entry.takes(message)]
        falling: list[Group] = [] if taking else [group for group in groups if group.takes(message)]
        made.takers[message] = [*(entry.title for entry in taking), *(group.title for group in falling)]
        for entry in taking:
            made.of_entry[entry].append(message)
        for group in falling:
            made.of_group[group].append(message)
    return made


def _frozen(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def fits(pattern: str, text: str) -> bool:
    """Return True if a text is a pattern's, in which `…` stands for anything."""
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split(GAP))), re.DOTALL)


def written() -> dict[str, str]:
    """Return the text of each page, by its path below docs/."""
    made = book()
    pages = {f"troubleshooting/{page.name}.md": _page(page, made) for page in made.pages}
    script = FIELD.read_text().replace("ENTRIES", json.dumps(places(), ensure_ascii=False, indent=1))
    return {INDEX: _index(made), SCRIPT: script, **pages}


def places() -> list[tuple[str, str, list[list[str]]]]:
    """Return each entry and group: its address, its title, and the parts of each of its texts."""
    made = book()
    texts: dict[Entry | Group, list[str]] = {entry: list(entry.said) for entry in made.entries}
    for entry, found in made.of_entry.items():
        texts[entry] += [message.text for message in found]
    for group, found in made.of_group.items():
        texts[group] = [message.text for message in found]
    return [
        (
            f"troubleshooting/{taker.page}.html#{_slug(taker.title)}",
            taker.title,
            [parts for text in dict.fromkeys(said) if (parts := _parts(text))],
        )
        for taker, said in texts.items()
    ]


def _parts(text: str) -> list[str]:
    return [part for part in (" ".join(part.split()) for part in text.split(GAP)) if part]


def _slug(title: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


# --- pages


def _index(made: Book) -> str:
    places = [f"| {page.seen} | [{page.title}](troubleshooting/{page.name}.md) |" for page in made.pages]
    questions = [f"| {question} | `{command}` |" for question, command in made.index["questions"].items()]
    lines = [f"# {made.index['title']}", "", GENERATED, ""]
    for paragraph in made.index["begin"]:
        lines += [*_wrapped(paragraph), ""]
    lines += ['<div id="find-error"></div>', f'<script src="{SCRIPT}" defer></script>', ""]
    lines += ["| where you saw it | page |", "|---|---|", *places, ""]
    lines += ["## Where to look first", "", "| question | command |", "|---|---|", *questions, ""]
    return "\n".join([*lines, *_wrapped(made.index["end"]), ""])


def _page(page: Page, made: Book) -> str:
    lines = [f"# {page.title}", "", GENERATED, "", *_wrapped(page.begin), ""]
    for entry in made.entries:
        if entry.page == page.name:
            lines += _entry(entry, made.of_entry[entry])
    for group in made.groups:
        if group.page == page.name:
            lines += _group(group, made.of_group[group])
    if page.name == "manifests":
        lines += _rules_of_manifests()
    return "\n".join(lines)


def _entry(entry: Entry, found: Sequence[Message]) -> Iterator[str]:
    texts = list(dict.fromkeys([*entry.said, *(message.text for message in found)]))
    yield from (f"## {entry.title}", "")
    for text in texts:
        yield from (f"- {line}" for line in _code(text))
    yield ""
    if entry.seen:
        yield from (*_wrapped(f"**Seen in:** {entry.seen}"), "")
    if entry.why:
        yield from (*_wrapped(f"**Why:** {entry.why}"), "")
    yield from (*_wrapped(f"**What to do:** {entry.do}"), "")
    if entry.more:
        links = ", ".join(f"[{name}](../{target})" for name, target in map(_link, entry.more))
        yield from (*_wrapped(f"More: {links}"), "")


def _link(more: str) -> tuple[str, str]:
    name, _, target = more.rpartition(" = ")
    return name, target


def _group(group: Group, found: Sequence[Message]) -> Iterator[str]:
    yield from (f"## {group.title}", "", *_wrapped(group.do), "")
    listed: dict[str, Message] = {}
    for message in sorted(found, key=lambda message: re.sub(r"\W", "", message.text).lower()):
        if message.command or message.text not in listed:
            listed[message.text] = message
    for message in listed.values():
        lines = list(_code(message.text))
        command = "".join(_code(message.command))
        yield f"- {lines[0]}" + (f"  \n  {command}" if command else "")
        yield from (f"- {line}" for line in lines[1:])
    yield ""


def _rules_of_manifests() -> Iterator[str]:
    docstring = ast.get_docstring(ast.parse(MANIFEST_RULES.read_text())) or ""
    rows = re.findall(r"^([a-z]+(?:-[a-z]+)+) +(.+(?:\n +.+)*)$", docstring, re.MULTILINE)
    yield from ("## The rules of manifests", "")
    yield from _wrapped("A mistake in a manifest ends with the id of its rule, in brackets.")
    yield from ("", "| rule | what it asks for |", "|---|---|")
    yield from (f"| `[{rule}]` | {' '.join(asks.split())} |" for rule, asks in rows)
    yield ""


def _code(text: str) -> Iterator[str]:
    """Yield each line of a text as code in Markdown."""
    for line in filter(None, (line.strip(f" {GAP}") and line.strip() for line in text.split("\n"))):
        yield f"`` {line} ``" if "`" in line else f"`{line}`"


def _wrapped(text: str) -> list[str]:
    """Return a paragraph in lines of at most 100 columns; code and links stay in one."""
    pieces = re.findall(r"(?:`[^`]*`|\[[^\]]*\]\([^)]*\)|[^\s`\[]|\[)+", " ".join(text.split()))
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + 1 + len(piece) > 100:
            lines.append(piece)
        else:
            lines[-1] = f"{lines[-1]} {piece}".strip()
    return lines


if __name__ == "__main__":
    for path, text in written().items():
        (DOCS / path).parent.mkdir(exist_ok=True)
        (DOCS / path).write_text(text)
