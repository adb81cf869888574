"""What gets into a transcript, and what does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from verify_aws.account import RefusedError
from verify_aws.redaction import MOST_ITEMS, Redactor
from verify_aws.transcript import Answer, Transcript

ACCESS_KEY, SECRET_KEY = "ASIAEXAMPLEEXAMPLE01", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQDtoken+and/more="
PLANTED = {
    "access key": ACCESS_KEY,
    "secret key": SECRET_KEY,
    "session token": SESSION_TOKEN,
    "a foreign access key": "AKIAIOSFODNN7EXAMPLE",
    "a foreign secret key": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "bearer token": "sagemaker-api-key-c2FnZW1ha2VyLmFtYXpvbmF3cy5jb20vP0FjdGlvbg==",
    "hub token": "hf_AbCdEfGhIjKlMnOpQrStUvWxYz",
    "account": "123456789012",
    "another account": "210987654321",
    "person": "jane.doe",
    "mail": "jane@example.com",
    "role id": "AROAEXAMPLEEXAMPLE123",
    "request id": "5fd4cb6e-7f4c-4b0a-9f0a-2f6a3c1b2d3e",
    "host id": "eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran",
    "signature": "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
    "host": "runtime.sagemaker.us-east-1.amazonaws.com",
    "port": "127.0.0.1:45661",
    "run": "0f1e2d3c",
    "time": "2026-11-26T20:41:07",
}
LEAKS = (
    f"User: arn:aws:sts::123456789012:assumed-role/Admin/{PLANTED['person']} is not authorized",
    f"arn:aws:iam::210987654321:user/{PLANTED['person']}",
    f"(Service: SageMaker, Request ID: {PLANTED['request id']}, host id: {PLANTED['host id']})",
    f"https://{PLANTED['host']}/endpoints?X-Amz-Signature={PLANTED['signature']}&X-Amz-Credential={ACCESS_KEY}/x",
    f"http://{PLANTED['port']}/ at {PLANTED['time']}Z, told {PLANTED['mail']}",
    f"Authorization: Bearer {PLANTED['bearer token']} or {PLANTED['hub token']}",
    f"{SECRET_KEY} {SESSION_TOKEN} {PLANTED['a foreign access key']} {PLANTED['a foreign secret key']}",
    f"verify-aws-{PLANTED['run']}-one of {PLANTED['role id']}",
)


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(
        run=PLANTED["run"],
        account="123456789012",
        began=1_000.0,
        secrets=[ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, PLANTED["person"]],
    )


def test_no_planted_secret_is_in_a_transcript(tmp_path: Path, redactor: Redactor) -> None:
    path = tmp_path / "transcript.jsonl"
    transcript = Transcript(path, redactor, {"against": LEAKS[3]})
    refused = RefusedError("AccessDenied", " ".join(LEAKS), status=403)
    for leak in LEAKS:
        request: dict[str, Any] = {"Text": leak, "Tags": [{"Key": "note", "Value": leak}], leak: leak}
        transcript.call(
            "sagemaker.describe", request, seconds=1, answer={"Nested": {"Deep": [leak, (leak,)]}}
        )
        transcript.call("sagemaker.describe", request, seconds=1, error=RefusedError("No", leak, status=400))
        transcript.note(leak)
    transcript.experiment("one", seconds=1, answer=Answer(fields={"words": list(LEAKS)}))
    transcript.experiment("two", seconds=1, error=refused)
    written = path.read_text()
    assert [name for name, secret in PLANTED.items() if secret in written] == []


@pytest.mark.parametrize(
    "member", ["SecretAccessKey", "SessionToken", "Authorization", "Credentials", "ApiKey"]
)
def test_member_with_the_name_of_a_secret_is_masked_whatever_it_holds(
    redactor: Redactor, member: str
) -> None:
    assert redactor.value({member: "short", "Other": {member: {"a": "b"}}}) == {
        member: "[SECRET]",
        "Other": {member: "[SECRET]"},
    }


@pytest.mark.parametrize(
    "text",
    [
        'Cannot create already existing inference component "arn:aws:sagemaker:us-east-1:[ACCOUNT]:'
        'inference-component/verify-aws-RUN-adapter-one".',
        "The role verify-aws-RUN needs s3:GetObject on s3://verify-aws-RUN/adapters/one.tar.gz",
        "CapacityError: There are not enough hardware resources on the instances for this endpoint",
        "base_model.model.model.layers.23.mlp.down_proj.lora_A.weight, 6291456 bytes, 2.5 s, ml.g5.xlarge",
        "Loaded new LoRA adapter: name 'x', path '/opt/ml/models/adapters/x'",
    ],
)
def test_words_that_are_asked_for_stay(redactor: Redactor, text: str) -> None:
    mine = text.replace("RUN", PLANTED["run"]).replace("[ACCOUNT]", "123456789012")
    assert redactor.text(mine) == text


def test_times_are_counted_from_the_beginning(redactor: Redactor) -> None:
    moment = datetime.fromtimestamp(1_012.4, UTC)
    assert redactor.value({"CreationTime": moment}) == {"CreationTime": "T+12s"}


def test_bodies_and_long_lists_are_counted(redactor: Redactor) -> None:
    shown = redactor.value({"Body": b"12345", "Items": list(range(50))})
    assert shown["Body"] == "5 bytes"
    assert shown["Items"][-1] == f"… {50 - MOST_ITEMS} more"


def test_calls_that_repeat_themselves_are_one_line(tmp_path: Path, redactor: Redactor) -> None:
    path = tmp_path / "transcript.jsonl"
    transcript = Transcript(path, redactor, {})
    for status in ("Creating", "Creating", "Creating", "InService"):
        transcript.call("sagemaker.describe", {"Name": "a"}, seconds=1, answer={"Status": status})
        transcript.call("sagemaker.describe", {"Name": "b"}, seconds=1, answer={"Status": "InService"})
    transcript.save()
    calls = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert [(call["request"]["Name"], call["answer"]["Status"], call.get("repeated")) for call in calls] == [
        ("a", "Creating", 2),
        ("b", "InService", 3),
        ("a", "InService", None),
    ]
