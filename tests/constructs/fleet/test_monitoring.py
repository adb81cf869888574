import json
import re
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks

from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    IMultiAdapterEndpoint,
    MultiAdapterEndpoint,
    UsageMetrics,
)
from multi_adapter_inference.components.scaling import DEFAULT_WAKE_COOLDOWN
from tests.constructs.conftest import MakeEndpoint, Resources, WriteManifest

MakeWatched = Callable[..., AdapterFleet]


@pytest.fixture
def make(
    stack: cdk.Stack, bucket: s3.IBucket, make_endpoint: MakeEndpoint, write_manifest: WriteManifest
) -> MakeWatched:
    endpoints: list[IMultiAdapterEndpoint] = []

    def make(count: int = 2, *, id: str = "Fleet") -> AdapterFleet:
        """Return a fleet; all of them have one endpoint."""
        entries = [{"name": f"a{number:04}"} for number in range(count)]
        manifest = AdapterManifest.from_file(write_manifest(*entries))
        if not endpoints:
            source = ArtifactSource(bucket=bucket, prefix="adapters/")
            endpoints.append(make_endpoint(artifact_sources=[source]))
        prefix = id.lower()
        return AdapterFleet(stack, id, endpoint=endpoints[0], manifest=manifest, component_prefix=prefix)

    return make


def body(stack: cdk.Stack) -> dict[str, Any]:
    """Return the dashboard's body; each reference in it is a name."""
    (dashboard,) = Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard").values()
    parts = dashboard["Properties"]["DashboardBody"]["Fn::Join"][1]
    document: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else "ref" for part in parts))
    return document


def alarms(resources: Resources) -> dict[str, dict[str, Any]]:
    """Return the properties of the alarms by what they are about."""
    return {
        alarm["Properties"]["AlarmDescription"].partition(" (")[0]: alarm["Properties"]
        for alarm in resources("AWS::CloudWatch::Alarm")
    }


def sizes(make_endpoint: MakeEndpoint, write_manifest: WriteManifest, count: int) -> tuple[int, int]:
    """Return the size of the dashboard's body and the number of alarms of a fleet."""
    stack = cdk.Stack(cdk.App(), "Stack")
    entries = [{"name": f"a{number:04}"} for number in range(count)]
    manifest = AdapterManifest.from_file(write_manifest(*entries))
    bucket = s3.Bucket.from_bucket_name(stack, "Archives", "models")
    endpoint = make_endpoint(stack, artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
    AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest).monitor()
    return len(json.dumps(body(stack))), len(
        Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm")
    )


def test_size_does_not_grow_with_the_fleet(
    make_endpoint: MakeEndpoint, write_manifest: WriteManifest
) -> None:
    ten, thousand = (sizes(make_endpoint, write_manifest, count) for count in (10, 1000))
    assert ten == thousand


def test_alarms_cover_the_fleet_and_all_adapters(make: MakeWatched, resources: Resources) -> None:
    monitoring = make().monitor()
    assert set(monitoring.alarms) == {
        "Failed",
        "Behind",
        "Misidentified",
        "UncheckedCopies",
        "NoCapacity",
        "ServerErrors",
        "Standstill",
        "LostEvents",
        "MaxLoras",
        "MaxCpuLoras",
    }
    assert len(resources("AWS::CloudWatch::Alarm")) == len(monitoring.alarms)


def test_alarm_over_all_adapters_is_one_series(make: MakeWatched, resources: Resources) -> None:
    make().monitor()
    (metric,) = alarms(resources)["Requests to an adapter fail with 5XX; the dashboard names the ten worst"][
        "Metrics"
    ]
    assert metric["Expression"] == (
        'SELECT SUM(Invocation5XXErrors) FROM SCHEMA("AWS/SageMaker", InferenceComponentName)'
        " GROUP BY InferenceComponentName ORDER BY SUM() DESC LIMIT 1"
    )


def test_limits_are_those_that_are_given(make: MakeWatched, resources: Resources) -> None:
    monitoring = make().monitor(
        max_failed=3,
        max_convergence_age=cdk.Duration.minutes(30),
        max_server_errors=50,
        max_model_latency=cdk.Duration.seconds(2),
    )
    assert "Slow" in monitoring.alarms
    thresholds = {about: alarm["Threshold"] for about, alarm in alarms(resources).items()}
    assert thresholds["Adapters have failed"] == 3
    assert thresholds["The fleet has differed from its manifest for 30 minutes"] == 1800
    assert thresholds["Requests to an adapter fail with 5XX; the dashboard names the ten worst"] == 49
    # In microseconds.
    assert thresholds["An adapter answers slowly; the dashboard names the ten slowest"] == 2_000_000


@pytest.mark.parametrize(
    ("latency", "said"),
    [
        (cdk.Duration.seconds(0), "'max_model_latency' should be above 0, got 0 seconds"),
        (
            cdk.Duration.seconds(cdk.Token.as_number({"Ref": "Most"})),
            "'max_model_latency' should be known at synth, got a token",
        ),
    ],
    ids=["none", "token"],
)
def test_latency_that_is_none_or_unknown_is_an_error(
    make: MakeWatched, latency: cdk.Duration, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make().monitor(max_model_latency=latency)


def test_metrics_have_the_region_of_their_fleet(app: cdk.App, bucket: s3.IBucket) -> None:
    """An alarm of another region would wait for values that never come; the CDK refuses it."""
    stack = cdk.Stack(app, "Elsewhere", env=cdk.Environment(region="eu-west-1"))
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Llm", endpoint_name="llm", base_component_name="llm-base", component_prefix="llm"
    )
    fleet = AdapterFleet(
        stack, "Fleet", endpoint=endpoint, manifest=AdapterManifest.from_bucket(bucket, "a.yaml")
    )
    metrics = [endpoint.metric_invocations(), fleet.metric_failed(), fleet.adapter("a").metric_invocations()]
    assert {metric.region for metric in metrics} == {"eu-west-1"}


def test_start_from_zero_that_takes_a_quarter_of_an_hour_rings_nothing(
    make: MakeWatched, resources: Resources
) -> None:
    """Failures from the end of one period to the start of another fall into all periods between, and both."""
    make().monitor()
    alarm = alarms(resources)["Requests have found no copy of a base model for more than 15 minutes"]
    (metric,) = alarm["Metrics"]
    assert (alarm["EvaluationPeriods"] - 2) * metric["Period"] >= DEFAULT_WAKE_COOLDOWN.to_seconds()


def test_alarm_on_copies_that_nobody_asked_has_a_value_in_each_period(
    make: MakeWatched, resources: Resources
) -> None:
    """Passes bring the values, as drift checks every 15 minutes. CloudWatch waits for all of an hour."""
    make().monitor()
    alarm = alarms(resources)[
        "New copies of the base model have not been asked whether they have the adapters"
    ]
    assert alarm["Period"] > 15 * 60
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 3600
    # One pass that has asked them is enough.
    assert alarm["Statistic"] == "Minimum"


def test_topic_gets_every_alarm_and_its_end(
    stack: cdk.Stack, make: MakeWatched, resources: Resources
) -> None:
    make().monitor(sns.Topic(stack, "OnCall"))
    (topic,) = Template.from_stack(stack).find_resources("AWS::SNS::Topic")
    for alarm in resources("AWS::CloudWatch::Alarm"):
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [{"Ref": topic}]


def test_second_call_is_an_error(make: MakeWatched) -> None:
    fleet = make()
    fleet.monitor()
    with pytest.raises(ValueError, match="'Stack/Fleet': 'monitor' should be called once"):
        fleet.monitor()


def test_fleets_of_a_stack_share_the_alarms_over_the_whole_account(
    stack: cdk.Stack, make: MakeWatched, resources: Resources
) -> None:
    topic = sns.Topic(stack, "OnCall")
    one, two = make().monitor(topic), make(id="Other").monitor(topic)
    for name in ("NoCapacity", "ServerErrors"):
        assert one.alarms[name] is two.alarms[name]
    assert one.alarms["Failed"] is not two.alarms["Failed"]
    assert len(resources("AWS::CloudWatch::Alarm")) == 2 * len(one.alarms) - 2
    for alarm in resources("AWS::CloudWatch::Alarm"):
        assert len(alarm["Properties"]["AlarmActions"]) == len(alarm["Properties"]["OKActions"]) == 1


def test_fleet_with_another_limit_has_an_alarm_of_its_own(make: MakeWatched) -> None:
    one, two = make().monitor(), make(id="Other").monitor(max_server_errors=99)
    assert one.alarms["ServerErrors"] is not two.alarms["ServerErrors"]
    assert one.alarms["NoCapacity"] is two.alarms["NoCapacity"]


def test_alarm_before_the_working_set_outgrows_the_room_names_the_setting(
    make: MakeWatched, resources: Resources
) -> None:
    make().monitor(usage=UsageMetrics(max_use=0.7))
    about = {alarm["MetricName"]: alarm for alarm in alarms(resources).values() if "MetricName" in alarm}
    for metric, setting in (("MaxLorasUse", "max_loras"), ("MaxCpuLorasUse", "max_cpu_loras")):
        alarm = about[metric]
        assert alarm["Threshold"] == 70
        assert f"raise {setting} of LoraServing" in alarm["AlarmDescription"]
        # Each run of the function writes one value.
        assert (alarm["Period"], alarm["EvaluationPeriods"]) == (900, 1)


def test_function_counts_by_the_tags_that_are_given(make: MakeWatched, resources: Resources) -> None:
    make().monitor(usage=UsageMetrics(by=["tenant"], per_adapter=True, every=cdk.Duration.minutes(5)))
    (function,) = [
        resource["Properties"]
        for resource in resources("AWS::Lambda::Function")
        if resource["Properties"]["Handler"] == "adapter_fleet.lambdas.usage.count_usage"
    ]
    settings = json.loads(function["Environment"]["Variables"]["USAGE"])
    assert (settings["by"], settings["per_adapter"]) == (["tenant"], True)
    (writes,) = [
        statement
        for role in resources("AWS::IAM::Role")
        for policy in role["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if policy["PolicyName"] == "Usage" and statement["Action"] == "dynamodb:UpdateItem"
    ]
    assert writes["Condition"]["ForAllValues:StringEquals"] == {"dynamodb:LeadingKeys": ["usage"]}
    assert "rate(5 minutes)" in {
        rule["Properties"].get("ScheduleExpression") for rule in resources("AWS::Events::Rule")
    }


def test_daily_table_has_a_row_for_each_tag_and_for_adapters(stack: cdk.Stack, make: MakeWatched) -> None:
    make().monitor(usage=UsageMetrics(by=["tenant", "team"], per_adapter=True))
    titles = [widget["properties"]["title"] for widget in body(stack)["widgets"]]
    assert titles[-3:] == [
        "Use by day and tenant: the ten with most",
        "Use by day and team: the ten with most",
        "Use by day and Adapter: the ten with most",
    ]


def test_monitoring_without_usage_has_no_function(make: MakeWatched, resources: Resources) -> None:
    monitoring = make().monitor(usage=None)
    assert "MaxLoras" not in monitoring.alarms
    assert len(monitoring.widgets) == 10
    handlers = [function["Properties"].get("Handler", "") for function in resources("AWS::Lambda::Function")]
    assert not [handler for handler in handlers if "usage" in handler]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": cdk.Duration.seconds(30)}, "'every' should be at least a minute"),
        ({"every": cdk.Duration.hours(4)}, "'every' should be at most 3 hours, got 4 hours"),
        ({"max_use": 0.0}, "'max_use' should be above 0 and at most 1, got 0.0"),
        ({"token_text": "x"}, "'token_text' should be given with 'token_pattern' only"),
        ({"token_pattern": "("}, "'token_pattern' should be a regular expression, got '('"),
        ({"by": ["Fleet"]}, "'by' should be keys of tags"),
    ],
    ids=["short", "long", "max_use", "token_text", "token_pattern", "by"],
)
def test_wrong_usage_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        UsageMetrics(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_failed": -1}, "'max_failed' should be at least 0, got -1"),
        ({"max_server_errors": 0}, "'max_server_errors' should be at least 1, got 0"),
        ({"max_convergence_age": 5}, "'max_convergence_age' should be Duration"),
    ],
    ids=str,
)
def test_wrong_limit_is_an_error(make: MakeWatched, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make().monitor(**settings)


def test_widgets_are_there_for_another_dashboard(make: MakeWatched) -> None:
    monitoring = make().monitor()
    assert len(monitoring.widgets) == 11


def test_no_metric_names_an_adapter(stack: cdk.Stack, make: MakeWatched) -> None:
    make(5).monitor()
    assert "a0001" not in json.dumps(body(stack))


def test_everything_that_cdk_nag_finds_is_acknowledged(app: cdk.App, make: MakeWatched) -> None:
    make().monitor()
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises an error for each finding
