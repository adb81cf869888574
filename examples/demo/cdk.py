"""The unmodified CDK command line, pointed at the embedded cloud by environment variables alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo.workspace import ROOT
from local_sagemaker.cdk_app import CommandLine


@dataclass(frozen=True, kw_only=True)
class Cdk:
    """Runs `cdk` in the checkout. Each command returns what it printed.

    options:
        What every command on the app gets: `-c environment=…`, or `--app …` for another app.
    home:
        The folder in which the CLI remembers account ids: those of the embedded cloud must not mix with the
        user's.
    variables:
        The process's environment.
    """

    options: Sequence[str]
    out: Path
    home: Path
    variables: Mapping[str, str]

    def bootstrap(self, account: str, region: str) -> str:
        """Make the bootstrap stack of an account and region; the app is not needed for it."""
        return self.run("bootstrap", f"aws://{account}/{region}")

    def deploy(self, *, validate: bool = True) -> str:
        """Deploy every stack of the environment.

        validate:
            Whether the CDK judges the template first, which takes seconds.
        """
        return self.run(
            "deploy",
            "--all",
            "--require-approval",
            "never",
            "--outputs-file",
            str(self._outputs),
            *self.options,
            "--output",
            str(self.out),
            folder=ROOT,
            **({} if validate else {"CDK_VALIDATION": "false"}),
        )

    def destroy(self) -> str:
        """Delete every stack of the last deployment: what was synthesized for it will do."""
        return self.run("destroy", "--all", "--force", "--app", str(self.out), folder=ROOT)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last deployment of the one stack."""
        (stack,) = json.loads(self._outputs.read_text()).values()
        return dict(stack)

    @property
    def _outputs(self) -> Path:
        return self.out.with_suffix(".outputs.json")

    def run(self, *arguments: str, folder: Path | None = None, **variables: str) -> str:
        """Run a command with these arguments alone: where no app is, or in a folder."""
        self.home.mkdir(parents=True, exist_ok=True)
        environment = {**self.variables, **variables}
        return CommandLine(folder or self.home, environment, self.home).run(*arguments)
