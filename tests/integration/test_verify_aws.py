"""`make verify-aws` against the embedded cloud: what it finds out, and that it leaves nothing behind.

`RECORD=1 NIGHTLY=1 python -m pytest tests/integration/test_verify_aws.py -k committed` stores what it found.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES, Profile
from tests.integration.by_hand import client
from tests.nightly import long
from tests.verify_aws import embedded
from tests.verify_aws.embedded import CONTAINERS, PROFILES_ASKED, ROOT, SILENT, TRANSCRIPTS, committed
from verify_aws.experiments.catalog import EXPERIMENTS, NOT_ASKED
from verify_aws.summary import agrees, settings_of
from verify_aws.transcript import Record, differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200), long]

RECORD = os.environ.get("RECORD") == "1"
FROM_AWS = sorted(TRANSCRIPTS.glob("aws-*.jsonl"))
# Which measurement cannot be shorter than which setting.
TIMES = {
    "endpoint_seconds": ("references", "endpoint_seconds"),
    "component_create_seconds": ("references", "create_seconds"),
    "component_update_seconds": ("update_in_place", "update_seconds"),
    "component_delete_seconds": ("creation", "deletion_seconds"),
}
Answered = Callable[[Profile, str], Record]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    """The transcript of a run in a profile, with a container; each run is made once."""

    @cache
    def run(profile: Profile, container: str) -> Record:
        with embedded.cloud(profile) as running:
            before = inventory(running)
            record = embedded.run(running, tmp_path_factory.mktemp(f"{profile}-{container}"), container)
            assert inventory(running) == before
        return record

    return run


class TestAnswers:
    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("profile", PROFILES_ASKED)
    def test_answers_are_those_of_the_committed_transcript(
        self, answered: Answered, profile: Profile, container: str
    ) -> None:
        record = answered(profile, container)
        assert {name: one.error for name, one in record.outcomes.items() if one.error} == {}
        if RECORD:
            embedded.store(committed(profile, container), record, f"the embedded cloud, profile {profile}")
        assert differences(record, Record.read(committed(profile, container))) == []

    @pytest.mark.parametrize("container", CONTAINERS)
    def test_transcripts_differ_exactly_where_the_profiles_do(
        self, answered: Answered, container: str
    ) -> None:
        kind, hostile = (answered(profile, container) for profile in PROFILES_ASKED)
        assert embedded.unexplained(differences(kind, hostile)) == []
        for name in embedded.differing_settings(PROFILES["kind"], PROFILES["hostile"]):
            if (container, name) not in SILENT:
                assert kind.values(name) != hostile.values(name), name

    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("profile", PROFILES_ASKED)
    def test_answers_tell_the_settings(self, answered: Answered, profile: Profile, container: str) -> None:
        record = answered(profile, container)
        for name in PROFILES[profile].__dataclass_fields__:
            if name in NOT_ASKED or (container, name) in SILENT:
                continue
            values = record.values(name)
            assert values is not None, name
            assert agrees(values, getattr(PROFILES[profile], name)), (name, values)

    @pytest.mark.parametrize("profile", PROFILES_ASKED)
    def test_nothing_is_quicker_than_the_settings_say(self, answered: Answered, profile: Profile) -> None:
        record = answered(profile, "lmi")
        for setting, (experiment, measured) in TIMES.items():
            seconds = record.outcomes[experiment].measured[measured]
            assert seconds > 0.8 * getattr(PROFILES[profile], setting), setting

    @pytest.mark.parametrize(
        "transcript", [committed("hostile", "lmi"), *FROM_AWS], ids=lambda path: path.stem
    )
    def test_embedded_cloud_with_the_settings_of_a_transcript_gives_its_answers(
        self, transcript: Path, tmp_path: Path
    ) -> None:
        wanted = Record.read(transcript)
        with embedded.cloud("kind", settings_of(wanted)) as running:
            record = embedded.run(running, tmp_path, wanted.header["dialect"])
        assert differences(record, wanted) == []


# --- nothing stays


def inventory(running: LocalCloud) -> dict[str, list[str]]:
    """Return the names of everything that a run could make or cause."""
    sagemaker, scaling = client(running, "sagemaker"), client(running, "application-autoscaling")
    kinds: dict[str, tuple[Any, str, str, str]] = {
        "component": (
            sagemaker,
            "list_inference_components",
            "InferenceComponents",
            "InferenceComponentName",
        ),
        "endpoint": (sagemaker, "list_endpoints", "Endpoints", "EndpointName"),
        "configuration": (sagemaker, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
        "model": (sagemaker, "list_models", "Models", "ModelName"),
        "stack": (client(running, "cloudformation"), "describe_stacks", "Stacks", "StackName"),
        "role": (client(running, "iam"), "list_roles", "Roles", "RoleName"),
        "log group": (client(running, "logs"), "describe_log_groups", "logGroups", "logGroupName"),
        "alarm": (client(running, "cloudwatch"), "describe_alarms", "MetricAlarms", "AlarmName"),
    }
    found = {
        kind: sorted(item[name] for page in service.get_paginator(operation).paginate() for item in page[key])
        for kind, (service, operation, key, name) in kinds.items()
    }
    buckets = client(running, "s3").list_buckets()["Buckets"]
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return found | {
        "bucket": sorted(bucket["Name"] for bucket in buckets),
        "target": sorted(target["ResourceId"] for target in targets),
    }


@pytest.fixture(scope="module")
def clouds() -> Iterator[Callable[[Profile], LocalCloud]]:
    """A cloud of each profile, which the interrupted runs share: what one left, the next would find."""
    started: dict[Profile, Any] = {}

    def cloud(profile: Profile) -> LocalCloud:
        if profile not in started:
            context = embedded.cloud(profile)
            started[profile] = (context.__enter__(), context)
        running: LocalCloud = started[profile][0]
        return running

    yield cloud
    for _, context in started.values():
        context.__exit__(None, None, None)


def begun(running: LocalCloud, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        embedded.command(out, "lmi", *more),
        cwd=ROOT,
        env=running.environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_something_is_made(running: LocalCloud, empty: dict[str, list[str]]) -> None:
    deadline = time.monotonic() + 60
    while inventory(running) == empty:
        assert time.monotonic() < deadline
        time.sleep(0.05)


# As long as the experiments take on an idle machine, and less than on a busy one.
LONGEST_SECONDS = {"kind": 50.0, "hostile": 70.0}
DICE = random.Random(os.environ.get("SEED"))


class TestInterruptedRun:
    @pytest.mark.parametrize("number", range(10))
    def test_leaves_nothing_behind(
        self, clouds: Callable[[Profile], LocalCloud], number: int, tmp_path: Path
    ) -> None:
        profile, share = PROFILES_ASKED[number % 2], DICE.random()
        logging.info("%s, after %.2f of %.0f s", profile, share, LONGEST_SECONDS[profile])
        running = clouds(profile)
        empty = inventory(running)
        process = begun(running, tmp_path)
        until_something_is_made(running, empty)
        time.sleep(share * LONGEST_SECONDS[profile])
        process.send_signal((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[number % 3])
        # Another signal, as of somebody who is in a hurry, does not end the removal.
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
        # On an idle machine, the latest points are in the removal.
        if f"{len(EXPERIMENTS)} of {len(EXPERIMENTS)}" not in said:
            assert process.returncode == 1, said
            assert "interrupted by" in next(tmp_path.glob("*.jsonl")).read_text()
        # Long enough for the last lines of containers.
        time.sleep(3)
        assert inventory(running) == empty, said

    def test_time_limit_ends_a_run_that_leaves_nothing_behind(
        self, clouds: Callable[[Profile], LocalCloud], tmp_path: Path
    ) -> None:
        running = clouds("kind")
        empty = inventory(running)
        process = begun(running, tmp_path, "--time-limit", "0.2")
        _, said = process.communicate(timeout=300)
        assert process.returncode == 1, said
        assert "the time limit was reached" in said
        assert inventory(running) == empty, said

    @pytest.mark.parametrize("profile", PROFILES_ASKED)
    def test_what_a_killed_run_left_is_found_and_removed_by_a_second_one(
        self, clouds: Callable[[Profile], LocalCloud], profile: Profile, tmp_path: Path
    ) -> None:
        running = clouds(profile)
        empty = inventory(running)
        # It has the name of a run, and no tag: it is somebody else's.
        foreign = "verify-aws-00000000"
        role = client(running, "iam").create_role(
            RoleName=foreign, Path="/verify-aws/", AssumeRolePolicyDocument="{}"
        )
        process = begun(running, tmp_path)
        until_something_is_made(running, empty | {"role": [foreign]})
        time.sleep(DICE.uniform(5, 30))
        process.kill()
        process.communicate()
        assert len(inventory(running)["component"]) > 0

        done = subprocess.run(
            embedded.command(tmp_path, "lmi", "--clean-up"),
            cwd=ROOT,
            env=running.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert foreign not in done.stderr
        assert inventory(running) == empty | {"role": [role["Role"]["RoleName"]]}, done.stderr
        client(running, "iam").delete_role(RoleName=foreign)


# --- permissions


def test_permissions_of_the_guide_are_enough(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guides" / "verify-aws.md").read_text()
    (policy,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    with LocalCloud(profile="kind", iam=True, settings=embedded.QUICK) as running:
        iam = client(running, "iam")
        iam.create_user(UserName="verifier")
        iam.put_user_policy(
            UserName="verifier", PolicyName="own", PolicyDocument=json.dumps(json.loads(policy))
        )
        key = iam.create_access_key(UserName="verifier")["AccessKey"]
        done = subprocess.run(
            embedded.command(tmp_path, "lmi"),
            cwd=ROOT,
            env=running.environment
            | {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.jsonl")
    record = Record.read(path)
    assert list(record.outcomes) == [one.name for one in EXPERIMENTS]
    text = path.read_text()
    assert "is not authorized to perform" not in text
    # Not the keys either, though every call was signed with them.
    assert key["SecretAccessKey"] not in text
    assert key["AccessKeyId"] not in text
