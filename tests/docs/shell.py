"""The commands of a block, word by word and as whole lines to run."""

import re
import shlex
import subprocess
from collections.abc import Iterator

from tests.docs.blocks import Block

_SEPARATORS = frozenset({"&&", "||", "|", ";", "&", "(", ")", "|&"})
_REDIRECTIONS = frozenset({">", ">>", "<", "2>", "&>", ">&", "<<"})
_WORDS_AROUND_A_COMMAND = ("if", "then", "else", "while", "until", "do", "!", "{", "}", "time")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_DESCRIPTOR = re.compile(r"(?<=\s)[012](?=[<>])")
"""The number before a redirection."""
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?(.*?\n).*?^\1$\n?", re.DOTALL | re.MULTILINE)


def script(block: Block) -> str:
    """Return what a reader types: without the prompts and the output of a session."""
    if block.language != "console":
        return block.text
    typed = []
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ ") or goes_on:
            typed.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "".join(f"{line}\n" for line in typed)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, without assignments and redirections."""
    whole = re.sub(r" *\\\n *", " ", _HEREDOC.sub(r"\2", text))
    for line in _logical_lines(whole):
        lexer = shlex.shlex(_DESCRIPTOR.sub("", line), posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in lexer:
            if word in _SEPARATORS:
                yield from _simple(command)
                command = []
            else:
                command.append(word)
        yield from _simple(command)


def _simple(words: list[str]) -> Iterator[list[str]]:
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _REDIRECTIONS:
            next(rest, None)
        elif kept or not (word in _WORDS_AROUND_A_COMMAND or _ASSIGNMENT.match(word)):
            kept.append(word)
    if kept:
        yield kept


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines, joined as long as a quotation is open."""
    pending = ""
    for line in text.splitlines():
        pending += line
        try:
            shlex.split(pending, comments=True)
        except ValueError:
            pending += "\n"
        else:
            yield pending
            pending = ""
    if pending:
        yield pending


def whole_commands(text: str) -> Iterator[str]:
    """Yield what a shell reads as one command: a line, or a loop, a function or a here-document."""
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if pending.rstrip("\n").endswith("\\") or not pending.strip():
            continue
        checked = subprocess.run(["bash", "-n", "-c", pending], capture_output=True, text=True, check=False)
        if checked.returncode == 0 and not checked.stderr:
            yield pending
            pending = ""
    if pending.strip():
        yield pending
