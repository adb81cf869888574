"""The blocks of code in Markdown, and the marks that say who runs them.

A mark is a comment: `<!-- not run: REASON -->` or `<!-- run by: TEST -->`. On the line before a block it
holds for that block. `run by` elsewhere on a page holds for every block of commands and of Python on the
page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path

from sybil import Document
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, FencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
NOT_RUN, RUN_BY = "not run", "run by"
COMMANDS = ("sh", "console")
DATA = ("toml", "yaml", "json", "jsonl")
SHOWN = ("text",)
"""What a command prints."""

_BLOCKS = FencedCodeBlockLexer(r"[^\n]*")
_MARKS = DirectiveInHTMLCommentLexer(f"{NOT_RUN}|{RUN_BY}")


class Fate(Enum):
    """What becomes of a block."""

    RUN = "run"
    PARSED = "parsed"
    CHECKED = "checked only"
    NOT_RUN = "not run"
    SHOWN = "shown"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A comment that says who runs a block, or why nobody does.

    text:
        The reason, or the path of the test.
    """

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code.

    line:
        Number of the line of its opening fence.
    """

    path: Path
    line: int
    language: str
    text: str
    mark: Mark | None

    @property
    def name(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def fate(self) -> Fate:
        """What becomes of the block. Raises ValueError if nothing runs it, and no mark says why."""
        not_run = self.mark is not None and self.mark.kind == NOT_RUN
        if self.language in SHOWN:
            return Fate.SHOWN
        if self.language in COMMANDS:
            return Fate.CHECKED if not_run else Fate.RUN
        if not_run:
            return Fate.NOT_RUN
        if self.language in DATA:
            return Fate.PARSED
        if self.language == "python" or self.mark is not None:
            return Fate.RUN
        known = ", ".join((*COMMANDS, "python", *DATA, *SHOWN))
        raise ValueError(
            f"{self.name}: the block should be one of {known}, or have '<!-- not run: REASON -->' on the line"
            f" before it, got {self.language or 'no language'}"
        )


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of Markdown.

    lost:
        Marks `not run` that are on no line before a block.
    """

    path: Path
    blocks: tuple[Block, ...]
    marks: tuple[Mark, ...]
    lost: tuple[Mark, ...]

    @property
    def name(self) -> str:
        """Path from the repository's root."""
        return str(self.path.relative_to(ROOT))


def documents() -> list[Path]:
    """Return the path of every page of the project."""
    folders = ("docs", "bench", "examples")
    return sorted([*ROOT.glob("*.md"), *(path for name in folders for path in (ROOT / name).rglob("*.md"))])


def pages() -> list[Page]:
    """Return every page of the project that has blocks."""
    return [page for page in map(read, documents()) if page.blocks]


@cache
def read(path: Path) -> Page:
    """Read a page."""
    text = path.read_text(encoding="utf-8")
    marks = _marks(text, path)
    own = marks.copy()
    blocks = list(_blocks(text, path, own))
    for mark in own.values():
        if mark.kind == RUN_BY:
            blocks = [_with_mark(block, mark) for block in blocks]
    lost = tuple(mark for mark in own.values() if mark.kind == NOT_RUN)
    return Page(path=path, blocks=tuple(blocks), marks=tuple(marks.values()), lost=lost)


def blocks_of(path: Path, text: str) -> list[Block]:
    """Return the blocks of a part of a page, with their own marks."""
    return list(_blocks(text, path, _marks(text, path)))


def _blocks(text: str, path: Path, marks: dict[int, Mark]) -> Iterator[Block]:
    """Yield the blocks. The marks before them are taken out of `marks`."""
    for region in _BLOCKS(Document(text, str(path))):
        fence = region.start + len(text[region.start :]) - len(text[region.start :].lstrip(" "))
        before = len(text[:fence].rstrip(" \n"))
        language, _, _ = region.lexemes["language"].strip().partition(" ")
        yield Block(
            path=path,
            line=text.count("\n", 0, fence) + 1,
            language=language,
            text=str(region.lexemes["source"]),
            mark=marks.pop(before, None) if text.count("\n", before, fence) == 1 else None,
        )


def _marks(text: str, path: Path) -> dict[int, Mark]:
    """Return the marks by where they end. What a block shows of them is none."""
    document = Document(text, str(path))
    blocks = [range(region.start, region.end) for region in _BLOCKS(document)]
    return {
        text.index("-->", region.start) + 3: Mark(
            kind=region.lexemes["directive"], text=region.lexemes["arguments"].strip()
        )
        for region in _MARKS(document)
        if not any(region.start in block for block in blocks)
    }


def _with_mark(block: Block, mark: Mark) -> Block:
    if block.mark is not None or block.language not in (*COMMANDS, "python"):
        return block
    return replace(block, mark=mark)
