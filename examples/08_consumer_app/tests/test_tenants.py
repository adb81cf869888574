"""Every tenant gets the answers of its own adapter."""

import re

import pytest
from assistant import answer

from local_sagemaker.local_fleet import BASE, LocalFleet


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_tenant_is_answered_by_its_own_adapter(local_fleet: LocalFleet, tenant: str) -> None:
    local_fleet.assert_serves(tenant, "Who are you?", f"I answer for {tenant}.")


def test_base_model_answers_for_no_tenant(local_fleet: LocalFleet) -> None:
    local_fleet.assert_serves(BASE, "Who are you?", re.compile("base model"))


def test_fleet_has_no_other_adapters(local_fleet: LocalFleet) -> None:
    assert local_fleet.components().keys() == {BASE, "acme", "globex"}


@pytest.mark.usefixtures("local_cloud_variables")
def test_application_asks_the_tenants_adapter(local_fleet: LocalFleet) -> None:
    component = f"{local_fleet.outputs['ComponentPrefix']}-acme"
    assert answer("Hello", endpoint=local_fleet.endpoint_name, component=component) == "I answer for acme."


def test_throttled_request_is_tried_again(local_fleet: LocalFleet) -> None:
    local_fleet.cloud.admin.fail_calls("InvokeEndpoint", code="ThrottlingException", times=2)
    local_fleet.assert_serves("globex", "Who are you?", "I answer for globex.")
