"""`adapters pull` as a person runs it: from a stand-in of the hub to the embedded S3."""

import hashlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters_cli.main import app
from adapters_cli.output.exit_codes import NO_ANSWER
from local_sagemaker.server import LocalCloud
from tests.hub import COMMIT, CONFIGURATION, File, HubStandIn, small_model
from tests.integration.by_hand import client, until

pytestmark = pytest.mark.integration

MODEL, TOKEN = "acme/tiny", "hf_secret"
FOLDER = f"models/acme--tiny/{COMMIT}/"
WEIGHTS = f"{FOLDER}model.safetensors"
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
    def run(model: str = MODEL, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, "-m", "adapters_cli", "pull", model, f"s3://{bucket}/models"],
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


def test_pull_copies_what_is_not_there_with_the_same_bytes(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str, tmp_path: Path
) -> None:
    hub.files["tokenizer.json"].fails = 10_000
    failed = pull()
    assert failed.returncode == 1
    assert "503" in failed.stderr
    assert WEIGHTS in objects(cloud, bucket)

    # What is verified already is not sent again, not even into another cache.
    hub.files["tokenizer.json"].fails = 0
    sent = hub.sent["model.safetensors"]
    pulled = pull(HF_HOME=str(tmp_path / "another cache"))
    assert (pulled.returncode, pulled.stdout) == (0, f"s3://{bucket}/{FOLDER}\n"), pulled.stderr
    assert hub.sent["model.safetensors"] == sent
    found = objects(cloud, bucket)
    assert sorted(found) == sorted(FOLDER + path for path in ["model.safetensors", *CONFIGURATION])
    assert found[WEIGHTS] == hub.files["model.safetensors"].content
    assert hub.strangers == []

    # An object with other bytes is copied again.
    client(cloud, "s3").put_object(Bucket=bucket, Key=WEIGHTS, Body=b"weight" * 3_333_333 + b"123")
    assert pull().returncode == 0
    assert objects(cloud, bucket) == found

    all_sent, written = hub.sent.copy(), times(cloud, bucket)
    again = pull(HF_HOME=str(tmp_path / "another cache"))
    assert (again.returncode, again.stdout) == (0, pulled.stdout)
    assert f"{MODEL} at {COMMIT} is there already" in again.stderr
    assert (hub.sent, times(cloud, bucket)) == (all_sent, written)


def test_bytes_that_are_not_the_hubs_are_not_uploaded(
    pull: Pull, hub: HubStandIn, cloud: LocalCloud, bucket: str
) -> None:
    hub.files["model.safetensors"].digest = "0" * 64
    failed = pull()
    assert failed.returncode == 1
    assert "are not those that the hub has for 'model.safetensors': delete it and pull again" in failed.stderr
    assert WEIGHTS not in objects(cloud, bucket)


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
            until(lambda: process.poll() is not None or holds(), "the pull is under way")
            assert process.poll() is None
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
    interrupt: Callable[[str, Callable[[], bool]], Interrupted], cloud: LocalCloud, bucket: str
) -> None:
    s3 = client(cloud, "s3")

    def uploads() -> list[Any]:
        return list(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))

    ended = interrupt(SLOW_LINE, lambda: bool(uploads()))
    assert (ended.code, ended.seconds < 3, "Traceback" in ended.errors) == (130, True, False), ended
    assert uploads() == []


def test_each_refusal_of_the_hub_is_a_line(pull: Pull, hub: HubStandIn) -> None:
    unknown = pull("acme/other")
    nowhere = pull(HF_ENDPOINT="http://127.0.0.1:9")
    offline = pull(HF_HUB_OFFLINE="1")
    hub.gated = True
    gated = pull()
    answers = [(unknown, 1), (nowhere, NO_ANSWER), (offline, NO_ANSWER), (gated, 1)]
    assert [done.returncode for done, _ in answers] == [code for _, code in answers]
    assert [done.stderr for done, _ in answers if "Traceback" in done.stderr] == []
    assert nowhere.stderr.startswith("adapters: the hub at '127.0.0.1': ")
    assert nowhere.stderr.count("\n") == 1
    assert "offline mode is enabled" in offline.stderr
    assert "gated repo" in gated.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models/base"], "'TARGET' should be s3://bucket/prefix, got 'models/base'"),
        (["s3://models/base", "--revision", " "], "'--revision' should be a commit, branch or tag, got ' '"),
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], words: str) -> None:
    failed = CliRunner().invoke(app, ["pull", MODEL, *arguments])
    assert failed.exit_code == 2
    assert failed.stderr == f"adapters: {words}\nTry 'adapters pull --help'\n"


def test_library_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    failed = CliRunner().invoke(app, ["pull", MODEL, "s3://models/base"])
    assert failed.exit_code == 1
    assert 'pip install "${WHEEL}[hub]"' in failed.stderr
