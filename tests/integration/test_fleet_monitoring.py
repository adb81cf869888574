"""The dashboard shows what the endpoint and the fleet publish, and alarms ring for their faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from adapter_fleet.fleet.requests.is_complete import STANDSTILL_PASSES
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import AdapterFleet, DriftCheck, FailurePolicy, IMultiAdapterEndpoint
from tests.integration.by_hand import V1, changed_settings, client, prompts
from tests.integration.fleet_stack import BROKEN, Deployment, Fleet
from tests.integration.scaled_stack import ScaledStack
from tests.nightly import scaled_time

pytestmark = pytest.mark.integration

ADAPTERS = {"one": "triage", "two": "summary", "three": "shout"}
SETTINGS = {
    "failure_policy": FailurePolicy.share(1.0),
    "drift_check": DriftCheck.report(every=cdk.Duration.hours(1), probes=None),
}
SCALE = 0.01
NOT_SIMULATED = {"GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized"}


class WatchedStack(ScaledStack):
    """A stack whose fleet has a dashboard and alarms; outputs `Dashboard` and `Alarms`."""

    max_model_latency = cdk.Duration.minutes(5)

    def _fleet(
        self, stack: cdk.Stack, id: str, fleet: Fleet, endpoint: IMultiAdapterEndpoint, folder: Path
    ) -> AdapterFleet:
        made = super()._fleet(stack, id, fleet, endpoint, folder)
        monitoring = made.monitor(
            max_model_latency=self.max_model_latency, max_convergence_age=cdk.Duration.seconds(20)
        )
        cdk.CfnOutput(stack, "Dashboard", value=monitoring.dashboard.dashboard_name)
        names = {name: alarm.alarm_name for name, alarm in monitoring.alarms.items()}
        cdk.CfnOutput(stack, "Alarms", value=stack.to_json_string(names))
        return made


@pytest.fixture(scope="module")
def stack(
    cloud: LocalCloud, short_waits: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedStack]:
    stack = WatchedStack(cloud, tmp_path_factory.mktemp("watched"), min=1, max=2)
    with changed_settings(cloud, time_scale=SCALE):
        yield stack
        assert stack.delete().status == "DELETE_COMPLETE"


def fleets(stack: WatchedStack, **more: str) -> dict[str, Fleet]:
    """Return the fleet, whose adapters have the beginning of their answers as probes."""
    manifest = json.loads(stack.archives.manifest({**ADAPTERS, **more}, local=True))
    prompt = prompts()[0]
    for entry in manifest["adapters"]:
        if entry["name"] in ADAPTERS:
            answer = prompt["answers"][ADAPTERS[entry["name"]]][:20]
            entry["probe"] = {"prompt": prompt["prompt"], "answer": answer}
    return {"Tenants": Fleet(document=json.dumps(manifest), settings=SETTINGS)}


@pytest.fixture(scope="module")
def deployed(stack: WatchedStack) -> Deployment:
    created = stack.create(fleets(stack))
    assert created.status == "CREATE_COMPLETE", created.reason
    with stack.load(created.outputs["EndpointName"], ADAPTERS, callers=2) as load:
        time.sleep(3)
    assert load.wrong == []
    return created


def dashboard(cloud: LocalCloud, deployed: Deployment) -> list[dict[str, Any]]:
    """Return the widgets."""
    found = client(cloud, "cloudwatch").get_dashboard(DashboardName=deployed.outputs["Dashboard"])
    widgets: list[dict[str, Any]] = json.loads(found["DashboardBody"])["widgets"]
    return widgets


def queries(widget: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the queries of a widget as GetMetricData has them."""
    made = []
    for number, row in enumerate(widget["properties"].get("metrics", [])):
        *names, options = row if isinstance(row[-1], dict) else [*row, {}]
        period = int(options.get("period", 300))
        if "expression" in options:
            made.append({"Id": f"q{number}", "Expression": options["expression"], "Period": period})
            continue
        namespace, name, *dimensions = names
        metric = {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [
                {"Name": key, "Value": value}
                for key, value in zip(dimensions[::2], dimensions[1::2], strict=True)
            ],
        }
        stat = options.get("stat", "Average")
        made.append({"Id": f"q{number}", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}})
    return made


def without_data(cloud: LocalCloud, widget: Mapping[str, Any]) -> set[str]:
    """Return the metrics and expressions of a widget that have no value."""
    now, missing = time.time(), set()
    for query in queries(widget):
        results = client(cloud, "cloudwatch").get_metric_data(
            StartTime=now - 3600, EndTime=now + 60, MetricDataQueries=[query]
        )["MetricDataResults"]
        if not any(result["Values"] for result in results):
            missing.add(query.get("Expression") or query["MetricStat"]["Metric"]["MetricName"])
    return missing


def test_every_query_of_the_dashboard_has_data_after_a_run_of_load(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment
) -> None:
    # No request has failed for want of a copy yet.
    none_yet = 'SELECT SUM(NoCapacityInvocationFailures) FROM SCHEMA("AWS/SageMaker", InferenceComponentName)'
    graphs = [widget for widget in dashboard(cloud, deployed) if widget["type"] == "metric"]
    assert len(graphs) == 15
    missing = {widget["properties"]["title"]: without_data(cloud, widget) for widget in graphs}
    unexpected = {title: names - NOT_SIMULATED - {none_yet} for title, names in missing.items()}
    assert {title: names for title, names in unexpected.items() if names} == {}


def ringing(cloud: LocalCloud, deployed: Deployment) -> set[str]:
    """Return the alarms that ring."""
    names = {alarm: name for name, alarm in json.loads(deployed.outputs["Alarms"]).items()}
    found = client(cloud, "cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    assert len(found) == len(names)
    return {names[alarm["AlarmName"]] for alarm in found if alarm["StateValue"] == "ALARM"}


def wait_for(cloud: LocalCloud, deployed: Deployment, expected: set[str], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while (found := ringing(cloud, deployed)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def wait_for_one(cloud: LocalCloud, deployed: Deployment, name: str, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while name not in (found := ringing(cloud, deployed)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_no_alarm_rings_without_a_fault(cloud: LocalCloud, deployed: Deployment) -> None:
    # As long as each alarm but UncheckedCopies looks back: 15 minutes.
    time.sleep(3600 * SCALE / 4)
    assert ringing(cloud, deployed) == set()


def test_adapter_that_fails_rings_until_it_is_gone(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment
) -> None:
    assert stack.update(fleets(stack, four=BROKEN)).status == "UPDATE_COMPLETE"
    wait_for(cloud, deployed, {"Failed"})
    assert stack.update(fleets(stack)).status == "UPDATE_COMPLETE"
    wait_for(cloud, deployed, set())


@scaled_time
def test_swap_rings_until_the_adapter_itself_answers_again(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment
) -> None:
    component = stack.component("Tenants", "one")
    cloud.admin.swap(component, directory=V1 / "summary")
    check_for_drift(cloud, deployed)
    wait_for(cloud, deployed, {"Failed", "Misidentified"})
    cloud.admin.swap(component, directory=V1 / "triage")
    check_for_drift(cloud, deployed)
    wait_for(cloud, deployed, set())


@scaled_time
def test_change_that_does_not_end_rings_until_it_does(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment
) -> None:
    cloud.admin.hold(stack.component("Tenants", "four"))
    stack.update(fleets(stack, four="triage"), wait=False)
    wait_for(cloud, deployed, {"Behind"}, seconds=60)
    cloud.admin.release(stack.component("Tenants", "four"))
    assert stack.wait().status == "UPDATE_COMPLETE"
    wait_for(cloud, deployed, set())
    assert stack.update(fleets(stack)).status == "UPDATE_COMPLETE"


def check_for_drift(cloud: LocalCloud, deployed: Deployment) -> None:
    machines: Any = client(cloud, "stepfunctions")
    execution = machines.start_execution(
        stateMachineArn=deployed.outputs["TenantsMachine"],
        input=json.dumps({"trigger": "drift", "requested_at": "2026-01-01T00:00:00Z"}),
    )["executionArn"]
    deadline = time.monotonic() + 60
    while machines.describe_execution(executionArn=execution)["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.2)


@scaled_time
def test_slow_adapter_rings_until_it_is_not_asked(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "max_model_latency", cdk.Duration.millis(1))
    assert stack.update(fleets(stack)).status == "UPDATE_COMPLETE"
    with stack.load(deployed.outputs["EndpointName"], ADAPTERS, callers=1):
        wait_for(cloud, deployed, {"Slow"})
    wait_for(cloud, deployed, set())


@scaled_time
def test_passes_that_keep_failing_ring_until_one_succeeds(cloud: LocalCloud, deployed: Deployment) -> None:
    cloud.admin.fail_calls("ListInferenceComponents", code="AccessDeniedException", times=None)
    for _ in range(STANDSTILL_PASSES):
        check_for_drift(cloud, deployed)
    wait_for_one(cloud, deployed, "Standstill")
    cloud.admin.clear_faults()
    check_for_drift(cloud, deployed)
    wait_for(cloud, deployed, set())


def change_least_copies(cloud: LocalCloud, base: str, least: int) -> None:
    client(cloud, "application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"inference-component/{base}",
        ScalableDimension="sagemaker:inference-component:DesiredCopyCount",
        MinCapacity=least,
        MaxCapacity=2,
    )


@scaled_time
def test_new_copies_that_nobody_can_ask_ring_until_somebody_does(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment
) -> None:
    base = deployed.outputs["BaseComponentName"]
    cloud.admin.fail_calls("InvokeEndpoint", code="AccessDeniedException", times=None)
    change_least_copies(cloud, base, 2)
    stack.wait_for_copies(base, 2)
    # The alarm wants a value in each of three periods of 12 s.
    deadline = time.monotonic() + 90
    while "UncheckedCopies" not in (found := ringing(cloud, deployed)):
        assert time.monotonic() < deadline, found
        check_for_drift(cloud, deployed)
        time.sleep(2)
    cloud.admin.clear_faults()
    # A deployment tries again what failed for want of access.
    assert stack.update(fleets(stack, four="triage")).status == "UPDATE_COMPLETE"
    assert stack.update(fleets(stack)).status == "UPDATE_COMPLETE"
    check_for_drift(cloud, deployed)
    wait_for(cloud, deployed, set(), seconds=60)


@scaled_time
def test_requests_without_a_copy_ring_until_there_is_one(
    cloud: LocalCloud, stack: WatchedStack, deployed: Deployment
) -> None:
    base, endpoint = deployed.outputs["BaseComponentName"], deployed.outputs["EndpointName"]
    change_least_copies(cloud, base, 0)
    stack.scale(base, 0)
    deadline = time.monotonic() + 40
    while "NoCapacity" not in ringing(cloud, deployed):
        assert time.monotonic() < deadline
        assert stack.wrong("Tenants", endpoint, ADAPTERS) != {}
        time.sleep(0.3)
    stack.scale(base, 1)
    wait_for(cloud, deployed, set())
