from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from adapters_cli.aws.account import Account
from adapters_cli.main import app
from adapters_cli.product import product_version


@pytest.mark.parametrize("client", ["cloudformation", "s3", "machines"])
def test_commands_try_again_where_a_service_throttles(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    retries = getattr(Account(), client).meta.config.retries
    assert (retries["mode"], retries["total_max_attempts"]) == ("standard", 6)


def test_components_are_read_no_faster_than_the_service_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    clients: dict[str, Any] = {}
    make = Account.client

    def client(self: Account, service: str, config: Any = None) -> Any:
        clients[service] = make(self, service, config)
        return clients[service]

    monkeypatch.setattr(Account, "client", client)
    assert Account().service is not None
    retries = clients["sagemaker"].meta.config.retries
    assert (retries["mode"], retries["total_max_attempts"]) == ("adaptive", 10)


def test_a_command_names_itself_and_its_version_in_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_SDK_UA_APP_ID", raising=False)
    account = Account()
    CliRunner().invoke(app, ["token"], obj=account)
    config: Any = account.s3.meta.config  # its types lack the members
    assert config.user_agent_appid == "adapters-token"
    assert config.user_agent.endswith(f" lib/cdk-multi-adapter-inference#{product_version()}")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "deployments")
    config = Account().s3.meta.config
    assert config.user_agent_appid == "deployments"


@pytest.mark.parametrize("value", ["nonsense", "http://", "localhost:4566", "http://127.0.0.1:99999"])
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
@pytest.mark.parametrize(
    "command", [["status", "--stack", "Tenants"], ["invoke", "Hello", "--endpoint", "llm", "-c", "llm-acme"]]
)
def test_address_that_is_none_is_nobody_to_ask(
    command: list[str], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
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
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["status", "--stack", "Tenants"])
    assert (result.exit_code, result.stderr) == (
        4,
        f"adapters: no region is given: set AWS_DEFAULT_REGION, or 'region' in the profile{more}\n",
    )
