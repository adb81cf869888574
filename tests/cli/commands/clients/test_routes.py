from dataclasses import replace

import pytest
import yaml

from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import Run

# The address of the runtime depends on the region.
pytestmark = pytest.mark.usefixtures("aws_environment")


def test_each_adapter_is_an_entry_that_no_release_changes(run: Run, world: World) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    world.apply(adapter("acme"), adapter("zeta"))
    written = run("routes", "--to", "litellm")
    document = yaml.safe_load(written.stdout)
    entry = {
        "model_name": "acme",
        "litellm_params": {"model": "sagemaker_chat/endpoint", "aws_region_name": "eu-central-1"},
        "model_info": {"adapter": "acme"},
    }
    assert document["model_list"][0] == entry
    assert [one["model_name"] for one in document["model_list"]] == ["acme", "zeta"]
    assert document["litellm_settings"]["callbacks"] == ["adapter_fleet.aws.litellm_routes.follows"]
    assert document["environment_variables"].keys() == {"ROUTES_TABLE"}
    world.apply(adapter("acme", 2), adapter("zeta"))
    assert run("routes").stdout == written.stdout


def test_proxy_starts_only_with_keys_that_it_checks(run: Run, world: World) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    world.apply(adapter("acme"))
    document = yaml.safe_load(run("routes").stdout)
    keys = {"custom_auth": "keys.user_api_key_auth", "custom_auth_run_common_checks": True}
    assert document["general_settings"] == keys
    assert document["litellm_settings"]["enable_post_custom_auth_checks"] is True


def test_embedded_cloud_has_its_address_in_each_entry(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    world.apply(adapter("acme"))
    (entry,) = yaml.safe_load(run("routes").stdout)["model_list"]
    address = "http://127.0.0.1:4566/endpoints/endpoint/invocations"
    assert entry["litellm_params"]["sagemaker_base_url"] == address


def test_fleet_without_routes_and_another_gateway_are_refused(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    assert "has no routes; declare 'releases'" in run("routes").stderr
    assert run("routes", "--to", "envoy").exit_code == 2
