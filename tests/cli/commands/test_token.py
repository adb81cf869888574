from __future__ import annotations

import base64

import pytest
from typer.testing import CliRunner, Result

from adapters_cli.main import app

pytestmark = pytest.mark.usefixtures("aws_environment")


def token(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["token", *arguments])


def test_token_is_signed_with_the_credentials_and_for_the_region_of_the_session() -> None:
    result = token("--minutes", "60")
    assert (result.exit_code, result.stderr) == (0, "")
    text = base64.b64decode(result.stdout.strip().removeprefix("sagemaker-api-key-")).decode()
    assert text.startswith("sagemaker.amazonaws.com/?Action=CallWithBearerToken&")
    assert "Credential=key%2F" in text
    assert "eu-central-1%2Fsagemaker" in text
    assert "X-Amz-Expires=3600" in text


@pytest.mark.parametrize("minutes", ["0", "721", "10000000000000"])
def test_token_lives_at_most_twelve_hours(minutes: str) -> None:
    result = token("--minutes", minutes)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "invalid value for '--minutes'" in result.stderr


def test_without_credentials_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    result = token()
    assert (result.exit_code, result.stdout) == (4, "")
    assert "Unable to locate credentials" in result.stderr
