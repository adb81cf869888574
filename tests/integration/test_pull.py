"""`adapters pull` as a person runs it: from a stand-in of the hub to the embedded S3."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from adapters_cli.main import app
from adapters_cli.output.exit_codes import NO_ANSWER
from local_sagemaker.server import LocalCloud
from tests.hub import COMMIT, CONFIGURATION, File, HubStandIn, small_model
from tests.integration.by_hand import client

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

MODEL, TOKEN = "acme/tiny", "hf_secret"
FOLDER = f"models/acme--tiny/{COMMIT}/"
SIZE = 20_000_001

Pull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    files = small_model(File(hashlib.shake_256(b"weights").digest(SIZE)))
    with HubStandIn(MODEL, files, token=TOKEN) as running:
        yield running


@pytest.fixture
def bucket(cloud: LocalCloud) -> str:
    name = f"pulled-{uuid.uuid4().hex[:8]}"
    client(cloud, "s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def pull(cloud: LocalCloud, hub: HubStandIn, bucket: str, tmp_path: Path) -> Pull:
    def run(model: str = MODEL, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, "-m", "adapters_cli", "pull", model, f"s3://{bucket}/models", *arguments],
            env=cloud.environment | own | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def objects(cloud: LocalCloud, bucket: str) -> dict[str, bytes]:
    s3: Any = client(cloud, "s3")
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in found}


def times(cloud: LocalCloud, bucket: str) -> dict[str, Any]:
    found = client(cloud, "s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return {item["Key"]: item["LastModified"] for item in found}


def test_model_is_pulled_into_a_folder_of_its_own(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str
) -> None:
    pulled = pull()
    assert (pulled.returncode, pulled.stdout) == (0, f"s3://{bucket}/{FOLDER}\n"), pulled.stderr
    found = objects(cloud, bucket)
    paths = sorted(["model.safetensors", *CONFIGURATION])
    assert sorted(found) == [FOLDER + path for path in paths]
    assert found[f"{FOLDER}model.safetensors"] == hub.files["model.safetensors"].content
    assert hub.strangers == []


def test_second_pull_of_a_commit_sends_nothing(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str, tmp_path: Path
) -> None:
    pulled, sent = pull(), hub.sent.copy()
    written = times(cloud, bucket)
    again = pull(HF_HOME=str(tmp_path / "another cache"))
    assert (again.returncode, again.stdout) == (0, pulled.stdout)
    assert f"{MODEL} at {COMMIT} is there already" in again.stderr
    assert (hub.sent, times(cloud, bucket)) == (sent, written)


@pytest.mark.parametrize("other", [b"others", b"weight" * 3_333_333 + b"123"])
def test_object_with_other_bytes_is_copied_again(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str, other: bytes
) -> None:
    pull()
    found = objects(cloud, bucket)
    key = f"{FOLDER}model.safetensors"
    client(cloud, "s3").put_object(Bucket=bucket, Key=key, Body=other)
    assert pull().returncode == 0
    assert objects(cloud, bucket) == found


def test_pull_takes_up_what_is_verified_already(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str, tmp_path: Path
) -> None:
    hub.files["tokenizer.json"].fails = 10_000
    failed = pull()
    assert failed.returncode == 1
    assert "503" in failed.stderr
    assert f"{FOLDER}model.safetensors" in objects(cloud, bucket)
    hub.files["tokenizer.json"].fails = 0
    sent = hub.sent["model.safetensors"]
    assert pull(HF_HOME=str(tmp_path / "another cache")).returncode == 0
    assert hub.sent["model.safetensors"] == sent
    assert f"{FOLDER}tokenizer.json" in objects(cloud, bucket)


def test_bytes_that_are_not_the_hubs_are_not_uploaded(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str
) -> None:
    hub.files["model.safetensors"].digest = "0" * 64
    failed = pull()
    assert failed.returncode == 1
    assert "are not those that the hub has for 'model.safetensors': delete it and pull again" in failed.stderr
    assert f"{FOLDER}model.safetensors" not in objects(cloud, bucket)


@dataclass
class Interrupted:
    """How a pull ended that was interrupted, and how long after."""

    code: int
    seconds: float
    errors: str


@pytest.fixture
def interrupt(
    cloud: LocalCloud, hub: HubStandIn, bucket: str, tmp_path: Path
) -> Callable[[str, Callable[[], bool]], Interrupted]:
    """Runs a script that pulls, and interrupts it as Ctrl-C does once something holds."""

    def run(script: str, holds: Callable[[], bool]) -> Interrupted:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "cache")}
        process = subprocess.Popen(
            [sys.executable, "-c", script, "pull", MODEL, f"s3://{bucket}/models"],
            env=cloud.environment | own,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deadline = time.monotonic() + 30
            while not holds():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
        return Interrupted(code=process.returncode, seconds=time.monotonic() - began, errors=errors)

    return run


PULLING = "from adapters_cli.main import main; main()"
SLOW_LINE = """
import time
from adapters_cli.aws.account import Account
from adapters_cli.main import app
account = Account()
account.s3.meta.events.register("before-send.s3.UploadPart", lambda **_: time.sleep(20))
app(obj=account)
"""


def test_interrupt_ends_a_download_and_the_next_pull_starts_from_nothing_half_done(
    interrupt: Callable[[str, Callable[[], bool]], Interrupted], pull: Pull, hub: HubStandIn, tmp_path: Path
) -> None:
    weights = hub.files["model.safetensors"]
    weights.seconds_each = 0.2
    ended = interrupt(PULLING, lambda: hub.sent["model.safetensors"] > 0)
    assert (ended.code, ended.seconds < 3, "Traceback" in ended.errors) == (130, True, False), ended
    assert hub.sent["model.safetensors"] < SIZE
    assert list((tmp_path / "cache").rglob("*.incomplete")) == []
    weights.seconds_each = 0
    assert pull().returncode == 0


def test_interrupt_ends_an_upload_on_a_slow_line_and_leaves_none_of_its_parts(
    interrupt: Callable[[str, Callable[[], bool]], Interrupted], pull: Pull, cloud: LocalCloud, bucket: str
) -> None:
    s3 = client(cloud, "s3")

    def uploads() -> list[Any]:
        return list(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))

    ended = interrupt(SLOW_LINE, lambda: bool(uploads()))
    assert (ended.code, ended.seconds < 3, "Traceback" in ended.errors) == (130, True, False), ended
    assert uploads() == []
    assert pull().returncode == 0


def test_what_the_hub_refuses_is_told_without_a_traceback(pull: Pull, hub: HubStandIn) -> None:
    hub.gated = True
    failed = pull()
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert "gated repo" in failed.stderr


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://hub.invalid"])
def test_hub_that_is_not_there_is_told_in_a_line(pull: Pull, endpoint: str) -> None:
    failed = pull(HF_ENDPOINT=endpoint)
    assert failed.returncode == NO_ANSWER
    assert failed.stderr.startswith(f"adapters: the hub at '{urlsplit(endpoint).hostname}': ")
    assert failed.stderr.count("\n") == 1


def test_library_that_is_to_stay_offline_asks_nobody(pull: Pull) -> None:
    failed = pull(HF_HUB_OFFLINE="1")
    assert failed.returncode == NO_ANSWER
    assert "offline mode is enabled" in failed.stderr


@pytest.mark.parametrize("arguments", [("acme/other",), (MODEL, "--revision", "no-such"), ("a/b/c",)])
def test_what_the_hub_does_not_have_is_a_no(pull: Pull, arguments: tuple[str, ...]) -> None:
    assert pull(*arguments).returncode == 1


HELP = "Try 'adapters pull --help'\n"


def test_target_that_is_no_place_in_s3_is_told() -> None:
    failed = CliRunner().invoke(app, ["pull", MODEL, "models/base"])
    assert failed.exit_code == 2
    assert failed.stderr == "adapters: 'TARGET' should be s3://bucket/prefix, got 'models/base'\n" + HELP


@pytest.mark.parametrize("revision", ["", " "])
def test_revision_that_is_nothing_is_told(revision: str) -> None:
    failed = CliRunner().invoke(app, ["pull", MODEL, "s3://models/base", "--revision", revision])
    assert failed.exit_code == 2
    assert (
        failed.stderr == f"adapters: '--revision' should be a commit, branch or tag, got {revision!r}\n{HELP}"
    )


def test_help_says_how_a_model_is_written() -> None:
    assert "ORGANIZATION/NAME" in CliRunner().invoke(app, ["pull", "--help"]).stdout


def test_library_that_is_not_installed_is_told() -> None:
    script = (
        "import sys; sys.modules['huggingface_hub'] = None;"
        f" sys.argv = {json.dumps(['adapters', 'pull', MODEL, 's3://models/base'])};"
        " from adapters_cli.main import main; main()"
    )
    failed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "pip install 'cdk-multi-adapter-inference[hub]'" in failed.stderr
