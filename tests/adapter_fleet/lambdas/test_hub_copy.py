"""What the functions of a copy make of the secret that has the hub's token."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from adapter_fleet.hub.copy import CopyError, CopyRequest
from adapter_fleet.lambdas import hub_copy as hub_handlers
from tests.fakes.errors import client_error
from tests.hub import COMMIT

SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:hub-AbCdEf"
REQUEST = CopyRequest(model_id="acme/tiny", revision=COMMIT, bucket="b", prefix="", who="me", part_bytes=100)
EVENT = {"request": asdict(REQUEST), "outcomes": [], "round": 0, "attempt": 0}


class FakeSecrets:
    """Secrets Manager with one secret."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self._answer = answer

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 - the name is boto3's
        assert SecretId == SECRET
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (client_error("ResourceNotFoundException"), f"the secret '{SECRET}' of the hub's token is not there"),
        ({"SecretBinary": b"hf_SECRET"}, f"the secret '{SECRET}' should hold the hub's token as text"),
        ({"SecretString": '{\n "token": "hf_SECRET"\n}'}, "the hub's token should be printable ASCII"),
    ],
)
def test_secret_without_a_token_ends_the_copy_with_why_and_not_with_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception, reason: str
) -> None:
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    monkeypatch.setenv("HUB_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(boto3, "client", lambda _name, **_: FakeSecrets(answer))
    with pytest.raises(CopyError) as caught:
        hub_handlers.plan(EVENT, None)  # type: ignore[arg-type]
    assert str(caught.value).startswith(reason)
    assert "hf_SECRET" not in repr(caught.value)


@pytest.mark.parametrize(("seconds_ago", "raised"), [(0, ClientError), (600, CopyError)])
def test_plan_is_called_again_where_a_denial_may_pass_and_says_one_that_lasts(
    monkeypatch: pytest.MonkeyPatch, seconds_ago: int, raised: type[Exception]
) -> None:
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    monkeypatch.setenv("HUB_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        boto3, "client", lambda _name, **_: FakeSecrets(client_error("AccessDeniedException"))
    )
    request = replace(REQUEST, asked_at=time.time() - seconds_ago)
    with pytest.raises(raised, match="AccessDeniedException"):
        hub_handlers.plan({**EVENT, "request": asdict(request)}, None)  # type: ignore[arg-type]
