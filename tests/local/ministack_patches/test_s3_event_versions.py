from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any


def test_event_of_a_versioned_bucket_names_the_version(client: Callable[..., Any]) -> None:
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
