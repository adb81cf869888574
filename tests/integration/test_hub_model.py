"""A model that a deployment copies from a hub: really deployed, from a stand-in on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from local_sagemaker.server import LocalCloud
from tests.hub import COMMIT, CONFIGURATION, File, Generated, HubStandIn, Stored, small_model
from tests.integration.by_hand import TICKETS, client, prompts
from tests.integration.hub_stack import PART, HubStack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

MODEL = "acme/tiny"
TOKEN = "hf_theSecretThatNobodyMaySee"
FOLDER = f"models/acme--tiny/{COMMIT}/"
MARKER = f"models/acme--tiny/{COMMIT}.complete.json"
MIB = 1024 * 1024


@pytest.fixture
def bucket(cloud: LocalCloud) -> Iterator[str]:
    s3 = client(cloud, "s3")
    name = f"hub-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for item in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=item["Key"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def stack(cloud: LocalCloud, bucket: str, tmp_path: Path) -> Iterator[Callable[..., HubStack]]:
    """Makes stacks that copy what a stand-in has, and deletes them."""
    made: list[HubStack] = []

    def make(hub: HubStandIn, **settings: Any) -> HubStack:
        made.append(HubStack(cloud, tmp_path, hub, **{"bucket": bucket, **settings}))
        return made[-1]

    yield make
    for one in made:
        with contextlib.suppress(Exception):
            one.delete()


@pytest.fixture
def secret(cloud: LocalCloud) -> Iterator[str]:
    yield from secrets(cloud)


def secrets(cloud: LocalCloud) -> Iterator[str]:
    manager = client(cloud, "secretsmanager")
    arn = str(manager.create_secret(Name=f"hub-{uuid.uuid4().hex[:8]}", SecretString=f"{TOKEN}\n")["ARN"])
    yield arn
    manager.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def digests(hub: HubStandIn) -> dict[str, str]:
    """Return the digests of all files of a model, by their keys."""
    found = {}
    for path, file in hub.files.items():
        hashed = hashlib.sha256()
        for piece in file.content.read(0, file.content.size):
            hashed.update(piece)
        found[FOLDER + path] = hashed.hexdigest()
    return found


def test_model_is_copied_byte_for_byte_whatever_happens_on_the_way(
    stack: Callable[..., HubStack], secret: str
) -> None:
    files = small_model(
        a=File(Generated(120 * MIB + 1, 1), fails=2, seconds_each=0.004),
        b=File(Generated(60 * MIB, 2), cut_at=[37 * MIB + 11, 49 * MIB], seconds_each=0.004),
        c=File(Generated(20 * MIB - 3, 3)),
    )
    with HubStandIn(MODEL, files, token=TOKEN) as hub:
        copied = stack(hub, secret=secret, part_size=cdk.Size.mebibytes(8))
        copied.create(wait=False)
        execution = copied.running()
        wait_until(lambda: hub.sent["a.safetensors"] > 24 * MIB, "a part of the first file was sent")
        copied.machines.stop_execution(executionArn=execution, cause="to look at something")
        deployed = copied.wait()
        assert deployed.status == "CREATE_COMPLETE", deployed.reason
        assert deployed.outputs["Prefix"] == FOLDER

        objects = copied.objects()
        expected = digests(hub)
        weights = [f"{name}.safetensors" for name in "abc"]
        found = {key: hashlib.sha256(body).hexdigest() for key, body in objects.items() if key != MARKER}
        assert found == {FOLDER + path: expected[FOLDER + path] for path in (*weights, *CONFIGURATION)}
        assert [file["path"] for file in json.loads(objects[MARKER])["files"]] == sorted(
            [*weights, *CONFIGURATION]
        )
        assert copied.uploads() == []

        # Three ranges were under way when the machine was stopped. What was cut off was not sent again.
        again = {
            at: sent
            for at, sent in hub.ranges.items()
            if sent > min(8 * MIB, files[at[0]].content.size - at[1])
        }
        assert len(again) <= 3
        total = sum(files[path].content.size for path in weights)
        assert sum(hub.sent[path] for path in weights) <= total + 3 * 8 * MIB
        assert hub.strangers == []
        assert leaks(copied) == []


def test_deployment_says_that_a_licence_is_not_accepted(stack: Callable[..., HubStack], secret: str) -> None:
    with HubStandIn(MODEL, small_model(), token=TOKEN) as hub:
        hub.gated = True
        gated = stack(hub, secret=secret)
        deployed = gated.create()
        assert deployed.status == "ROLLBACK_COMPLETE"
        assert f"the licence of '{MODEL}' is not accepted: do so at {hub.url}/{MODEL}" in deployed.reason
        assert TOKEN not in deployed.reason
        assert (gated.uploads(), hub.strangers) == ([], [])


def test_endpoint_serves_the_copy_without_a_network(
    stack: Callable[..., HubStack], cloud: LocalCloud
) -> None:
    files = {
        path.name: File(Stored(path.read_bytes()), lfs=path.suffix == ".safetensors")
        for path in (TICKETS / "base").iterdir()
    }
    with HubStandIn("acme/tickets", files) as hub:
        serving = stack(hub, served=True)
        deployed = serving.create()
        assert deployed.status == "CREATE_COMPLETE", deployed.reason
    prompt = prompts()[0]
    answer = client(cloud, "sagemaker-runtime").invoke_endpoint(
        EndpointName=deployed.outputs["EndpointName"],
        InferenceComponentName=deployed.outputs["BaseComponentName"],
        ContentType="application/json",
        Body=json.dumps({"inputs": prompt["prompt"], "parameters": {"max_new_tokens": 60, "temperature": 0}}),
    )
    assert json.loads(answer["Body"].read())["generated_text"] == prompt["answers"]["base"]


def test_deployment_that_has_no_time_left_says_how_far_it_is_and_the_next_one_goes_on(
    guarded: LocalCloud, tmp_path: Path
) -> None:
    """With IAM enforced: all that the functions do is in here."""
    bucket = f"hub-{uuid.uuid4().hex[:8]}"
    client(guarded, "s3").create_bucket(Bucket=bucket)
    slow = File(Generated(8 * PART, 2), seconds_each=0.2)
    files = small_model(a=File(Generated(PART + 1, 1), cut_at=[PART // 2]), b=slow)
    guarded.admin.scale_waits(0.1)
    with HubStandIn(MODEL, files, token=TOKEN) as hub, contextlib.contextmanager(secrets)(guarded) as secret:
        settings: dict[str, Any] = {"bucket": bucket, "secret": secret, "revision": "main"}
        late = HubStack(guarded, tmp_path, hub, timeout=cdk.Duration.seconds(6), **settings)
        deployed = late.create()
        assert deployed.status == "ROLLBACK_COMPLETE"
        assert f"'{MODEL}' is not copied after 0.1 minutes, the timeout: " in deployed.reason
        assert late.uploads() == []

        slow.seconds_each = 0
        records = [key.split(".verified/") for key in late.objects() if ".verified/" in key]
        sent = {path: hub.sent[path] for path in (record.rpartition("/")[0] for _, record in records)}
        following = HubStack(guarded, tmp_path, hub, **settings)
        deployed = following.create()
        assert deployed.status == "CREATE_COMPLETE", deployed.reason
        assert {path: hub.sent[path] for path in sent} == sent
        assert following.delete().status == "DELETE_COMPLETE"
        # The model stays; what is the stack's own goes.
        weights = {f"{FOLDER}{name}.safetensors" for name in "ab"}
        assert following.objects().keys() == {MARKER, *weights, *(FOLDER + path for path in CONFIGURATION)}
    guarded.admin.scale_waits(1)


@pytest.fixture
def moving(guarded: LocalCloud, tmp_path: Path) -> Iterator[tuple[HubStack, HubStandIn]]:
    """A stack with a whole copy, in a cloud that enforces IAM."""
    bucket = f"hub-{uuid.uuid4().hex[:8]}"
    client(guarded, "s3").create_bucket(Bucket=bucket)
    guarded.admin.scale_waits(0.1)
    with HubStandIn(MODEL, small_model(a=File(Generated(PART + 1, 1)))) as hub:
        copied = HubStack(guarded, tmp_path, hub, bucket=bucket, revision="main")
        deployed = copied.create()
        assert deployed.status == "CREATE_COMPLETE", deployed.reason
        yield copied, hub
        assert copied.delete().status == "DELETE_COMPLETE"
    guarded.admin.scale_waits(1)


def test_model_moves_to_another_prefix_and_to_another_bucket(
    moving: tuple[HubStack, HubStandIn], guarded: LocalCloud
) -> None:
    copied, _ = moving
    copied.settings["prefix"] = "elsewhere"
    deployed = copied.update({})
    assert deployed.status == "UPDATE_COMPLETE", deployed.reason
    assert f"elsewhere/acme--tiny/{COMMIT}.complete.json" in copied.objects()

    copied.bucket = f"{copied.bucket}-other"
    client(guarded, "s3").create_bucket(Bucket=copied.bucket)
    deployed = copied.update({})
    assert deployed.status == "UPDATE_COMPLETE", deployed.reason
    assert f"elsewhere/acme--tiny/{COMMIT}.complete.json" in copied.objects()


def test_change_to_a_model_that_cannot_be_had_is_rolled_back_to_the_copy_before(
    moving: tuple[HubStack, HubStandIn], guarded: LocalCloud
) -> None:
    copied, hub = moving
    before, sent = copied.objects(), hub.sent
    with (
        HubStandIn("acme/gated", small_model(), token=TOKEN) as gated,
        contextlib.contextmanager(secrets)(guarded) as copied.secret,
    ):
        gated.gated, copied.hub = True, gated
        deployed = copied.update({})
    assert "the licence of 'acme/gated' is not accepted" in deployed.reason
    assert deployed.status == "UPDATE_ROLLBACK_COMPLETE"
    found = copied.objects()
    assert {key: found.get(key) for key in before} == before
    assert hub.sent == sent


def leaks(copied: HubStack) -> list[str]:
    """Return where the token is found outside of its secret."""
    told = copied.told()
    assert any("copied a range" in text for text in told.values())
    told |= {key: body.decode("latin-1") for key, body in copied.objects().items()}
    return [name for name, text in told.items() if TOKEN in text]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.05)
