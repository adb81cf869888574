"""The release that brought a public name: `since.toml` lists what is newer than the first one."""

import tomllib
from pathlib import Path

FIRST = "0.2"
NEWER: dict[str, str] = {
    name: release
    for release, names in tomllib.loads(Path(__file__).with_name("since.toml").read_text()).items()
    for name in names["names"]
}
"""A part, such as `Class.argument` or `adapters command --option`, is listed if it came after the whole."""


def since(name: str) -> str:
    """Return the sentence below the heading of a class or command."""
    return f"Since {NEWER.get(name, FIRST)}."


def if_newer(part: str) -> str:
    """Return the sentence behind what is said of a part, empty for one that came with the whole."""
    return f" {since(part)}" if part in NEWER else ""
