"""The unmodified CDK command line, pointed at the embedded cloud by environment variables alone."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo.workspace import ROOT


class CdkError(Exception):
    """The command line exited with another code than 0; the message ends with what it printed last."""


@dataclass(frozen=True, kw_only=True)
class CdkRun:
    """One finished call of the command line."""

    seconds: float
    output: str


@dataclass(frozen=True, kw_only=True)
class Cdk:
    """Runs `cdk` in the checkout for one environment file.

    Its home is a folder of its own: the CLI caches account ids there, and must not mix those of the
    embedded cloud with the user's.
    """

    environment: Path
    out: Path
    home: Path
    variables: Mapping[str, str]

    def bootstrap(self) -> CdkRun:
        """Make the bootstrap stack."""
        return self._run("bootstrap", "--app", "")

    def deploy(self) -> CdkRun:
        """Deploy every stack of the environment."""
        return self._run(
            "deploy", "--all", "--require-approval", "never", "--outputs-file", str(self._outputs)
        )

    def destroy(self) -> CdkRun:
        """Delete every stack of the environment."""
        return self._run("destroy", "--all", "--force")

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last deployment of the one stack."""
        (stack,) = json.loads(self._outputs.read_text()).values()
        return dict(stack)

    @property
    def _outputs(self) -> Path:
        return self.out.with_suffix(".outputs.json")

    def _run(self, *arguments: str) -> CdkRun:
        self.home.mkdir(parents=True, exist_ok=True)
        command = ["cdk", *arguments, "-c", f"environment={self.environment}", "--output", str(self.out)]
        started = time.monotonic()
        done = subprocess.run(
            [*command, "--no-color", "--no-notices", "--progress", "events"],
            cwd=ROOT,
            env={**self.variables, "HOME": str(self.home), "CDK_DISABLE_VERSION_CHECK": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.strip().splitlines()[-25:])
            raise CdkError(f"'{' '.join(command)}' exited with {done.returncode}:\n{tail}")
        return CdkRun(seconds=time.monotonic() - started, output=done.stdout)
