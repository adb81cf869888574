"""Small differences of services that are mended."""

import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import ChangeSettings, Client
from tests.local.stacks import MakeFunction, until


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("service-quotas", "list_service_quotas", {"ServiceCode": "sagemaker"}),
        ("polly", "describe_voices", {}),
        ("redshift", "describe_clusters", {}),
    ],
    ids=["json", "rest-json", "query"],
)
def test_service_that_is_not_there_is_named(
    client: Client, service: str, operation: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(service), operation)(**parameters)
    error = refused.value.response["Error"]
    assert error["Code"] == "UnknownOperationException"
    signed_as = service.replace("-", "")
    assert error["Message"] == f"The embedded cloud does not have the service '{signed_as}'."


def test_event_of_a_versioned_bucket_names_the_version(client: Client) -> None:
    s3, sqs, events = client("s3"), client("sqs"), client("events")
    name = f"versioned-{time.monotonic_ns()}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    version = s3.put_object(Bucket=name, Key="key", Body=b"x")["VersionId"]
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    written = json.loads(message["Body"])["detail"]["object"]
    assert written["version-id"] == version
    assert int(written["sequencer"], 16) > 0


def test_retries_of_a_state_machine_wait_no_longer_than_their_maximum(
    function: MakeFunction, client: Client
) -> None:
    machines = client("stepfunctions")
    retry = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 1,
        "BackoffRate": 100,
        "MaxDelaySeconds": 1,
        "MaxAttempts": 2,
    }
    task = {
        "Type": "Task",
        "Resource": function("def handler(event, context):\n    raise ValueError\n"),
        "Retry": [retry],
        "End": True,
    }
    machine = machines.create_state_machine(
        name=f"retrying-{time.monotonic_ns()}",
        roleArn="arn:aws:iam::000000000000:role/Machine",
        definition=json.dumps({"StartAt": "Task", "States": {"Task": task}}),
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine)["executionArn"]
    until(lambda: machines.describe_execution(executionArn=execution)["status"] == "FAILED", 30)


def test_queue_tells_how_many_messages_can_be_received(client: Client, settings: ChangeSettings) -> None:
    settings(time_scale=0.01)
    queues, cloudwatch, name = client("sqs"), client("cloudwatch"), f"queue-{uuid.uuid4().hex[:8]}"
    url = queues.create_queue(QueueName=name)["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="one")
    queues.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    query = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": name}],
        "StartTime": time.time() - 60,
        "EndTime": time.time() + 60,
        "Period": 60,
        "Statistics": ["Maximum"],
    }

    def maxima() -> set[float]:
        return {point["Maximum"] for point in cloudwatch.get_metric_statistics(**query)["Datapoints"]}

    # The queue may have been measured before it had a message.
    assert until(lambda: maxima() - {0}) == {1}
