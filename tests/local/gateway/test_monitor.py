"""What a round of the monitor does, and in whose account."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ministack.core.responses import get_account_id, get_region

from local_sagemaker.autoscaling.service import AutoScaling
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.gateway.monitor import Monitor
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms, PolicyAction
from local_sagemaker.ministack_patches.internals import scope
from local_sagemaker.settings import Settings


class FakeAlarms(Alarms):
    """Alarms that ring when a test says so."""

    policy_action: PolicyAction

    def __init__(self) -> None:
        super().__init__(lambda: 1.0)

    def on_policy(self, action: PolicyAction) -> None:
        self.policy_action = action

    def tick(self) -> None:
        """Nothing rings by itself."""


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    return Cloud(tmp_path, Settings())


def test_alarm_scales_in_its_own_account_and_region(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[tuple[str, str, str, float | None]] = []

    def alarmed(_: AutoScaling, policy: str, alarm: Mapping[str, Any], value: float | None) -> None:
        del alarm
        acted.append((get_account_id(), get_region(), policy, value))

    monkeypatch.setattr(AutoScaling, "alarmed", alarmed)
    alarms = FakeAlarms()
    Monitor(cloud, alarms)
    with scope("111122223333", "eu-west-1"):
        alarms.policy_action("arn:aws:autoscaling:x", {"AlarmName": "a"}, 3.0)
    assert acted == [("111122223333", "eu-west-1", "arn:aws:autoscaling:x", 3.0)]


def test_failure_in_one_account_does_not_keep_others_from_their_turn(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticked: list[str] = []

    def tick(_: AutoScaling) -> None:
        ticked.append(get_account_id())
        if len(ticked) == 1:
            raise RuntimeError("broken")

    monkeypatch.setattr(AutoScaling, "tick", tick)
    for account in ("111122223333", "444455556666"):
        with scope(account, "us-east-1"):
            cloud.plane()
    Monitor(cloud, FakeAlarms()).round()
    assert ticked == ["111122223333", "444455556666"]
    assert "scaling failed" in caplog.text
