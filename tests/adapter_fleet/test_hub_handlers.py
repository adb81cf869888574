"""What the functions of a copy make of the secret that has the hub's token."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from adapter_fleet import hub_handlers
from adapter_fleet.hub_copy import CopyError
from tests.adapter_fleet.fake_bucket import client_error

SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:hub-AbCdEf"
EVENT = {"request": {}, "outcomes": [], "round": 0}


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
