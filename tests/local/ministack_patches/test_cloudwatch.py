"""Alarms of the running cloud, with minutes of a fraction of a second; GetMetricData and log events."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch as cloudwatch_service

from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms, check_alarm
from local_sagemaker.monitoring.metrics import Points
from tests.local.conftest import ChangeSettings, Client
from tests.local.stacks import MakeFunction, Stack, until

# A minute lasts 0.6 s.
SCALE = 0.01
ILLEST = 'SELECT MAX(Errors) FROM SCHEMA("{}", Component) GROUP BY Component ORDER BY MAX() DESC LIMIT 10'


@pytest.fixture
def cloudwatch(client: Client, settings: ChangeSettings) -> Any:
    settings(time_scale=SCALE)
    return client("cloudwatch")


@pytest.fixture
def alarm(cloudwatch: Any) -> Iterator[str]:
    """The name of an alarm, and of its namespace; it is deleted afterwards."""
    name = f"alarm-{uuid.uuid4().hex[:8]}"
    yield name
    cloudwatch.delete_alarms(AlarmNames=[name])


def put(cloudwatch: Any, alarm: str, component: str = "a", value: float = 9) -> None:
    dimensions = [{"Name": "Component", "Value": component}]
    data = [{"MetricName": "Errors", "Dimensions": dimensions, "Value": value}]
    cloudwatch.put_metric_data(Namespace=alarm, MetricData=data)


def watch(cloudwatch: Any, alarm: str, **more: Any) -> None:
    metric = {
        "Namespace": alarm,
        "MetricName": "Errors",
        "Dimensions": [{"Name": "Component", "Value": "a"}],
        "Statistic": "Sum",
        "Period": 60,
    }
    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        EvaluationPeriods=1,
        Threshold=5,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        **({} if "Metrics" in more else metric),
        **more,
    )


def state(cloudwatch: Any, alarm: str) -> str:
    (found,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return str(found["StateValue"])


def becomes(cloudwatch: Any, alarm: str, wanted: str) -> None:
    """Wait until an alarm has entered a state, however short it stayed there."""

    def entered() -> bool:
        items = cloudwatch.describe_alarm_history(AlarmName=alarm)["AlarmHistoryItems"]
        return any(item["HistorySummary"].endswith(f" {wanted}") for item in items)

    until(entered)


@pytest.mark.parametrize(("component", "more"), [("b", {}), ("a", {"Unit": "Milliseconds"})])
def test_other_dimensions_and_units_are_another_metric(
    cloudwatch: Any, alarm: str, component: str, more: dict[str, str]
) -> None:
    watch(cloudwatch, alarm, **more)
    for _ in range(8):
        put(cloudwatch, alarm, component=component)
        time.sleep(0.1)
    assert state(cloudwatch, alarm) == "OK"


def make_queue(client: Client, name: str) -> tuple[str, str]:
    """The URL and the ARN of a new queue."""
    url = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return url, attributes["QueueArn"]


def test_alarm_that_rings_tells_its_topic_and_rules_and_returns_to_ok_by_itself(
    cloudwatch: Any, client: Client, alarm: str
) -> None:
    topic = client("sns").create_topic(Name=alarm)["TopicArn"]
    subscribed, subscribed_arn = make_queue(client, f"{alarm}-topic")
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=subscribed_arn)
    ruled, ruled_arn = make_queue(client, f"{alarm}-rule")
    metric = {"name": ["Errors"], "dimensions": {"Component": ["a"]}, "namespace": [alarm]}
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {
            "state": {"value": ["ALARM"]},
            "configuration": {"metrics": {"metricStat": {"metric": metric}}},
        },
    }
    client("events").put_rule(Name=alarm, EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule=alarm, Targets=[{"Id": "queue", "Arn": ruled_arn}])
    watch(cloudwatch, alarm, AlarmActions=[topic])
    put(cloudwatch, alarm)
    said, event = (
        json.loads(client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]["Body"])
        for queue in (subscribed, ruled)
    )
    told = json.loads(said["Message"])
    assert (told["AlarmName"], told["NewStateValue"]) == (alarm, "ALARM")
    assert (event["detail"]["alarmName"], event["detail"]["state"]["value"]) == (alarm, "ALARM")
    assert event["resources"][0].endswith(f":alarm:{alarm}")
    becomes(cloudwatch, alarm, "ALARM to OK")


def template(name: str, *metrics: dict[str, Any]) -> dict[str, Any]:
    """The resources of a stack with an alarm of metric math."""
    properties = {
        "AlarmName": name,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "Metrics": metrics,
    }
    return {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}


def test_template_may_have_an_alarm_of_metric_math(cloudwatch: Any, stack: Stack) -> None:
    query = {"Id": "q", "Expression": ILLEST.format(stack.name), "Period": "60", "ReturnData": "true"}
    assert stack.create(template(stack.name, query)) == "CREATE_COMPLETE"
    put(cloudwatch, stack.name)
    becomes(cloudwatch, stack.name, "ALARM")


class Late:
    """One alarm in memory, in an account of its own, and a clock that only the test moves."""

    def __init__(self, account: str, **more: Any) -> None:
        self.now = 6_000.0
        self._account = account
        self.alarms = Alarms(lambda: 1.0, lambda: self.now)
        self.acted: list[float] = []
        self.alarms.on_policy(self._act)
        with request_scope(account, "us-east-1"):
            cloudwatch_service._alarms["late"] = {
                "AlarmName": "late",
                "AlarmArn": f"arn:{account}",
                "Namespace": "n",
                "MetricName": "m",
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 5,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "StateValue": "OK",
                "StateReason": "",
                "AlarmActions": ["arn:aws:autoscaling:x"],
                **more,
            }
        self.alarms.tick()

    def _act(self, _: str, alarm: Mapping[str, Any], __: float | None) -> None:
        if self._account in alarm["AlarmArn"]:
            assert get_account_id() == self._account
            self.acted.append(self.now)

    def put(self, value: float) -> None:
        points = Points("None", {})
        points.add(value, self.now)
        with request_scope(self._account, "us-east-1"):
            cloudwatch_service._metrics["n", "m", ""] = points

    def went_through(self) -> list[str]:
        with request_scope(self._account, "us-east-1"):
            summaries = [entry["HistorySummary"] for entry in cloudwatch_service._history_entries()]
        return [summary.rpartition(" ")[2] for summary in summaries]


@pytest.mark.parametrize("account", ["100000000001", "100000000004"])
def test_period_that_nobody_looked_at_in_time_still_counts(account: str) -> None:
    late = Late(account)
    late.put(9)
    late.now += 240
    if account == "100000000004":
        with request_scope(account, "us-east-1"):
            late.alarms.evaluate(cloudwatch_service._alarms["late"])  # as when values are put
        assert late.acted == []  # a policy waits for the next tick: this may be a function's thread
    late.alarms.tick()
    assert late.went_through() == ["ALARM", "OK"]
    assert late.acted == [6_240]


def test_policy_is_invoked_again_each_minute_while_the_alarm_rings() -> None:
    late = Late("100000000002", TreatMissingData="ignore")
    late.put(9)
    for _ in range(10):
        late.now += 30
        late.alarms.tick()
    # The state stays, but when the value has left the evaluation range nothing is decided any more.
    assert (late.went_through(), late.acted) == (["ALARM"], [6_060, 6_120, 6_180])
    late = Late("100000000003", ComparisonOperator="LessThanThreshold", TreatMissingData="breaching")
    late.acted.clear()
    for _ in range(6):
        late.now += 30
        late.alarms.tick()
    assert late.acted == [6_060, 6_120, 6_180]


def test_alarm_that_cannot_be_evaluated_keeps_no_other_from_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Late("100000000005", EvaluationPeriods=-9)
    late = Late("100000000006")
    late.put(9)
    late.now += 60
    late.alarms.tick()
    assert (broken.acted, late.acted) == ([], [6_060])
    assert "alarm late failed" in caplog.text
    with request_scope("100000000005", "us-east-1"):
        del cloudwatch_service._alarms["late"]


SEARCH = "SUM(SEARCH('{AWS/SageMaker,InferenceComponentName} MetricName=\"Invocations\"', 'Sum', 60))"
SELECT = 'SELECT SUM(Errors) FROM SCHEMA("Search", Component)'


def query(expression: str) -> list[dict[str, Any]]:
    return [{"Id": "q", "Expression": expression, "Period": 60, "ReturnData": True}]


@pytest.mark.parametrize(
    ("alarm", "message"),
    [
        ({"EvaluationPeriods": 0}, "'EvaluationPeriods' of a Metric Alarm should be at least 1, got 0"),
        ({"DatapointsToAlarm": -1}, "'DatapointsToAlarm' of a Metric Alarm should be at least 1"),
        ({"Period": "-1"}, "'Period' of a Metric Alarm should be at least 1"),
        ({"Metrics": query(SEARCH)}, "SEARCH is not supported on Metric Alarms"),
        ({"Metrics": query("m1 +")}, "not an expression: 'm1 \\+'"),
    ],
)
def test_alarm_that_could_not_be_evaluated_is_wrong(alarm: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_alarm({"EvaluationPeriods": 1} | alarm)
    # A query may name what is called as a function is.
    check_alarm({"EvaluationPeriods": 1, "Metrics": query(SELECT)})


def test_wrong_alarm_is_refused(cloudwatch: Any, alarm: str, stack: Stack) -> None:
    queries = query(SEARCH)
    with pytest.raises(ClientError, match="SEARCH is not supported on Metric Alarms") as caught:
        watch(cloudwatch, alarm, Metrics=queries)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"] == []
    assert stack.create(template(alarm, *queries)) == "ROLLBACK_COMPLETE"
    assert cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"] == []


@pytest.fixture
def namespace(client: Client) -> str:
    """A namespace with the metric Errors of the components a and b, in two minutes."""
    made = f"test-{uuid.uuid4().hex[:8]}"
    minute = time.time() // 60 * 60
    data = [
        {
            "MetricName": "Errors",
            "Dimensions": [{"Name": "Component", "Value": component}],
            "Timestamp": minute - 60 * ago,
            "Value": value,
        }
        for component, ago, value in (("a", 1, 1), ("a", 0, 2), ("b", 1, 10), ("b", 0, 20))
    ]
    client("cloudwatch").put_metric_data(Namespace=made, MetricData=data)
    return made


def ask(client: Client, *queries: dict[str, Any], **more: Any) -> list[tuple[str, list[float]]]:
    now = time.time()
    answer = client("cloudwatch").get_metric_data(
        StartTime=now - 3_600, EndTime=now + 60, MetricDataQueries=list(queries), **more
    )
    return [(result["Label"], result["Values"]) for result in answer["MetricDataResults"]]


def test_query_may_be_of_metrics_insights_or_a_search_and_its_sum(client: Client, namespace: str) -> None:
    query = 'SELECT SUM(Errors) FROM SCHEMA("{}", Component) GROUP BY Component ORDER BY SUM() DESC'
    insights = {"Id": "q", "Expression": query.format(namespace), "Period": 36_000_000}
    assert ask(client, insights) == [("b", [30]), ("a", [3])]
    search = f"SEARCH('{{{namespace},Component}} MetricName=\"Errors\"', 'Sum', 60)"
    every = {"Id": "all", "Expression": search, "ReturnData": False}
    assert ask(client, every, {"Id": "sum", "Expression": "SUM(all)", "Label": "total"}) == [
        ("total", [22, 11])
    ]
    total = {"Id": "sum", "Expression": f"SUM({search})", "Label": "total"}
    assert ask(client, total, ScanBy="TimestampAscending") == [("total", [11, 22])]
    with pytest.raises(ClientError, match="not an expression"):
        ask(client, {"Id": "e", "Expression": "m1 +"})


def test_queries_of_several_statistics_have_them_in_their_labels(client: Client, namespace: str) -> None:
    metric = {"Namespace": namespace, "MetricName": "Errors"}
    metric["Dimensions"] = [{"Name": "Component", "Value": "b"}]  # type: ignore[assignment]
    stats = [{"Metric": metric, "Period": 3_600_000, "Stat": stat} for stat in ("Sum", "Maximum")]
    queries = [{"Id": f"q{number}", "MetricStat": stat} for number, stat in enumerate(stats)]
    assert ask(client, queries[0]) == [("Errors", [30])]
    assert ask(client, *queries) == [("Errors Sum", [30]), ("Errors Maximum", [20])]


@pytest.mark.parametrize(
    ("datum", "message"),
    [
        ({"Value": float("nan")}, "The value NaN for parameter MetricData.member.2.Value is invalid"),
        ({"Value": 1, "Values": [1]}, "member.2.Value and MetricData.member.2.Values are mutually exclusive"),
        ({"Values": [1, 2], "Counts": [1]}, "member.2.Counts must be of the same size"),
    ],
)
def test_values_that_contradict_each_other_are_refused_and_none_is_kept(
    cloudwatch: Any, alarm: str, datum: dict[str, Any], message: str
) -> None:
    data: list[dict[str, Any]] = [{"MetricName": "Errors", "Value": 1}, {"MetricName": "Errors"} | datum]
    with pytest.raises(ClientError, match=message):
        cloudwatch.put_metric_data(Namespace=alarm, MetricData=data)
    assert cloudwatch.list_metrics(Namespace=alarm)["Metrics"] == []


def test_tags_of_an_alarm_that_is_not_there_are_not_found(cloudwatch: Any) -> None:
    arn = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:nobody"
    with pytest.raises(cloudwatch.exceptions.ResourceNotFoundException):
        cloudwatch.list_tags_for_resource(ResourceARN=arn)


def test_reader_of_pages_gets_every_event_once(client: Client) -> None:
    logs, group = client("logs"), "pages"
    now = int(time.time() * 1000)
    logs.create_log_group(logGroupName=group)
    for stream in ("one", "other"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        # Five lines have the same time.
        events = [{"timestamp": now + n // 5, "message": f"{stream} {n}"} for n in range(20)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=now, PaginationConfig={"PageSize": 7}
    )
    read = [event for found in pages for event in found["events"]]
    assert len(read) == len({event["message"] for event in read}) == 40
    assert [event["timestamp"] for event in read] == sorted(event["timestamp"] for event in read)
    logs.delete_log_group(logGroupName=group)


def test_equal_lines_of_a_function_have_ids_of_their_own(function: MakeFunction, client: Client) -> None:
    arn = function("def handler(event, context):\n    print('same')\n    print('same')\n")
    lambda_, logs, group = client("lambda"), client("logs"), "equal-lines"
    logs.create_log_group(logGroupName=group)
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogGroup": group})
    lambda_.invoke(FunctionName=arn)
    found = logs.filter_log_events(logGroupName=group, filterPattern="same")["events"]
    logs.delete_log_group(logGroupName=group)
    assert len(found) == len({event["eventId"] for event in found}) == 2
