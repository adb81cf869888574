"""What commands ask AWS with: clients, credentials and tokens."""

import base64
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters_cli.aws.account import Account
from adapters_cli.aws.components import meant_name
from adapters_cli.main import app
from adapters_cli.product import product_version
from tests.fakes import client_error

pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.mark.slow
def test_commands_try_again_where_a_service_throttles_and_read_components_no_faster_than_it_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retries: dict[str, tuple[str, int]] = {}
    make = Account.client

    def client(self: Account, service: str, config: Any = None) -> Any:
        made = make(self, service, config)
        found = made.meta.config.retries
        retries[service] = (found["mode"], found["total_max_attempts"])
        return made

    monkeypatch.setattr(Account, "client", client)
    account = Account()
    assert None not in (account.cloudformation, account.s3, account.machines, account.service)
    assert [retries[name] for name in ("cloudformation", "s3", "stepfunctions")] == [("standard", 6)] * 3
    assert retries["sagemaker"] == ("adaptive", 10)


def test_a_command_names_itself_and_its_version_in_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    CliRunner().invoke(app, ["token"], obj=account)
    config: Any = account.s3.meta.config  # its types lack the members
    assert config.user_agent_appid == "adapters-token"
    assert config.user_agent.endswith(f" lib/cdk-multi-adapter-inference#{product_version()}")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "deployments")
    config = Account().s3.meta.config
    assert config.user_agent_appid == "deployments"


@pytest.mark.parametrize("value", ["http://", "localhost:4566", "http://127.0.0.1:99999"])
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
@pytest.mark.parametrize(
    "command", [["status", "--stack", "Tenants"], ["invoke", "Hello", "--endpoint", "llm", "-c", "llm-acme"]]
)
def test_address_that_is_none_is_nobody_to_ask(
    command: list[str], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stderr) == (
        4,
        f"adapters: {name} should be an address such as 'https://host:4566', got {value!r}\n",
    )


@pytest.mark.parametrize(
    ("variables", "more"),
    [({}, ""), ({"AWS_REGION": "eu-central-1"}, "; AWS_REGION is set, and boto3 does not read it")],
    ids=["none", "another variable"],
)
def test_region_that_is_missing_is_told_with_what_gives_it(
    variables: dict[str, str], more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["status", "--stack", "Tenants"])
    assert (result.exit_code, result.stderr) == (
        4,
        f"adapters: no region is given: set AWS_DEFAULT_REGION, or 'region' in the profile{more}\n",
    )


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


def test_near_name_of_a_listing_is_meant_unless_the_caller_may_not_read_it() -> None:
    def denied() -> list[str]:
        raise client_error("AccessDenied", "not allowed")

    assert meant_name("Tenatns", lambda: ["Tenants", "Other"]) == "; did you mean 'Tenants'?"
    assert meant_name("Tenatns", denied) == ""
