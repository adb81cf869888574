"""The folder the demo works in: a copy of the local environment and of the adapters it names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKETS = ROOT / "examples" / "tickets"


class Workspace:
    """A copy of `environments/local.toml` and `examples/tickets`, laid out as in the checkout.

    The demo edits it as a user edits their own: an adapter changes when its folder's files do, and goes
    when its table goes from the environment file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "environments" / "local.toml"
        self.cdk_out = folder / "cdk.out"
        self._adapters = folder / "examples" / "tickets" / "adapters"
        shutil.rmtree(folder, ignore_errors=True)
        self.environment.parent.mkdir(parents=True)
        shutil.copy(ROOT / "environments" / "local.toml", self.environment)
        shutil.copytree(TICKETS, folder / "examples" / "tickets")

    def replace_adapter(self, adapter: str, trained: Path) -> None:
        """Put the files of `trained` in the place of the adapter's, as the next training run would."""
        target = self._adapters / adapter
        shutil.rmtree(target)
        shutil.copytree(trained, target)

    def remove_adapter(self, adapter: str) -> None:
        """Take the adapter's table out of the environment file."""
        text = self.environment.read_text()
        shorter = re.sub(
            rf"^\[adapters\.{re.escape(adapter)}\]\n(?:(?!\[).*\n?)*", "", text, flags=re.MULTILINE
        )
        if shorter == text:
            raise ValueError(f"{self.environment} has no table [adapters.{adapter}]")
        self.environment.write_text(shorter)
