"""Writes the repository's address into the metadata of the distributions, from the day there is one.

`[tool.hatch.metadata.hooks.custom]` in `pyproject.toml` takes `repository`, such as
https://github.com/OWNER/NAME. An index follows no relative links, so those of the README become absolute.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"\]\((?![a-z]+:|#)")


class Addresses(MetadataHookInterface):
    """Makes `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both in the table `[project]`."""
        readme, urls = Path(self.root, "README.md").read_text("utf-8"), {}
        if repository := self.config.get("repository", "").rstrip("/"):
            version: str = metadata["version"]
            files = f"{repository}/blob/{'main' if 'dev' in version else f'v{version}'}/"
            readme = _RELATIVE.sub(f"]({files}", readme)
            urls = {
                "Repository": repository,
                "Documentation": f"{files}docs/index.md",
                "Changelog": f"{files}CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
        metadata["urls"] = urls
