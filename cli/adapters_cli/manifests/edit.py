"""Editing a manifest that people write: no character changes but those of published adapters.

A document is edited as text, at the positions that YAML's parser reports; it reads JSON, too. So comments,
order, quotes and indentation stay, and JSON stays JSON. The new text is parsed again and must have exactly
the intended meaning.

ruamel.yaml was tried. It indents the whole document again and drops `---`. It also rewrites what looks like
a date or a number, which are strings in a manifest.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from adapter_fleet.documents.yaml_reader import YAML_LOADER, plain_scalar
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import ManifestAdapter, ManifestError
from adapter_fleet.manifest.writer import plain_adapter
from adapter_fleet.serving.base_model import BaseModelFacts
from adapters_cli.output.errors import CommandError

_Value = str | int | float | dict[str, Any]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+=-]*(?<!:)")
_UNKNOWN_TO_YAML = re.compile(r"\t|\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""What JSON may have and YAML's parsers refuse: tabs between tokens, halves of surrogate pairs."""


def edited(
    text: bytes,
    adapters: Sequence[ManifestAdapter],
    *,
    base_model: str | None,
    where: str,
    folder: Path | None,
) -> bytes:
    """Return a manifest with these adapters: existing entries are changed, others added at the end.

    `base_model` is added if the manifest has none. `where` and `folder` are those of `Manifest.parse`. Raises
    ManifestError if the manifest has mistakes before or after. Raises CommandError if it has another base
    model, or if the new text does not have the intended meaning.
    """
    before = Manifest.parse(text, where=where, folder=folder)
    present = before.base_model
    if base_model and present and not BaseModelFacts(name=present).is_named(base_model):
        raise CommandError(f"{before.where}: base_model: should be {base_model!r}, got {present!r}")
    edit = _Edit.of(before, adapters, base_model)
    if edit.is_none:
        return text
    source = text.decode("utf-8-sig")
    root = composed(source)
    made = None if root is None else _ManifestText(source, root).with_(edit)
    if made is None or not edit.is_made(made.encode(), where, folder):
        raise CommandError(
            f"{where}: it cannot be changed, as where YAML does not have a character of JSON; write such"
            " characters as '\\u…', and publish again"
        )
    return made.encode()


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """The changes of a manifest.

    entries:
        Each of its adapters as it is to be.
    """

    before: Manifest
    entries: tuple[ManifestAdapter, ...]
    added: tuple[ManifestAdapter, ...]
    base_model: str | None

    @classmethod
    def of(cls, before: Manifest, adapters: Sequence[ManifestAdapter], base_model: str | None) -> "_Edit":
        # Names are the same whatever the case, as to SageMaker.
        published = {adapter.name.casefold(): adapter for adapter in adapters}
        found = [(entry, published.pop(entry.name.casefold(), None)) for entry in before.adapters]
        return cls(
            before=before,
            entries=tuple(entry if made is None else _as_published(entry, made) for entry, made in found),
            # The key of an archive has the digest.
            added=tuple(replace(made, digest=None) for made in published.values()),
            base_model=base_model if before.base_model is None else None,
        )

    @property
    def is_none(self) -> bool:
        """True if the manifest has all of it already."""
        return self.entries == self.before.adapters and not self.added and self.base_model is None

    def is_made(self, text: bytes, where: str, folder: Path | None) -> bool:
        """Return True if a text has the intended meaning. Raises ManifestError if it breaks a rule."""
        try:
            after = Manifest.parse(text, where=where, folder=folder)
        except ManifestError as error:
            if any(finding.rule in ("manifest-readable", "manifest-keys") for finding in error.findings):
                return False
            raise
        added = after.adapters[len(self.entries) :]
        with_defaults = [made.with_defaults(entry) for made, entry in zip(self.added, added, strict=False)]
        return (
            after.base_model == (self.before.base_model or self.base_model)
            and after.adapters == (*self.entries, *with_defaults)
            and len(with_defaults) == len(self.added)
        )


def _as_published(entry: ManifestAdapter, made: ManifestAdapter) -> ManifestAdapter:
    """Return an entry of the published version.

    It keeps the checksum and the probe that it has if the publication has none: the fleet reads an archive
    with another checksum. It keeps evaluation and share only if it has this version already.
    """
    has_it = entry.known_digest == made.digest
    return replace(
        entry,
        artifact=made.artifact,
        digest=made.digest if entry.digest else None,
        checksum=made.checksum or entry.checksum,
        rank=made.rank,
        probe=made.probe or entry.probe,
        evaluation=made.evaluation or (entry.evaluation if has_it else None),
        percent=made.percent or (entry.percent if has_it else None),
    )


def composed(text: str) -> yaml.MappingNode | None:
    """Return the nodes of a document in YAML or JSON; None if it is no mapping."""
    if is_json(text):
        text = _UNKNOWN_TO_YAML.sub(lambda found: " " * len(found[0]), text)
    try:
        root = yaml.compose(text, Loader=YAML_LOADER)
    except yaml.YAMLError:
        return None
    return root if isinstance(root, yaml.MappingNode) else None


def is_json(text: str) -> bool:
    """Return True if a document is JSON, where each key and each text has quotes."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class _ManifestText:
    """The text of a document and its nodes, whose marks are their positions in the text."""

    def __init__(self, text: str, root: yaml.MappingNode) -> None:
        self._text = text
        self._root = root
        self._is_json = is_json(text)
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, str]] = []

    def with_(self, edit: _Edit) -> str:
        """Return the text after an edit."""
        adapters = _members(self._root)["adapters"]
        for entry, before, after in zip(adapters.value, edit.before.adapters, edit.entries, strict=True):
            self._change(entry, before, after)
        if edit.base_model is not None:
            self._add_base_model(edit.base_model)
        if edit.added:
            self._add(adapters, list(map(plain_adapter, edit.added)))
        return "".join(self._pieces())

    def _pieces(self) -> Iterator[str]:
        position = 0
        # At one position, edits keep their order.
        for start, end, new in sorted(self._edits, key=lambda edit: edit[:2]):
            yield self._text[position:start]
            yield new
            position = end
        yield self._text[position:]

    def _change(self, entry: yaml.MappingNode, before: ManifestAdapter, after: ManifestAdapter) -> None:
        members = _members(entry)
        old, new = plain_adapter(before), plain_adapter(after)
        for key, value in new.items():
            if value == old.get(key):
                continue
            if key == "evaluation":
                self._set_evaluation(entry, value)
            elif key in members:
                self._set(members[key], value)
            else:
                self._insert_key(entry, members["artifact"], key, value)
        for key in [key for key in old if key not in new]:
            self._remove(entry, list(members).index(key))

    def _set_evaluation(self, entry: yaml.MappingNode, plain: dict[str, Any]) -> None:
        """Replace or add an entry's evaluation. In a block, it is one too."""
        index = next((n for n, (key, _) in enumerate(entry.value) if key.value == "evaluation"), None)
        column = entry.value[0][0].start_mark.column
        lines = [self._member("evaluation", plain)]
        if not entry.flow_style:
            lines = [
                "evaluation:",
                *(f"{' ' * column}  {self._member(key, value)}" for key, value in plain.items()),
            ]
        if index is not None:
            key, old = entry.value[index]
            self._edits.append((key.start_mark.index, self._end(old), self._line_end.join(lines)))
        elif entry.flow_style:
            self._insert(self._end(entry.value[-1][1]), self._comma(entry) + lines[0])
        else:
            self._insert_lines(self._end(entry), [f"{' ' * column}{lines[0]}", *lines[1:]])

    def _remove(self, entry: yaml.MappingNode, index: int) -> None:
        """Remove a key and its value, with the lines of a block or one comma of a flow."""
        key, value = entry.value[index]
        start, end = key.start_mark.index, self._end(value)
        if index > 0 and entry.flow_style:
            start = self._end(entry.value[index - 1][1])
        elif index > 0:
            start = self._text.rindex("\n", 0, start) + 1
            line_end = self._text.find("\n", end) + 1
            # A comment behind it stays, on the line.
            if line_end and not self._text[end:line_end].strip():
                end = line_end
        elif len(entry.value) > 1:
            end = entry.value[1][0].start_mark.index
        self._edits.append((start, end, ""))

    def _set(self, node: yaml.Node, value: _Value) -> None:
        self._edits.append((node.start_mark.index, self._end(node), self._value(value)))

    def _insert_key(self, entry: yaml.MappingNode, after: yaml.Node, key: str, value: _Value) -> None:
        text = self._member(key, value)
        if entry.flow_style:
            self._insert(self._end(after), self._comma(entry) + text)
            return
        column = entry.value[0][0].start_mark.column
        self._insert_lines(self._end(after), [f"{' ' * column}{text}"])

    def _add_base_model(self, name: str) -> None:
        first = self._root.value[0][0].start_mark
        between = f"{self._line_end}{' ' * first.column}"
        if self._root.flow_style:
            between = self._comma(self._root)
        self._insert(first.index, self._member("base_model", name) + between)

    def _add(self, adapters: yaml.SequenceNode, entries: Sequence[dict[str, Any]]) -> None:
        if not adapters.value:
            start, end = adapters.start_mark.index, self._end(adapters)
            if self._root.flow_style:
                self._edits.append((start, end, self._first(entries)))
                return
            self._edits.append((len(self._text[:start].rstrip(" ")), end, ""))
            self._insert_lines(end, [line for entry in entries for line in _block(entry, 2, 4)])
            return
        last = adapters.value[-1]
        if adapters.flow_style:
            comma = f",{self._line_before(last) or ' '}"
            self._insert(self._end(last), "".join(comma + self._like(last, entry) for entry in entries))
            return
        dash, column = adapters.start_mark.column, last.start_mark.column
        if last.flow_style:
            lines = [f"{' ' * dash}-{' ' * (column - dash - 1)}{_flow(entry)}" for entry in entries]
        else:
            lines = [line for entry in entries for line in _block(entry, dash, column)]
        self._insert_lines(self._end(last, content=True), lines)

    def _first(self, entries: Sequence[dict[str, Any]]) -> str:
        """Return the list of a document in braces: an entry a line if the keys around it begin lines."""
        line = self._line_before(self._root.value[0][0])
        inner = line + line.lstrip("\r\n")
        comma = f",{inner or ' '}"
        return f"[{inner}{comma.join(map(self._value, entries))}{line}]"

    def _like(self, other: yaml.MappingNode, entry: dict[str, Any]) -> str:
        """Return an entry in the layout of another one: on a line, or in JSON a member a line."""
        if not self._is_json:
            return _flow(entry)
        line, comma = self._line_before(other.value[0][0]), self._comma(other)
        end = self._text[self._end(other.value[-1][1]) : other.end_mark.index]
        return f"{{{line}{comma.join(self._member(key, value) for key, value in entry.items())}{end}"

    def _comma(self, mapping: yaml.MappingNode) -> str:
        """Return what is between two members in braces."""
        return f",{self._line_before(mapping.value[0][0]) or ' '}"

    def _line_before(self, node: yaml.Node) -> str:
        """Return the line end and the indentation before a node; nothing if it does not begin a line."""
        start = node.start_mark
        before = self._text[start.index - start.column : start.index]
        return f"{self._line_end}{before}" if start.line and not before.strip() else ""

    def _member(self, key: str, value: _Value) -> str:
        return f"{self._value(key)}: {self._value(value)}"

    def _value(self, value: _Value) -> str:
        return json.dumps(value, ensure_ascii=False) if self._is_json else _text(value)

    def _insert(self, position: int, text: str) -> None:
        self._edits.append((position, position, text))

    def _insert_lines(self, position: int, lines: Sequence[str]) -> None:
        """Insert lines after the line of a position, or before it if the position begins a line."""
        text, line_end = self._text, self._line_end
        if position and text[position - 1] == "\n":
            self._insert(position, "".join(line + line_end for line in lines))
            return
        end = text.find("\n", position)
        if end < 0:
            self._insert(len(text), "".join(line_end + line for line in lines))
        else:
            self._insert(end + 1, "".join(line + line_end for line in lines))

    def _end(self, node: yaml.Node, *, content: bool = False) -> int:
        return end_of(self._text, node, content=content)


def end_of(text: str, node: yaml.Node, *, content: bool = False) -> int:
    """Return the end of a node: after its last character, or for `content` after its trailing lines.

    The parser's end mark of a block collection is the start of the next token. That of a block of text
    includes its line ends.
    """
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(text, last[1] if isinstance(last, tuple) else last, content=content)
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    return end if content else start + len(text[start:end].rstrip())


def _members(node: yaml.MappingNode) -> dict[str, Any]:
    return {key.value: value for key, value in node.value}


def _text(value: _Value) -> str:
    """Return a value as YAML on one line: a scalar plain if it keeps its meaning, else quoted."""
    if isinstance(value, dict):
        return _flow(value)
    if isinstance(value, int | float):
        return str(value)
    if _PLAIN.fullmatch(value) and isinstance(plain_scalar(value), str):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    for character in "\x85\u2028\u2029":  # line breaks to YAML
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted


def _flow(entry: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{_text(key)}: {_text(value)}" for key, value in entry.items()) + "}"


def _block(entry: dict[str, Any], dash: int, column: int) -> list[str]:
    """Return the lines of an entry whose dash and keys are in these columns."""
    first = f"{' ' * dash}-{' ' * (column - dash - 1)}"
    return [
        f"{first if number == 0 else ' ' * column}{key}: {_text(value)}"
        for number, (key, value) in enumerate(entry.items())
    ]
