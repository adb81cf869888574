"""The table of containers in the guide says what changes from release to release as the code has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from adapter_fleet.serving.container_releases import LmiVersion, VllmVersion

pytestmark = pytest.mark.documents

GUIDE = Path(__file__).parents[2] / "docs/guides/containers.md"

Release = LmiVersion | VllmVersion
Releases = Sequence[Release]

COLUMNS: dict[str, Releases] = {
    "LMI 13 to 16": [version for version in LmiVersion if version.number <= 16],
    "LMI 17 to 29": [version for version in LmiVersion if version.number >= 17],
    "vLLM server 1.3 to 2.6": list(VllmVersion),
}


def table() -> dict[str, dict[str, str]]:
    """Return the cells by row and column."""
    section = GUIDE.read_text().partition("## What each container does")[2]
    heading, _, *rows = section.partition("\n\n|")[2].partition("\n\n")[0].splitlines()
    columns = heading.strip("| ").split(" | ")
    lines = (row.strip("| ").split(" | ") for row in rows)
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in lines}


def engine(releases: Releases) -> str:
    known = [release for release in releases if release.engine.version is not None]
    begin = "" if known == releases else f"from {known[0].number} on: "
    return f"{begin}{known[0].engine.version} to {known[-1].engine.version}"


def each(value: Callable[[Release], object]) -> Callable[[Releases], str]:
    """Return the value of every release, with the releases that have it if there are several values."""

    def told(releases: Releases) -> str:
        numbers: dict[str, list[str]] = {}
        for release in releases:
            numbers.setdefault(str(value(release)), []).append(str(release.number))
        if len(numbers) == 1:
            return next(iter(numbers))
        return ", ".join(f"{one} in {' and '.join(found)}" for one, found in numbers.items())

    return told


def since(holds: Callable[[Release], bool]) -> Callable[[Releases], str]:
    """Return whether something holds of all releases, of none, or from which one on."""

    def told(releases: Releases) -> str:
        first = next((index for index, release in enumerate(releases) if holds(release)), len(releases))
        assert all(map(holds, releases[first:]))
        if first in (0, len(releases)):
            return "no" if first else "yes"
        return f"from {releases[first].number} on"

    return told


ROWS: dict[str, Callable[[Releases], str]] = {
    "vLLM": engine,
    "lowest `max_lora_rank`": each(lambda release: 1 if release.engine.serves_rank_1 else 8),
    "highest `max_lora_rank`": each(lambda release: release.engine.highest_rank),
    "adapters with biases, by a setting": since(lambda release: release.engine.may_serve_biases),
    "what finds the cached prefixes of an adapter": each(lambda release: release.engine.prefix_cache_key),
    "runs a `model.py` of an adapter's archive": since(lambda release: release.runs_code_of_adapters),
    "downloads a model from a bucket by itself": since(lambda release: release.downloads_from_buckets),
    "needs `inference_ami_version`": since(lambda release: release.needs_newer_ami),
}


def test_columns_are_the_releases_that_there_are() -> None:
    assert all(list(cells) == list(COLUMNS) for cells in table().values())
    assert [*LmiVersion, *VllmVersion] == [release for found in COLUMNS.values() for release in found]
    for heading, releases in COLUMNS.items():
        kind = releases[0].title.rpartition(" ")[0]
        assert heading == f"{kind} {releases[0].number} to {releases[-1].number}"


def test_cells_are_what_the_code_says() -> None:
    said = {row: {column: table()[row][column] for column in COLUMNS} for row in ROWS}
    assert said == {
        row: {name: told(releases) for name, releases in COLUMNS.items()} for row, told in ROWS.items()
    }
