"""The dashboard shows what the endpoint and the fleet publish, and every alarm rings for its fault."""

import datetime
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.aws.usage_counter import LATE_SECONDS
from adapter_fleet.fleet.state.configuration import STANDSTILL_PASSES
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterFleet,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    IBaseComponent,
    UsageMetrics,
)
from tests.integration.by_hand import (
    V1,
    adapters,
    changed_settings,
    client,
    processes_of,
    prompts,
    repeated,
    until,
    wait_for_the_listing,
)
from tests.integration.fleet_stack import BROKEN, Fleet, check_for_drift, components
from tests.integration.scaled_stack import ScaledStack
from tests.nightly import NIGHTLY, scaled_time

pytestmark = pytest.mark.integration

ADAPTERS = {"one": "triage", "two": "summary", "three": "shout"}
TENANTS = {"one": "acme", "two": "acme", "three": "beta"}
SETTINGS = {
    "failure_policy": FailurePolicy.share(1.0),
    "deletion_guard": DeletionGuard.off(),
    "drift_check": DriftCheck.report(every=cdk.Duration.hours(1), probes=None),
}
USAGE = UsageMetrics(
    by=["tenant"],
    per_adapter=True,
    every=cdk.Duration.minutes(1),
)
SCALE = 0.01
MINUTE, DAY = 60.0, 86400.0
LOOK_BACK = 3 * 3600.0
REQUESTS = 500 if NIGHTLY else 60
"""How many requests the dashboard has data of."""


class WatchedStack(ScaledStack):
    """A stack whose fleet has a dashboard and alarms; outputs `Dashboard` and `Alarms`."""

    max_model_latency = cdk.Duration.minutes(5)

    def _fleet(
        self, stack: cdk.Stack, id: str, fleet: Fleet, endpoint: IBaseComponent, folder: Path
    ) -> AdapterFleet:
        made = super()._fleet(stack, id, fleet, endpoint, folder)
        monitoring = made.monitor(
            max_model_latency=self.max_model_latency,
            max_convergence_age=cdk.Duration.seconds(20),
            usage=USAGE,
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
        stack.delete().succeeded()


def fleets(stack: WatchedStack, **more: str) -> dict[str, Fleet]:
    """Return the fleet, whose adapters have the beginning of their answers as probes."""
    manifest = json.loads(stack.archives.manifest({**ADAPTERS, **more}, local=True))
    prompt = prompts()[0]
    for entry in manifest["adapters"]:
        if entry["name"] in ADAPTERS:
            answer = prompt["answers"][ADAPTERS[entry["name"]]][:20]
            entry["probe"] = {"prompt": prompt["prompt"], "answer": answer}
            entry["tags"] = {"tenant": TENANTS[entry["name"]]}
    return {"Tenants": Fleet(document=json.dumps(manifest), settings=SETTINGS)}


@dataclass(frozen=True)
class Watched:
    """The deployed stack.

    usage:
        The requests that were counted, and those that the servers counted, after the load.
    """

    cloud: LocalCloud
    stack: WatchedStack
    outputs: Mapping[str, str]
    usage: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return self.outputs["BaseComponentName"]

    @property
    def endpoint(self) -> str:
        return self.outputs["EndpointName"]

    def update(self, **more: str) -> None:
        """Deploy the fleet with more adapters."""
        self.stack.update(fleets(self.stack, **more)).succeeded()

    def alarms(self) -> dict[str, str]:
        """Return the short names of the alarms by their own; a deployment may have replaced one."""
        (stack,) = client(self.cloud, "cloudformation").describe_stacks(StackName=self.stack.name)["Stacks"]
        outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
        return {alarm: name for name, alarm in json.loads(outputs["Alarms"]).items()}

    def ringing(self) -> set[str]:
        """Return the alarms that ring."""
        names = self.alarms()
        found = client(self.cloud, "cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
        assert len(found) == len(names)
        return {names[alarm["AlarmName"]] for alarm in found if alarm["StateValue"] == "ALARM"}

    def wait_for_silence(self, *, seconds: float = 180) -> None:
        """Wait until no alarm rings."""
        deadline = time.monotonic() + seconds
        while ringing := self.ringing():
            assert time.monotonic() < deadline, f"{ringing} still ring after {seconds:.0f} s"
            time.sleep(0.1)

    def ask(self, names: Iterable[str], *, max_tokens: int = 1) -> None:
        """Ask adapters, all at the same time; what fails is left."""
        runtime = client(self.cloud, "sagemaker-runtime")

        def call(name: str) -> None:
            length = {"max_new_tokens": max_tokens, "ignore_eos_token": True}
            body = {"inputs": "Ticket:", "parameters": length}
            try:
                runtime.invoke_endpoint(
                    EndpointName=self.endpoint,
                    InferenceComponentName=self.stack.component("Tenants", name),
                    ContentType="application/json",
                    Body=json.dumps(body),
                )["Body"].read()
            except (ClientError, BotoCoreError):
                return

        with ThreadPoolExecutor(16) as callers:
            list(callers.map(call, names))

    def check_for_drift(self) -> None:
        check_for_drift(self.cloud, self.outputs["TenantsMachine"])

    def count_usage(self, until: float) -> None:
        """Let the function count the use up to a time, as its schedule does some minutes later."""
        moment = datetime.datetime.fromtimestamp(until + LATE_SECONDS, datetime.UTC)
        answer = client(self.cloud, "lambda").invoke(
            FunctionName=self.stack.resource("TenantsCountUsage"),
            Payload=json.dumps({"time": moment.isoformat()}),
        )
        assert "FunctionError" not in answer, answer["Payload"].read()

    def forget_count(self) -> None:
        """Let the next count begin some hours before its end."""
        client(self.cloud, "dynamodb").delete_item(
            TableName=self.outputs["TenantsTable"], Key={"pk": {"S": "usage"}, "sk": {"S": "counted"}}
        )

    def change_least_copies(self, least: int) -> None:
        client(self.cloud, "application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=f"inference-component/{self.base}",
            ScalableDimension="sagemaker:inference-component:DesiredCopyCount",
            MinCapacity=least,
            MaxCapacity=2,
        )


def this_minute() -> float:
    """Return the end of the current minute."""
    return (time.time() // MINUTE + 1) * MINUTE


@pytest.fixture(scope="module")
def watched(cloud: LocalCloud, stack: WatchedStack) -> Watched:
    """A fleet after a run of load, and after a request that found no copy; its use is counted."""
    created = stack.create(fleets(stack)).succeeded()
    made = Watched(cloud, stack, created.outputs)
    callers = stack.callers(made.endpoint, ADAPTERS)
    with callers.load(2):
        callers.wait_for(REQUESTS)
        time.sleep(MINUTE * SCALE)
    assert (callers.wrong, callers.errors) == ([], {})
    made.change_least_copies(0)
    stack.scale(made.base, 0)
    # While no copy is there: the fleet asks each new one.
    made.count_usage(this_minute())
    made.usage.update(usage_of(made))
    made.ask(["one"])
    # Before a copy starts: without load, scaling would end it again.
    made.change_least_copies(1)
    stack.scale(made.base, 1)
    return made


def usage_of(watched: Watched) -> dict[str, tuple[float, float]]:
    """Return the counted requests and those that the servers counted, of the fleet and its parts."""
    served = watched.cloud.admin.requests()
    parts: dict[str, tuple[dict[str, str], list[str]]] = {
        "fleet": ({}, list(ADAPTERS)),
        **{name: ({"Adapter": name}, [name]) for name in ADAPTERS},
        **{
            tenant: ({"tenant": tenant}, [name for name in ADAPTERS if TENANTS[name] == tenant])
            for tenant in TENANTS.values()
        },
    }
    return {
        part: (
            counted(watched, **dimensions),
            sum(served[watched.stack.component("Tenants", name)] for name in members),
        )
        for part, (dimensions, members) in parts.items()
    }


def counted(watched: Watched, **dimensions: str) -> float:
    """Return the sum of the requests that were counted."""
    points = client(watched.cloud, "cloudwatch").get_metric_statistics(
        Namespace="MultiAdapterInference",
        MetricName="Requests",
        Dimensions=[
            {"Name": name, "Value": value}
            for name, value in {"Fleet": watched.outputs["TenantsUid"], **dimensions}.items()
        ],
        StartTime=time.time() - DAY,
        EndTime=time.time() + DAY,
        Period=int(DAY),
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def dashboard(watched: Watched) -> list[dict[str, Any]]:
    """Return the widgets."""
    found = client(watched.cloud, "cloudwatch").get_dashboard(DashboardName=watched.outputs["Dashboard"])
    body = found["DashboardBody"]
    (choice,) = json.loads(body)["variables"]
    chosen = watched.stack.component("Tenants", next(iter(ADAPTERS)))
    widgets: list[dict[str, Any]] = json.loads(body.replace(choice["pattern"], chosen))["widgets"]
    return widgets


def queries(widget: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the queries of a widget as GetMetricData has them."""
    made = []
    for number, row in enumerate(widget["properties"].get("metrics", [])):
        *names, options = row if isinstance(row[-1], dict) else [*row, {}]
        period, query_id = int(options.get("period", 300)), options.get("id", f"q{number}")
        if "expression" in options:
            made.append({"Id": query_id, "Expression": options["expression"], "Period": period})
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
        made.append({"Id": query_id, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}})
    return made


def without_data(cloud: LocalCloud, widget: Mapping[str, Any]) -> set[str]:
    """Return the metrics and expressions of a widget that have no value, today's last hour included."""
    now, asked = time.time(), queries(widget)
    # GetMetricData takes one query of Metrics Insights; a dashboard may have several.
    insights = [[query] for query in asked if query.get("Expression", "").startswith("SELECT")]
    with_data = {
        result["Id"]
        for part in (*insights, [query for query in asked if [query] not in insights])
        if part
        for result in client(cloud, "cloudwatch").get_metric_data(
            StartTime=now - 86400, EndTime=now + 86400, MetricDataQueries=part
        )["MetricDataResults"]
        if result["Values"]
    }
    return {
        query.get("Expression") or query["MetricStat"]["Metric"]["MetricName"]
        for query in asked
        if query["Id"] not in with_data
    }


def test_use_that_is_counted_is_what_the_servers_counted(watched: Watched) -> None:
    assert {part: both for part, both in watched.usage.items() if both[0] != both[1]} == {}
    assert watched.usage["fleet"][0] >= REQUESTS


def test_every_query_of_the_dashboard_has_data_after_a_run_of_load(watched: Watched) -> None:
    watched.count_usage((time.time() // DAY + 1) * DAY)
    watched.forget_count()
    graphs = [widget for widget in dashboard(watched) if widget["type"] == "metric"]
    assert len(graphs) == 11
    missing = {widget["properties"]["title"]: without_data(watched.cloud, widget) for widget in graphs}
    assert {title: names for title, names in missing.items() if names} == {}


def test_no_alarm_rings_without_a_fault(watched: Watched) -> None:
    # As long as each alarm but UncheckedCopies looks back: 15 minutes.
    time.sleep(3600 * SCALE / 4)
    assert watched.ringing() == set()


# --- each alarm and its fault

Fault = Callable[["Watched"], Iterator[None]]
"""Makes an alarm ring, and mends that when it goes on."""


@contextmanager
def injected(fault: Fault, watched: Watched) -> Iterator[None]:
    """Have a fault as long as the context lasts, however that ends."""
    steps = fault(watched)
    next(steps)
    try:
        yield
    finally:
        next(steps, None)


def adapter_fails(watched: Watched) -> Iterator[None]:
    watched.update(four=BROKEN)
    yield
    watched.update()


def adapter_is_swapped(watched: Watched) -> Iterator[None]:
    component = watched.stack.component("Tenants", "one")
    watched.cloud.admin.swap(component, directory=V1 / "summary")
    watched.check_for_drift()
    yield
    watched.cloud.admin.swap(component, directory=V1 / "triage")
    watched.check_for_drift()


def base_restarts_without_its_adapters(watched: Watched) -> Iterator[None]:
    """Its component stays in service, and SageMaker sends no event: callers get a 404."""
    with changed_settings(watched.cloud, adapters_on_new_copies="lost"):
        for pid in processes_of(watched.cloud, "cmdline", "local_sagemaker.model_server"):
            os.kill(pid, signal.SIGKILL)
        with repeated(lambda: watched.ask(ADAPTERS), seconds=0.3):
            yield
    # The look that the alarm started has sent them again.
    wrong = watched.stack.wrong
    until(lambda: not wrong("Tenants", watched.endpoint, ADAPTERS), "all answer by themselves", seconds=90)


def component_is_deleted_by_hand(watched: Watched) -> Iterator[None]:
    component = watched.stack.component("Tenants", "one")
    client(watched.cloud, "sagemaker").delete_inference_component(InferenceComponentName=component)
    until(lambda: component not in components(watched.cloud, watched.endpoint), "it is gone")
    wait_for_the_listing(watched.cloud)  # nobody may ask what is gone
    watched.check_for_drift()
    yield

    def status() -> tuple[int, list[str]]:
        shown = adapters(watched.cloud, "status", "one", "--stack", watched.stack.name)
        return shown.exit_code, shown.stdout.split("\t")[:2]

    # A pass that waits for new copies may be due, and say that it is being created.
    until(lambda: status() == (1, ["one", "missing"]), "it is missing", seconds=90)
    retried = adapters(watched.cloud, "apply", "--retry", "one", "--stack", watched.stack.name)
    assert retried.exit_code == 0, retried.stderr
    assert adapters(watched.cloud, "status", "--wait", "--stack", watched.stack.name).exit_code == 0
    # The alarm takes the most of a period: it ends with a pass in the next one.
    time.sleep(5 * MINUTE * SCALE)
    watched.check_for_drift()


def change_does_not_end(watched: Watched) -> Iterator[None]:
    component = watched.stack.component("Tenants", "four")
    watched.cloud.admin.hold(component)
    watched.stack.update(fleets(watched.stack, four="triage"), wait=False)
    yield
    watched.cloud.admin.release(component)
    watched.stack.wait().succeeded()
    watched.update()


def adapter_is_slow(watched: Watched) -> Iterator[None]:
    watched.stack.max_model_latency = cdk.Duration.millis(1)
    watched.update()
    with watched.stack.callers(watched.endpoint, ADAPTERS).load(1):
        yield
    watched.stack.max_model_latency = WatchedStack.max_model_latency
    watched.update()


def passes_fail(watched: Watched) -> Iterator[None]:
    watched.cloud.admin.fail_calls("ListInferenceComponents", code="AccessDeniedException", times=None)
    for _ in range(STANDSTILL_PASSES):
        watched.check_for_drift()
    yield
    watched.cloud.admin.clear_faults()
    watched.check_for_drift()


def nobody_can_ask_new_copies(watched: Watched) -> Iterator[None]:
    watched.cloud.admin.fail_calls("InvokeEndpoint", code="AccessDeniedException", times=None)
    watched.change_least_copies(2)
    watched.stack.wait_for_copies(watched.base, 2)
    # The alarm wants a value in each of three periods of 12 s.
    with repeated(watched.check_for_drift, seconds=2):
        yield
    watched.cloud.admin.clear_faults()
    # A deployment tries again what failed for want of access.
    watched.update(four="triage")
    watched.update()
    watched.check_for_drift()
    watched.change_least_copies(1)


def there_is_no_copy(watched: Watched) -> Iterator[None]:
    watched.change_least_copies(0)
    watched.stack.scale(watched.base, 0)
    with repeated(lambda: watched.ask(["one"]), seconds=0.3):
        yield
    watched.stack.scale(watched.base, 1)
    watched.change_least_copies(1)


def copies_die_while_they_answer(watched: Watched) -> Iterator[None]:
    def let_them_die() -> None:
        if watched.stack.wrong("Tenants", watched.endpoint, ADAPTERS):
            return  # The next copy is not there yet.
        with ThreadPoolExecutor(1) as executor:
            asking = executor.submit(watched.ask, ["one"] * 16, max_tokens=400)
            time.sleep(0.3)
            for pid in processes_of(watched.cloud, "cmdline", "local_sagemaker.model_server"):
                os.kill(pid, signal.SIGKILL)
            asking.result()

    with repeated(let_them_die, seconds=2):
        yield
    wrong = watched.stack.wrong
    until(lambda: not wrong("Tenants", watched.endpoint, ADAPTERS), "all answer", seconds=90)


def function_does_not_understand_an_event(watched: Watched) -> Iterator[None]:
    client(watched.cloud, "lambda").invoke(
        FunctionName=watched.stack.resource("TenantsOnEvent"), InvocationType="Event", Payload="{}"
    )
    yield
    # As a person does who has read it.
    client(watched.cloud, "sqs").purge_queue(QueueUrl=watched.stack.resource("TenantsDeadLetters"))


def adapters_are_asked_at_a_time(count: int) -> Fault:
    """Return the fault that so many of ten adapters are asked in the same minute."""

    def fault(watched: Watched) -> Iterator[None]:
        more = {f"more-{number}": "triage" for number in range(10 - len(ADAPTERS))}
        watched.update(**more)
        # Not while the clock goes to the next minute.
        if this_minute() - time.time() < 5:
            time.sleep(6)
        watched.ask([*ADAPTERS, *more][:count])
        time.sleep(0.5)
        watched.forget_count()
        watched.count_usage(this_minute())
        yield
        watched.count_usage(this_minute() + LOOK_BACK)
        watched.forget_count()
        watched.update()

    return fault


FAULTS: Mapping[str, Fault] = {
    "Failed": adapter_fails,
    "Behind": change_does_not_end,
    "Drifted": component_is_deleted_by_hand,
    "Errors": base_restarts_without_its_adapters,
    "Misidentified": adapter_is_swapped,
    "UncheckedCopies": nobody_can_ask_new_copies,
    "NoCapacity": there_is_no_copy,
    "ServerErrors": copies_die_while_they_answer,
    "Slow": adapter_is_slow,
    "Standstill": passes_fail,
    "LostEvents": function_does_not_understand_an_event,
    # There is room for four adapters in GPU memory, and for eight in CPU memory.
    "MaxLoras": adapters_are_asked_at_a_time(5),
    "MaxCpuLoras": adapters_are_asked_at_a_time(10),
}


def test_every_alarm_of_the_template_has_a_fault(watched: Watched) -> None:
    """An alarm that somebody adds needs a fault here, which it is seen to ring for."""
    template = client(watched.cloud, "cloudformation").get_template(StackName=watched.stack.name)
    body = template["TemplateBody"]
    resources = (json.loads(body) if isinstance(body, str) else body)["Resources"]
    declared = [one for one in resources.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert set(watched.alarms().values()) == set(FAULTS)
    assert len(declared) == len(FAULTS)


MAY_RING_TOO = {
    "Misidentified": {"Failed"},
    # Its adapters stay failed for longer than a fleet may differ from its manifest here.
    "UncheckedCopies": {"Failed", "Behind"},
    "Drifted": {"Behind"},
    "ServerErrors": {"NoCapacity", "Errors"},
    "MaxCpuLoras": {"MaxLoras"},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "Failed" else scaled_time) for name in FAULTS]
)
def test_each_alarm_rings_for_its_fault_and_ends_with_it(watched: Watched, name: str) -> None:
    watched.wait_for_silence()
    with injected(FAULTS[name], watched):
        until(lambda: name in watched.ringing(), f"{name} rings", seconds=180)
        assert watched.ringing() <= {name} | MAY_RING_TOO.get(name, set())
    watched.wait_for_silence()


def test_deployment_whose_execution_somebody_stops_goes_on_by_itself(watched: Watched) -> None:
    component = watched.stack.component("Tenants", "four")
    watched.cloud.admin.hold(component)
    watched.stack.update(fleets(watched.stack, four="triage"), wait=False)
    machines, machine = client(watched.cloud, "stepfunctions"), watched.outputs["TenantsMachine"]

    def running() -> set[str]:
        found = machines.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
        return {one["executionArn"] for one in found["executions"]}

    until(running, "an execution runs")
    stopped = running()
    for execution in stopped:
        machines.stop_execution(executionArn=execution)
    until(lambda: running() - stopped, "another goes on", seconds=20)
    watched.cloud.admin.release(component)
    watched.stack.wait().succeeded()
    watched.update()
