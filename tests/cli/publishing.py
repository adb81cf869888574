"""A bucket in memory and a folder of this machine, for `adapters publish`."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner, Result

from adapter_fleet.common.clock import Clock
from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.archives.packing import identity_of
from adapters_cli.aws.account import Account
from adapters_cli.main import app
from tests.adapter_fleet.fake_service import FakeService
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.fakes import FakeS3

BUCKET = "my-adapters"
DESTINATION = "s3://my-adapters/prod"
STORED = "s3://my-adapters/fleet.yaml"
"""A manifest in the same bucket."""


class FakeAccount(Account):
    """An account with nothing but a bucket, in which waiting takes no time."""

    def __init__(self, s3: FakeS3, service: FakeService | None = None) -> None:
        self.slept: list[float] = []
        fakes: dict[str, Any] = {"s3": s3, "service": service}
        vars(self).update(fakes)

    @property
    def _clock(self) -> Clock:
        return Clock() if self.service is None else self.service.clock  # type: ignore[attr-defined, no-any-return]

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.service is not None:
            self._clock.sleep(seconds)


@dataclass
class World:
    """A bucket, and a folder of this machine for adapters and a manifest."""

    folder: Path
    service: FakeService | None = None
    s3: FakeS3 = field(default_factory=lambda: FakeS3(BUCKET))

    @property
    def adapters(self) -> Path:
        return self.folder / "adapters"

    @property
    def manifest(self) -> Path:
        return self.folder / "fleet.yaml"

    def add(self, *names: str, **settings: Any) -> Path:
        """Write adapters, each different from the others; return the last one's directory."""
        for name in names:
            seed = sum(name.encode())
            directory = SyntheticAdapter(seed=seed, **settings).save(self.adapters / name)
        return directory

    def run(self, *arguments: str | Path) -> Result:
        """Run a command in an account with this bucket."""
        account = FakeAccount(self.s3, self.service)
        return CliRunner().invoke(app, [*map(str, arguments)], obj=account, catch_exceptions=False)

    def publish(
        self,
        *arguments: str | Path,
        jobs: int = 4,
        destination: str = DESTINATION,
        all_: bool = True,
    ) -> Result:
        """Run the command on paths and with options; without paths on all adapters, unless told otherwise."""
        paths = [self.adapters] if all_ and (not arguments or str(arguments[0]).startswith("-")) else []
        options = [*map(str, [*paths, *arguments])]
        split = next((n for n, text in enumerate(options) if text.startswith("-")), len(options))
        command = ["publish", *options[:split], destination, *options[split:]]
        with patch("adapters_cli.commands.train.publish._JOBS", jobs):
            return self.run(*command)

    def key(self, name: str) -> str:
        return f"prod/{name}/sha256-{identity_of(self.adapters / name)}.tar.gz"

    def uri(self, name: str) -> str:
        return f"s3://my-adapters/{self.key(name)}"

    def checksum(self, name: str) -> str:
        """S3's SHA-256 of an archive that was uploaded at once, as a manifest has it."""
        return f"sha256:{hashlib.sha256(self.s3.bodies(BUCKET)[self.key(name)]).hexdigest()}"

    def parsed(self) -> Manifest:
        return Manifest.parse(self.manifest.read_bytes(), where="fleet.yaml", folder=self.folder)
