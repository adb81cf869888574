"""The folder the demo works in: a copy of the local environment and of the adapters it names."""

import re
import shutil
from pathlib import Path

from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import LocalArtifact

ROOT = Path(__file__).resolve().parents[2]
TICKETS = ROOT / "examples" / "tickets"


class Workspace:
    """A copy of `environments/local.*` and `examples/tickets`, laid out as in the checkout.

    The demo edits it as a user edits their own: tenants are lines of the manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = folder / "environments" / "local.toml"
        self.manifest = folder / "environments" / "local.adapters.yaml"
        self.cdk_out = folder / "cdk.out"
        shutil.rmtree(folder, ignore_errors=True)
        self.environment.parent.mkdir(parents=True)
        for file in (self.environment, self.manifest):
            shutil.copy(ROOT / "environments" / file.name, file)
        shutil.copytree(TICKETS, folder / "examples" / "tickets")

    def add_settings(self, text: str) -> None:
        """Put further tables at the end of the environment file."""
        self.environment.write_text(f"{self.environment.read_text()}\n{text}")

    def tenants(self) -> dict[str, str]:
        """Return what each tenant's adapter was trained to say: a key of `answers` in prompts.json.

        One that is no directory of the checkout is not among them.
        """
        text = self.manifest.read_bytes()
        manifest = Manifest.parse(text, where=self.manifest.name, folder=self.manifest.parent)
        return {
            adapter.name: _version(adapter.artifact.path)
            for adapter in manifest.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        }

    def set_tenant(self, name: str, artifact: str) -> None:
        """Give a tenant another artifact, or add the tenant."""
        line = f"  - {{name: {name}, artifact: {artifact}}}\n"
        text, found = self._line_of(name).subn(line, self.manifest.read_text())
        self.manifest.write_text(text if found else f"{text}{line}")

    def remove_tenant(self, name: str) -> None:
        """Take a tenant's line out of the manifest."""
        text, found = self._line_of(name).subn("", self.manifest.read_text())
        if not found:
            raise ValueError(f"{self.manifest} has no tenant '{name}'")
        self.manifest.write_text(text)

    def _line_of(self, name: str) -> re.Pattern[str]:
        return re.compile(rf"^  - {{name: {re.escape(name)},.*\n", re.MULTILINE)


def _version(path: Path) -> str:
    return f"{path.name}-v2" if path.parent.name == "adapters-v2" else path.name
