from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from adapters_cli.main import app
from tests.adapter_fleet.fleet_world import World, adapter

RUNTIME = "https://runtime.sagemaker.eu-central-1.amazonaws.com"
Run = Callable[..., Result]


pytestmark = pytest.mark.usefixtures("aws_environment")


def lines(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


class TestFleet:
    @pytest.fixture(autouse=True)
    def deployed(self, world: World) -> None:
        world.deploy(adapter("acme"), adapter("beta"))
        world.settle()

    def test_adapter_has_the_address_and_the_name_of_its_component(self, run: Run) -> None:
        assert lines(run("url", "--stack", "Tenants", "acme", "--json", fleet=False)) == [
            {
                "name": "acme",
                "component": "p-acme",
                "endpoint": "endpoint",
                "base_url": f"{RUNTIME}/endpoints/endpoint/inference-components/p-acme/openai/v1",
                "model": "p-acme",
            }
        ]

    def test_base_model_has_no_model(self, run: Run) -> None:
        (line,) = lines(run("url", "--base", "--json"))
        assert (line["name"], line["model"]) == ("base", "")
        assert line["base_url"] == f"{RUNTIME}/endpoints/endpoint/inference-components/base/openai/v1"

    def test_base_model_has_no_model_if_its_component_is_named_either(self, run: Run) -> None:
        base, acme = lines(run("url", "-c", "base", "-c", "p-acme", "--json"))
        assert (base["name"], base["model"]) == ("base", "")
        assert (acme["name"], acme["model"]) == ("p-acme", "p-acme")

    def test_several_are_shown_in_the_order_given_with_how_to_get_a_token(self, run: Run) -> None:
        result = run("url", "beta", "acme")
        below = f"{RUNTIME}/endpoints/endpoint/inference-components"
        assert result.stdout == (
            f'beta\n  base_url  {below}/p-beta/openai/v1\n  model     "p-beta"\n'
            f'acme\n  base_url  {below}/p-acme/openai/v1\n  model     "p-acme"\n'
        )
        assert "`adapters token`" in result.stderr
        assert "BearerAuth" in result.stderr

    def test_adapter_that_the_fleet_does_not_have_is_an_error(self, run: Run) -> None:
        result = run("url", "acne")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "the fleet has no adapter 'acne'" in result.stderr

    def test_somebody_has_to_be_named(self, run: Run) -> None:
        assert run("url").exit_code == 2


def url(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["url", *arguments])


def test_component_of_an_endpoint_needs_no_fleet() -> None:
    (line,) = lines(url("llm", "-c", "llm-acme", "--json"))
    assert line["base_url"] == f"{RUNTIME}/endpoints/llm/inference-components/llm-acme/openai/v1"
    assert (line["name"], line["model"]) == ("llm-acme", "llm-acme")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"])
def test_address_is_that_of_the_embedded_cloud_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "https://127.0.0.1:4566/")
    (line,) = lines(url("llm", "-c", "llm-acme", "--json"))
    assert line["base_url"] == "https://127.0.0.1:4566/endpoints/llm/inference-components/llm-acme/openai/v1"


def test_region_in_another_partition_has_the_address_of_its_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    (line,) = lines(url("llm", "-c", "llm-acme", "--json"))
    assert line["base_url"].startswith("https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/endpoints/")


def test_without_a_region_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = url("llm", "-c", "llm-acme")
    assert result.exit_code == 4
    assert "no region is given" in result.stderr


def test_base_of_an_endpoint_is_not_known_without_its_fleet() -> None:
    assert url("llm", "-c", "llm-acme", "--base").exit_code == 2
    assert "cannot know which component is the base model" in " ".join(url("--help").stdout.split())
