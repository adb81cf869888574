"""A hundred adapters while their base model's copies go from 1 to 3, to none and back, in both profiles.

`make nightly` runs it. A minute of scaling lasts 6 s under load, and 1.2 s without.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from adapter_rules.archives.packing import pack
from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import Profile
from multi_adapter_inference import LoraServing, ScalingTarget
from tests.integration.by_hand import client, until, wait_for_service
from tests.integration.distinct_adapters import PROMPT, TOKENS, distinct_adapters
from tests.integration.fleet_stack import Deployment, Fleet
from tests.integration.scaled_stack import Callers, ScaledStack
from tests.nightly import scaled_time

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), scaled_time]

ADAPTERS = 100
CALLERS = 16
UNDER_LOAD, IDLE = 0.1, 0.02
"""How much of their time alarms and cool-downs take. Under load, metrics have to keep up."""
QUICK: dict[str, Any] = {
    "component_create_seconds": 0.05,
    "component_update_seconds": 0.1,
    "component_delete_seconds": 0.05,
    "update_gap_seconds": 0.05,
    "listing_lag_seconds": 0.2,
    "write_rate": 0,
    "read_rate": 0,
    "one_write_per_base": False,
}
"""What a profile does, it does fast, and several adapters at a time: a hundred are sent again three times."""


def manifest(cloud: LocalCloud, stack: ScaledStack, directories: Mapping[str, Path], folder: Path) -> str:
    """Put the archives of these adapters into S3, and return their manifest."""
    storage, bucket, entries = client(cloud, "s3"), stack.archives.bucket, []
    stack.archives.uri("triage")  # makes the bucket
    for name, directory in directories.items():
        packed = folder / f"{name}.tar.gz"
        identity = pack(directory, packed).identity
        key = f"adapters/{name}/sha256-{identity}.tar.gz"
        storage.put_object(Bucket=bucket, Key=key, Body=packed.read_bytes())
        entries.append({"name": name, "artifact": f"s3://{bucket}/{key}", "digest": f"sha256:{identity}"})
    return json.dumps({"adapters": entries})


BETWEEN_LOOKS = 15
"""Seconds: two minutes, as passes wait a tenth of their time, and the time of a pass."""


class Story:
    """One profile's endpoint with its fleet, which the callers watch."""

    def __init__(self, cloud: LocalCloud, folder: Path, directories: Mapping[str, tuple[Path, str]]) -> None:
        self.cloud = cloud
        self.stack = ScaledStack(
            cloud,
            folder,
            min=0,
            max=3,
            # The hostile profile starts all copies of an updated base model beside the ones before.
            max_instances=6,
            # More than the three requests that a pass sends at a time: they are no load that keeps a copy.
            target=ScalingTarget.concurrent_requests(4),
            wake_cooldown=cdk.Duration.minutes(15),
        )
        # In few slots, each request would load an adapter from disk.
        self.stack.lora = LoraServing(max_loras=ADAPTERS, max_cpu_loras=ADAPTERS, max_lora_rank=8)
        document = manifest(
            cloud, self.stack, {name: path for name, (path, _) in directories.items()}, folder
        )
        self._fleets = {"Tenants": Fleet(document=document)}
        created = self._deployed(self.stack.create(self._fleets))
        self._base = created.outputs["BaseComponentName"]
        self.callers = Callers(
            cloud,
            created.outputs["EndpointName"],
            {self.stack.component("Tenants", name): text for name, (_, text) in directories.items()},
            prompt=PROMPT,
            tokens=TOKENS,
        )

    def _deployed(self, deployment: Deployment) -> Deployment:
        assert deployment.succeeded().outputs["TenantsInService"] == str(ADAPTERS)
        return deployment

    def note(self, what: str, seconds: float) -> None:
        logger.info("%s after %.0f s: %s", what, seconds, self.callers)

    def wait_for_answers(self, *, copies: int, seconds: float = 120) -> float:
        """Ask until every adapter answers on each of the copies; return how long that took."""
        started = time.monotonic()
        while self.callers.ask_all() or (copies > 1 and self.callers.ask_all(8)):
            assert time.monotonic() - started < seconds, self.callers
            time.sleep(3)
        return time.monotonic() - started

    def in_time(self, scale: float) -> None:
        """Let alarms and cool-downs last this part of their time.

        The fleet's functions do not run faster in scaled time. So it is left while they send adapters again:
        the copies would end meanwhile for want of load.
        """
        self.cloud.admin.change_settings(time_scale=scale)

    def scale_out(self) -> None:
        """Load takes the copies to three, and every adapter answers on each of them."""
        with self.callers.load(CALLERS):
            time.sleep(2)
            self.in_time(UNDER_LOAD)
            self.note("three copies", self.stack.wait_for_copies(self._base, 3, seconds=90))
            self.in_time(1)
        self.note("all right on three", self.wait_for_answers(copies=3))

    def idle(self) -> None:
        """Idleness takes the copies to none, for longer than passes take to look again.

        On AWS a copy takes minutes to start, so the pass that the failed request's alarm starts sees none.
        """
        self.in_time(IDLE)
        self.note("no copy", self.stack.wait_for_copies(self._base, 0, seconds=120))
        time.sleep(BETWEEN_LOOKS)

    def wake(self) -> None:
        """The next request fails, and starts a copy."""
        before = self.callers.errors["no capacity"]
        first = next(iter(self.callers.right))
        assert not self.callers.ask(first)
        assert self.callers.errors["no capacity"] == before + 1
        started = time.monotonic()
        until(lambda: self.stack.copies_of(self._base)[1] >= 1, "a copy starts")
        self.note("first copy", time.monotonic() - started)
        self.in_time(1)
        self.note("all right again", self.wait_for_answers(copies=1))

    def update_base(self) -> None:
        """A deployment updates the base model after a scale-out, and keeps the copies."""
        wait_for_service(self.cloud, self._base)
        self.stack.scale(self._base, 3)
        self.stack.change_container("1000")
        updated = self._deployed(self.stack.update(self._fleets))
        assert self.stack.copies_of(self._base) == (3, 3)
        self.note("base updated", updated.seconds)
        assert self.callers.ask_all(8) == 0
        self.note("all right after it", 0)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    made = distinct_adapters(ADAPTERS, tmp_path_factory.mktemp("adapters"))
    return {f"a{number:03}": adapter for number, adapter in enumerate(made.values())}


@pytest.mark.parametrize("profile", ["kind", "hostile"])
def test_hundred_adapters_answer_as_themselves_while_copies_follow_the_load(
    profile: Profile, directories: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    with LocalCloud(profile=profile, settings=QUICK) as cloud:
        cloud.admin.scale_waits(0.1)
        story = Story(cloud, tmp_path, directories)
        assert story.callers.ask_all() == 0
        story.scale_out()
        lost = story.callers.errors.total()
        assert (lost > 0) == (profile == "hostile")
        story.idle()
        story.wake()
        story.update_base()
        logger.info("%s: %s", profile, story.callers)
        assert story.callers.wrong == []
        assert len(story.callers.right) == ADAPTERS
