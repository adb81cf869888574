import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    IBaseComponent,
    LoraServing,
    UsageMetrics,
)
from multi_adapter_inference.components.scaling import DEFAULT_WAKE_COOLDOWN
from multi_adapter_inference.fleet.monitoring import AdapterFleetMonitoring
from tests.constructs.conftest import imported_endpoint, write_manifest_into
from tests.constructs.resources import Resources

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)

Monitored = Mapping[str, AdapterFleetMonitoring]


def fleet_of(folder: Path, endpoint: IBaseComponent, count: int = 2, *, id: str) -> AdapterFleet:
    entries = [{"name": f"a{number:04}"} for number in range(count)]
    manifest = AdapterManifest.from_file(write_manifest_into(folder, *entries))
    stack, prefix = cdk.Stack.of(endpoint), id.lower()
    return AdapterFleet(stack, id, endpoint=endpoint, manifest=manifest, component_prefix=prefix)


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, AdapterFleet]:
    """The fleets of one endpoint and one stack: three to monitor, and one whose limits are wrong."""
    folder = tmp_path_factory.mktemp("monitored")
    stack = cdk.Stack(cdk.App(outdir=str(folder / "cdk.out")), "Stack")
    endpoint = imported_endpoint(stack, lora=LORA)
    return {name: fleet_of(folder, endpoint, id=name) for name in ("Plain", "Tuned", "Unused", "Wrong")}


@pytest.fixture(scope="module")
def monitored(fleets: Mapping[str, AdapterFleet]) -> Monitored:
    """The monitoring of each fleet: without a setting, with every setting, and without usage."""
    topic = sns.Topic(cdk.Stack.of(fleets["Plain"]), "OnCall")
    return {
        "Plain": fleets["Plain"].monitor(topic),
        "Tuned": fleets["Tuned"].monitor(
            topic,
            max_failed=3,
            max_convergence_age=cdk.Duration.minutes(30),
            max_server_errors=50,
            max_model_latency=cdk.Duration.seconds(2),
            usage=UsageMetrics(
                by=["tenant", "team"], per_adapter=True, every=cdk.Duration.minutes(5), max_use=0.7
            ),
        ),
        "Unused": fleets["Unused"].monitor(topic, usage=None),
    }


@pytest.fixture(scope="module")
def resources(fleets: Mapping[str, AdapterFleet], monitored: Monitored) -> Resources:
    return Resources.of(cdk.Stack.of(fleets["Plain"]))


def body(dashboard: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dashboard's body; each reference in it is a name."""
    parts = dashboard["DashboardBody"]["Fn::Join"][1]
    document: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else "ref" for part in parts))
    return document


@pytest.mark.slow
def test_size_does_not_grow_with_the_fleet(tmp_path: Path) -> None:
    def sizes(count: int) -> tuple[int, int]:
        """Return the size of the dashboard's body and the number of alarms of a fleet."""
        stack = cdk.Stack(cdk.App(outdir=str(tmp_path / "cdk.out")), "Stack")
        fleet_of(tmp_path, imported_endpoint(stack, lora=LORA), count, id="Fleet").monitor()
        made = Resources.of(stack)
        dashboard = made.only("AWS::CloudWatch::Dashboard")
        assert "a0001" not in json.dumps(dashboard)
        return len(json.dumps(body(dashboard))), len(made.of_type("AWS::CloudWatch::Alarm"))

    assert sizes(10) == sizes(1000)


@pytest.mark.slow
def test_alarms_cover_the_fleet_and_all_adapters(monitored: Monitored) -> None:
    everything = {
        "Failed",
        "Behind",
        "Drifted",
        "Misidentified",
        "UncheckedCopies",
        "NoCapacity",
        "Errors",
        "ServerErrors",
        "Standstill",
        "LostEvents",
        "MaxLoras",
        "MaxCpuLoras",
    }
    assert set(monitored["Plain"].alarms) == everything
    assert set(monitored["Tuned"].alarms) == everything | {"Slow"}
    assert set(monitored["Unused"].alarms) == everything - {"MaxLoras", "MaxCpuLoras"}


def test_limits_are_those_that_are_given(monitored: Monitored, resources: Resources) -> None:
    def threshold(name: str) -> float:
        return float(resources.alarm(monitored["Tuned"].alarms[name])["Threshold"])

    assert threshold("Failed") == 3
    assert threshold("Behind") == 1800
    assert threshold("ServerErrors") == 49
    # In microseconds.
    assert threshold("Slow") == 2_000_000
    # In percent.
    assert threshold("MaxLoras") == threshold("MaxCpuLoras") == 70


def test_wrong_limit_or_second_call_is_an_error(
    fleets: Mapping[str, AdapterFleet], monitored: Monitored
) -> None:
    cases: dict[str, dict[str, Any]] = {
        "'max_failed' should be at least 0, got -1": {"max_failed": -1},
        "'max_server_errors' should be at least 1, got 0": {"max_server_errors": 0},
        "'max_model_latency' should be above 0": {"max_model_latency": cdk.Duration.seconds(0)},
    }
    for message, settings in cases.items():
        fleets["Wrong"].node.try_remove_child("Monitoring")
        with pytest.raises(ValueError, match=f"^'Stack/Wrong/Monitoring': {message}"):
            fleets["Wrong"].monitor(usage=None, **settings)
    with pytest.raises(ValueError, match="'Stack/Plain': 'monitor' should be called once"):
        fleets["Plain"].monitor()


def test_metrics_have_the_region_of_their_fleet(app: cdk.App, bucket: s3.IBucket) -> None:
    """An alarm of another region would wait for values that never come; the CDK refuses it."""
    stack = cdk.Stack(app, "Elsewhere", env=cdk.Environment(region="eu-west-1"))
    endpoint = imported_endpoint(stack)
    fleet = AdapterFleet.from_fleet_attributes(stack, "Fleet", fleet_uid="1234-uuid", endpoint=endpoint)
    metrics = [endpoint.metric_invocations(), fleet.metric_failed(), fleet.adapter("a").metric_invocations()]
    assert {metric.region for metric in metrics} == {"eu-west-1"}


def test_alarms_wait_as_long_as_what_they_measure_takes(monitored: Monitored, resources: Resources) -> None:
    # Failures of a start from zero, from the end of one period to the start of another, fall into all periods
    # between, and both.
    found = resources.alarm(monitored["Plain"].alarms["NoCapacity"])
    (metric,) = found["Metrics"]
    assert (found["EvaluationPeriods"] - 2) * metric["Period"] >= DEFAULT_WAKE_COOLDOWN.to_seconds()
    # Passes ask new copies, as the hourly drift checks do. One pass that has asked them is enough.
    found = resources.alarm(monitored["Plain"].alarms["UncheckedCopies"])
    assert found["Period"] * found["EvaluationPeriods"] == 3600
    assert found["Statistic"] == "Minimum"


def test_topic_gets_every_alarm_and_its_end_once(resources: Resources) -> None:
    (topic,) = resources.of_type("AWS::SNS::Topic")
    for found in resources.of_type("AWS::CloudWatch::Alarm").values():
        assert found["AlarmActions"] == found["OKActions"] == [{"Ref": topic}]


def test_fleets_of_a_stack_share_the_alarms_over_the_whole_account_unless_their_limits_differ(
    monitored: Monitored, resources: Resources
) -> None:
    plain, tuned, unused = (monitored[name].alarms for name in ("Plain", "Tuned", "Unused"))
    assert plain["NoCapacity"] is tuned["NoCapacity"] is unused["NoCapacity"]
    assert plain["ServerErrors"] is unused["ServerErrors"] is not tuned["ServerErrors"]
    assert plain["Failed"] is not unused["Failed"]
    assert plain["Errors"] is tuned["Errors"] is unused["Errors"]
    shared = 5
    count = len(plain) + len(tuned) + len(unused) - shared
    assert len(resources.of_type("AWS::CloudWatch::Alarm")) == count


def test_errors_of_either_kind_ring_also_where_an_adapter_is_seldom_asked(
    monitored: Monitored, resources: Resources
) -> None:
    found = resources.alarm(monitored["Plain"].alarms["Errors"])
    (query,) = found["Metrics"]
    # The container's answers without 2XX: 4XX, 5XX, and none at all. Each request counts 1 or 0.
    assert query["Expression"].startswith("SELECT AVG(InvocationModelErrors)")
    assert query["Expression"].endswith("ORDER BY AVG() DESC LIMIT 1")
    assert (found["Threshold"], found["EvaluationPeriods"] * query["Period"]) == (0.5, 900)
    assert "with 404 a copy has lost it, with 424 the container cannot load it" in found["AlarmDescription"]


def test_alarm_on_errors_starts_a_look_at_the_copies(monitored: Monitored, resources: Resources) -> None:
    rules = resources.of_type("AWS::Events::Rule")
    errors = cdk.Stack.of(monitored["Plain"]).resolve(monitored["Plain"].alarms["Errors"].alarm_arn)
    looks = [rule for name, rule in rules.items() if "AnswersFail" in name]
    assert [rule["EventPattern"]["resources"] for rule in looks] == [[errors]] * len(monitored)


def test_alarm_before_the_working_set_outgrows_the_room_names_the_setting(
    monitored: Monitored, resources: Resources
) -> None:
    for name, setting in (("MaxLoras", "max_loras"), ("MaxCpuLoras", "max_cpu_loras")):
        found = resources.alarm(monitored["Plain"].alarms[name])
        assert found["MetricName"] == f"{name}Use"
        assert f"raise {setting} of LoraServing" in found["AlarmDescription"]
        # Each run of the function writes one value.
        assert (found["Period"], found["EvaluationPeriods"]) == (900, 1)


def test_function_counts_by_the_tags_that_are_given(resources: Resources) -> None:
    counting = [
        function["Environment"]["Variables"]["USAGE"]
        for function in resources.of_type("AWS::Lambda::Function").values()
        if function["Handler"] == "adapter_fleet.lambdas.usage.count_usage"
    ]
    # The fleet whose use is not counted has none.
    assert len(counting) == 2
    (settings,) = (found for found in map(json.loads, counting) if found.get("by"))
    assert (settings["by"], settings["per_adapter"]) == (["tenant", "team"], True)
    rules = resources.of_type("AWS::Events::Rule").values()
    assert "rate(5 minutes)" in {rule.get("ScheduleExpression") for rule in rules}


def test_daily_table_has_a_row_for_each_tag_and_for_adapters(
    monitored: Monitored, resources: Resources
) -> None:
    dashboards = resources.of_type("AWS::CloudWatch::Dashboard")
    (tuned,) = (found for name, found in dashboards.items() if name.startswith("Tuned"))
    titles = [widget["properties"]["title"] for widget in body(tuned)["widgets"]]
    assert titles[-3:] == [
        "Requests by day and tenant: the ten with most",
        "Requests by day and team: the ten with most",
        "Requests by day and Adapter: the ten with most",
    ]
    # They are there for another dashboard, too.
    assert [len(monitored[name].widgets) for name in ("Plain", "Tuned", "Unused")] == [11, 13, 10]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": cdk.Duration.seconds(30)}, "'every' should be at least a minute"),
        ({"every": cdk.Duration.hours(4)}, "'every' should be at most 3 hours, got 4 hours"),
        ({"max_use": 0.0}, "'max_use' should be above 0 and at most 1, got 0.0"),
        ({"by": ["Fleet"]}, "'by' should be keys of tags"),
    ],
    ids=["short", "long", "max_use", "by"],
)
def test_wrong_usage_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        UsageMetrics(**settings)
