"""Removing adapters from a manifest that people write: no other character changes.

As with `edit`, a document is changed as text at the positions that YAML's parser reports, and the new text
must have exactly the intended meaning. Comments above an adapter stay; those on its lines go with it.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import ManifestError
from adapters_cli.manifests.edit import composed, end_of
from adapters_cli.output.errors import CommandError


def without(text: bytes, names: Collection[str], *, where: str, folder: Path | None) -> bytes:
    """Return a manifest without these adapters. Names are compared without regard to case.

    Raises ManifestError if the manifest has mistakes. Raises CommandError for a name that it does not have,
    and if the new text does not have the intended meaning.
    """
    before = Manifest.parse(text, where=where, folder=folder)
    wanted = {name.casefold() for name in names}
    known = {adapter.name.casefold() for adapter in before.adapters}
    if unknown := [name for name in names if name.casefold() not in known]:
        there = [adapter.name for adapter in before.adapters]
        raise CommandError(
            "\n".join(f"{where}: there is no adapter '{name}'{did_you_mean(name, there)}" for name in unknown)
        )
    indexes = [index for index, adapter in enumerate(before.adapters) if adapter.name.casefold() in wanted]
    source = text.decode("utf-8-sig")
    root = composed(source)
    made = None if root is None else _without(source, root, indexes)
    kept = [adapter for adapter in before.adapters if adapter.name.casefold() not in wanted]
    if made is None or not _means(made.encode(), before, kept, where, folder):
        raise CommandError(
            f"{where}: it cannot be changed, as where YAML does not have a character of JSON; write such"
            " characters as '\\u…', and remove them again"
        )
    return made.encode()


def _means(text: bytes, before: Manifest, kept: list[Any], where: str, folder: Path | None) -> bool:
    try:
        after = Manifest.parse(text, where=where, folder=folder)
    except ManifestError:
        return False
    return list(after.adapters) == kept and after.base_model == before.base_model


def _without(text: str, root: yaml.MappingNode, indexes: Sequence[int]) -> str:
    adapters = {key.value: value for key, value in root.value}["adapters"]
    entries: list[yaml.Node] = adapters.value
    if len(indexes) == len(entries):
        start = adapters.start_mark.index
        empty = "[]" if adapters.flow_style else " []"
        start = start if adapters.flow_style else len(text[:start].rstrip())
        return f"{text[:start]}{empty}{text[end_of(text, adapters) :]}"
    cuts = _flow_cuts(text, entries, indexes) if adapters.flow_style else _block_cuts(text, entries, indexes)
    for start, end in reversed(cuts):
        text = text[:start] + text[end:]
    return text


def _block_cuts(text: str, entries: Sequence[yaml.Node], indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the lines of entries, each from its dash to the end of its last line."""
    cuts = []
    for entry in (entries[index] for index in indexes):
        dash = text.rfind("-", 0, entry.start_mark.index)
        end = text.find("\n", end_of(text, entry))
        cuts.append((text.rfind("\n", 0, dash) + 1, len(text) if end < 0 else end + 1))
    return cuts


def _flow_cuts(text: str, entries: Sequence[yaml.Node], indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Return entries of a list in brackets, each with the comma behind it.

    The last ones go together, with the comma before them. One entry at least stays.
    """
    last_kept = max(set(range(len(entries))) - set(indexes))
    cuts = [
        (entries[index].start_mark.index, entries[index + 1].start_mark.index)
        for index in indexes
        if index < last_kept
    ]
    if last_kept + 1 < len(entries):
        cuts.append((end_of(text, entries[last_kept]), end_of(text, entries[-1])))
    return cuts
