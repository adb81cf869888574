"""Which requests create the control plane of an account and a region, and what its monitor does."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import ministack.app
import pytest
from ministack.core.responses import get_account_id, get_region, request_scope

from local_sagemaker.autoscaling.service import AutoScaling
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.gateway.iam import resource_arn
from local_sagemaker.gateway.monitor import Monitor
from local_sagemaker.gateway.openai_path import OpenAIPath
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms, PolicyAction
from local_sagemaker.settings import Settings
from tests.local.credentials import bearer_token


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    return Cloud(tmp_path, Settings())


def chat(cloud: Cloud, token: str) -> httpx.Response:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(OpenAIPath(cloud))
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.post(
                "/endpoints/e/inference-components/c/openai/v1/chat/completions",
                headers={"Authorization": f"Bearer {token}"},
            )

    return asyncio.run(post())


def test_body_of_a_refused_chat_is_read(cloud: Cloud) -> None:
    """A server closes a connection whose request was not read, and the client's next one may be on it."""
    messages = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> object:
        return messages.pop()

    async def send(_: object) -> None:
        assert messages == []

    path = "/endpoints/e/openai/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    asyncio.run(OpenAIPath(cloud)(scope, receive, send))


def regions(cloud: Cloud) -> list[str]:
    return [region.name for region in cloud.regions()]


def test_token_creates_the_control_plane_of_its_region_by_a_true_signature_alone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ministack.app, "AUTH", True)
    answer = chat(cloud, bearer_token("000000000000", "guessed", region="xx-made-up-1"))
    assert (answer.status_code, regions(cloud)) == (403, [])
    answer = chat(cloud, bearer_token(region="eu-west-1"))
    assert "Endpoint e of account 000000000000 not found." in answer.text
    assert regions(cloud) == ["eu-west-1"]


@pytest.mark.parametrize("region", ["..", "EU", "r" * 64])
def test_text_that_is_no_region_creates_no_control_plane(cloud: Cloud, region: str) -> None:
    answer = chat(cloud, bearer_token(region=region))
    assert (answer.status_code, answer.json()["__type"]) == (403, "InvalidSignatureException")
    assert regions(cloud) == []


def refused(cloud: Cloud, body: bytes, *, target: str = "SageMaker.DescribeEndpoint") -> tuple[int, str, str]:
    headers = {"x-amz-target": target} if target else {}
    status, _, content = asyncio.run(cloud.handle("POST", "/", headers, body, {}))
    answer = json.loads(content)
    return status, answer["__type"], answer["message"]


@pytest.mark.parametrize("enforced", [False, True], ids=["without IAM", "with IAM"])
@pytest.mark.parametrize("body", [b"{", b"\x80", b"[]", b"[" * 100_000], ids=["cut", "bytes", "list", "deep"])
def test_body_that_is_no_json_object_is_refused(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, body: bytes, enforced: bool
) -> None:
    monkeypatch.setattr(ministack.app, "AUTH", enforced)
    assert refused(cloud, body)[:2] == (400, "SerializationException")
    # ministack asks for it before the gateway gets the request.
    assert resource_arn("/", "SageMaker.DescribeEndpoint", body, region="r", account="a") == "*"


def test_caller_removes_no_tag_of_an_aws_service(cloud: Cloud) -> None:
    body = json.dumps({"ResourceArn": "arn", "TagKeys": ["aws:cloudformation:stack-name"]}).encode()
    assert "'aws:' is reserved" in refused(cloud, body, target="SageMaker.DeleteTags")[2]


def test_request_without_an_operation_is_named_by_its_path(cloud: Cloud) -> None:
    status, code, message = refused(cloud, b"{}", target="")
    assert (status, code) == (400, "UnknownOperationException")
    assert message == "The embedded cloud does not know POST /."


def test_requests_to_one_name_in_several_regions_are_added_up(cloud: Cloud) -> None:
    for name in ("us-east-1", "eu-west-1"):
        with request_scope("000000000000", name):
            cloud.plane()
    for count, region in enumerate(cloud.regions(), start=1):
        region.copies.requests["one"] = count
    assert cloud.requests() == {"one": 3}


class FakeAlarms(Alarms):
    """Alarms that ring when a test says so."""

    policy_action: PolicyAction

    def __init__(self) -> None:
        super().__init__(lambda: 1.0)

    def on_policy(self, action: PolicyAction) -> None:
        self.policy_action = action

    def tick(self) -> None:
        """Nothing rings by itself."""


def test_alarm_scales_in_its_own_account_and_region(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[tuple[str, str, str, float | None]] = []

    def alarmed(_: AutoScaling, policy: str, alarm: Mapping[str, Any], value: float | None) -> None:
        del alarm
        acted.append((get_account_id(), get_region(), policy, value))

    monkeypatch.setattr(AutoScaling, "alarmed", alarmed)
    alarms = FakeAlarms()
    Monitor(cloud, alarms)
    with request_scope("111122223333", "eu-west-1"):
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
        with request_scope(account, "us-east-1"):
            cloud.plane()
    Monitor(cloud, FakeAlarms()).round()
    assert ticked == ["111122223333", "444455556666"]
    assert "scaling failed" in caplog.text
