"""Runs the embedded cloud during a `with` block, for tests, demos and benchmarks."""

import json
import os
import shlex
import subprocess
import sys
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from local_sagemaker.admin import AdminClient
from local_sagemaker.command import READY
from local_sagemaker.http_guards import TOKEN_VARIABLE
from local_sagemaker.settings import Profile

if TYPE_CHECKING:
    import boto3

_STOP_SECONDS = 30.0


class LocalCloudOptions(TypedDict, total=False):
    """Arguments of `LocalCloud`, as the fixture `local_cloud_options` returns them."""

    profile: Profile
    port: int
    iam: bool
    account: str
    state_dir: Path | None
    settings: dict[str, Any] | None


class LocalCloud:
    """Runs `local-sagemaker` during a `with` block.

    It has the `url` of every API, the `environment` for boto3 and the CDK command line, and `admin`, an
    `AdminClient`.

    profile:
        `kind`: everything goes well. `hostile`: everything goes wrong that may.
    port:
        The port on 127.0.0.1. Default: a free one.
    iam:
        Whether policies are enforced, over TLS with a CA of its own.
    account:
        The account's id.
    state_dir:
        A folder for archives and logs. Default: a temporary one.
    settings:
        Further settings of `admin.settings()`, by name.
    """

    url: str
    token: str
    environment: dict[str, str]
    admin: AdminClient
    process: "subprocess.Popen[str]"

    def __init__(
        self,
        *,
        profile: Profile = "kind",
        port: int = 0,
        iam: bool = False,
        account: str = "000000000000",
        state_dir: Path | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", "local_sagemaker", "--port", str(port)]
        self._command += ["--profile", profile, "--account", account, "--until-stdin-closes"]
        self._running = False
        if iam:
            self._command.append("--iam")
        if state_dir is not None:
            self._command += ["--state-dir", str(state_dir)]
        for name, value in (settings or {}).items():
            self._command += ["--set", f"{name}={json.dumps(value)}"]

    def __enter__(self) -> "LocalCloud":
        """Start the cloud."""
        return self.start()

    def start(self) -> "LocalCloud":
        """Start the cloud until `stop()` or the end of this process.

        Raises RuntimeError if it runs already, and with its output if it does not start.
        """
        if self._running:
            raise RuntimeError(f"the embedded cloud should be started once, got a second start at {self.url}")
        self.process = subprocess.Popen(
            self._command,
            # The pipe closes with this process, however it ends, and the command stops then.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Only this process receives a Ctrl-C of the terminal. It then stops the cloud.
            start_new_session=True,
        )
        exports: dict[str, str] = {}
        output: list[str] = []
        assert self.process.stdout is not None  # it was opened as a pipe
        for line in self.process.stdout:
            output.append(line)
            if line.strip() == READY:
                break
            # Of a start that failed, any line of the log may come.
            if line.startswith("export "):
                name, _, value = shlex.split(line)[1].partition("=")
                exports[name] = value
        else:
            self.process.wait()
            raise RuntimeError(f"the embedded cloud did not start: {''.join(output)}")
        # The command would block on a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.url = exports["AWS_ENDPOINT_URL"]
        self.token = exports.pop(TOKEN_VARIABLE)
        replaced = ("AWS_", TOKEN_VARIABLE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(replaced)}
        self.environment = kept | exports
        self.admin = AdminClient(self.url, self.token, exports.get("AWS_CA_BUNDLE"))
        self._running = True
        return self

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client without the user's AWS configuration."""
        variables = self.environment
        given = {
            "endpoint_url": self.url,
            "region_name": variables["AWS_DEFAULT_REGION"],
            "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
            "verify": variables.get("AWS_CA_BUNDLE"),
        }
        make: Any = self._session.client  # its types want each service by its name
        return make(service, **given | options)

    @cached_property
    def _session(self) -> "boto3.Session":
        # Imported here: tests that only deploy do not wait for it.
        import boto3
        from botocore.session import Session

        variables = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
        profile = (None, None, None, None)
        return boto3.Session(botocore_session=Session(session_vars={**variables, "profile": profile}))

    def __exit__(self, *_: object) -> None:
        """Stop the cloud."""
        self.stop()

    def stop(self) -> None:
        """Stop the cloud and wait for its end."""
        if not self._running:
            return
        self._running = False
        assert self.process.stdin is not None  # it was opened as a pipe
        self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
