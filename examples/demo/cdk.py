"""The unmodified CDK command line, pointed at the embedded cloud by environment variables alone."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo.workspace import ROOT


class CdkError(Exception):
    """The command line exited with another code than 0; the message ends with what it printed last."""


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
        return self._run("bootstrap", f"aws://{account}/{region}", folder=self.home)

    def deploy(self, *, validate: bool = True) -> str:
        """Deploy every stack of the environment.

        validate:
            Whether the CDK judges the template first, which takes seconds.
        """
        return self._run_app(
            "deploy",
            "--all",
            "--require-approval",
            "never",
            "--outputs-file",
            str(self._outputs),
            **({} if validate else {"CDK_VALIDATION": "false"}),
        )

    def run(self, *arguments: str, folder: Path | None = None) -> str:
        """Run a command with these arguments alone: where no app is, or in a folder."""
        return self._run(*arguments, folder=folder or self.home)

    def destroy(self) -> str:
        """Delete every stack of the last deployment: what was synthesized for it will do."""
        return self._run("destroy", "--all", "--force", "--app", str(self.out), folder=ROOT)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last deployment of the one stack."""
        (stack,) = json.loads(self._outputs.read_text()).values()
        return dict(stack)

    @property
    def _outputs(self) -> Path:
        return self.out.with_suffix(".outputs.json")

    def _run_app(self, *arguments: str, **variables: str) -> str:
        return self._run(*arguments, *self.options, "--output", str(self.out), folder=ROOT, **variables)

    def _run(self, *arguments: str, folder: Path, **variables: str) -> str:
        self.home.mkdir(parents=True, exist_ok=True)
        command = ["cdk", *arguments]
        done = subprocess.run(
            [*command, "--no-color", "--no-notices"],
            cwd=folder,
            env={
                **self.variables,
                # Nothing of the user's configuration of AWS reaches the cloud.
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                # The CLI takes its folder from the system's list of users, and not from HOME.
                "CDK_HOME": str(self.home),
                "CDK_DISABLE_VERSION_CHECK": "1",
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.strip().splitlines()[-25:])
            raise CdkError(f"'{' '.join(command)}' exited with {done.returncode}:\n{tail}")
        return done.stdout
