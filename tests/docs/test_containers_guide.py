"""The table of containers in the guide says what changes from release to release as the code has it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from adapter_rules.engines.container_releases import LmiVersion, VllmVersion
from adapter_rules.engines.mixing_faults import MIXING_FAULTS, MixingFault

pytestmark = pytest.mark.documents

GUIDE = Path(__file__).parents[2] / "docs/guides/containers.md"

Release = LmiVersion | VllmVersion
Releases = Sequence[Release]

COLUMNS: dict[str, Releases] = {
    "LMI 16": [LmiVersion.V16],
    "LMI 17 to 29": [version for version in LmiVersion if version.number >= 17],
    "vLLM server 1.3 to 2.6": list(VllmVersion),
}


def table(section: str = "What each container does") -> dict[str, dict[str, str]]:
    """Return the cells of the first table of a section, by row and column."""
    section = GUIDE.read_text().partition(f"## {section}\n")[2]
    heading, _, *rows = section.partition("\n\n|")[2].partition("\n\n")[0].splitlines()
    columns = heading.strip("| ").split(" | ")
    lines = (row.strip("| ").split(" | ") for row in rows)
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in lines}


def span(first: object, last: object) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def engine(releases: Releases) -> str:
    return span(releases[0].engine.version, releases[-1].engine.version)


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
    "adapters with biases, by a setting": since(lambda release: release.engine.may_serve_biases),
    "what finds the cached prefixes of an adapter": each(
        lambda release: "name" if release.engine.may_answer_for_predecessor else "registration"
    ),
    "runs a `model.py` of an adapter's archive": since(lambda release: release.runs_code_of_adapters),
    "downloads a model from a bucket by itself": since(lambda release: release.downloads_from_buckets),
    "needs `inference_ami_version`": since(lambda release: release.needs_newer_ami),
}


def test_columns_are_the_releases_that_there_are() -> None:
    assert all(list(cells) == list(COLUMNS) for cells in table().values())
    assert [*LmiVersion, *VllmVersion] == [release for found in COLUMNS.values() for release in found]
    for heading, releases in COLUMNS.items():
        kind = releases[0].title.rpartition(" ")[0]
        assert heading == f"{kind} {span(releases[0].number, releases[-1].number)}"


def test_cells_are_what_the_code_says() -> None:
    said = {row: {column: table()[row][column] for column in COLUMNS} for row in ROWS}
    assert said == {
        row: {name: told(releases) for name, releases in COLUMNS.items()} for row, told in ROWS.items()
    }


LINKS = {
    "vllm": "vllm-project/vllm/issues",
    "djl-serving": "deepjavalibrary/djl-serving/pull",
    "LMCache": "LMCache/LMCache/issues",
}


def with_fault(fault: MixingFault, releases: Releases) -> str:
    """Return which releases have a fault. They follow one another."""
    found = [index for index, release in enumerate(releases) if fault.affects(release.versions)]
    if not found:
        return "no"
    assert found == [*range(found[0], found[-1] + 1)]
    return f"{releases[found[0]].number} to {releases[found[-1]].number}"


def in_backticks(text: str) -> str:
    """Return a text of the code with its quoted names as the guide has them."""
    return re.sub(r"'([a-z_]+)'", r"`\1`", text)


def linked(sources: Sequence[str]) -> str:
    """Return the sources as links. One that is only a number is of the repository before it."""
    links, repository = [], ""
    for source in sources:
        repository = source.rpartition(" ")[0] or repository
        number = source.rpartition("#")[2]
        links.append(f"[{source}](https://github.com/{LINKS[repository]}/{number})")
    return ", ".join(links)


def test_faults_are_those_of_the_code() -> None:
    assert table("Faults that mix up adapters") == {
        f"`{fault.id}`": {
            "LMI": with_fault(fault, list(LmiVersion)),
            "vLLM server": with_fault(fault, list(VllmVersion)),
            "avoided by": in_backticks(fault.avoided_by or "nothing"),
            "source": f"{linked(fault.sources)} [{fault.sureness}]",
        }
        for fault in MIXING_FAULTS
    }
    listed = " ".join(GUIDE.read_text().split())
    for fault in MIXING_FAULTS:
        assert f"- `{fault.id}`: {in_backticks(fault.happens)}." in listed


def test_readme_pages_examples_and_environments_use_the_newest_release_without_a_known_fault() -> None:
    (*_, newest) = (release for release in LmiVersion if not release.known_faults)
    root = GUIDE.parents[2]
    files = [root / "README.md", *(root / "environments").glob("*.toml"), *(root / "examples").rglob("*")]
    files += [file for file in (root / "docs").rglob("*.md") if "reference" not in file.parts]
    texts = [file.read_text() for file in files if file.suffix in (".md", ".py", ".toml", ".yml")]
    named = re.findall(r"LmiVersion\.V(\d+)|lmi_version = (\d+)|[ -]lmi(\d+)", "\n".join(texts))
    assert {next(filter(None, found)) for found in named} == {str(newest.number)}
