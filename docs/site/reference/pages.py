"""The generated pages of the reference. They are committed, so that a code host has them, too."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.site.reference import callers, commands, constructs, environment, testing

FOLDER = Path(__file__).parents[2] / "reference"
MARK = "<!-- `make generate` writes this page. -->\n"
"""The last line of each generated page."""


def pages() -> Mapping[str, str]:
    """Return the text of every generated page by its path below docs/reference."""
    found = {
        **constructs.pages(),
        callers.FILE: callers.page(),
        commands.FILE: commands.page(),
        environment.FILE: environment.page(),
        testing.FILE: testing.page(),
    }
    return {path: f"{text}\n{MARK}" for path, text in found.items()}


def stale(wanted: Mapping[str, str], folder: Path = FOLDER) -> Iterator[str]:
    """Yield the paths whose file differs, is missing, or is generated and not wanted any more."""
    for path, text in wanted.items():
        file = folder / path
        if not file.is_file() or file.read_text("utf-8") != text:
            yield path
    for file in folder.rglob("*.md"):
        path = file.relative_to(folder).as_posix()
        if path not in wanted and file.read_text("utf-8").endswith(MARK):
            yield path
