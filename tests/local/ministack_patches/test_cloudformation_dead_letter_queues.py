from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import ROLE, Stack


def failing_function(queue: str | None) -> dict[str, Any]:
    """Return the template of a function that handles no event, and keeps those in the queue."""
    function = {
        "Code": {"ZipFile": "def handler(event, _):\n    raise ValueError('no')"},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": ROLE,
        "Description": f"keeps events in {queue}",
    }
    if queue is not None:
        function["DeadLetterConfig"] = {"TargetArn": {"Fn::GetAtt": [queue, "Arn"]}}
    return {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
    }


def test_event_that_a_function_fails_to_handle_is_in_the_queue_of_its_template(
    stack: Stack, client: Callable[..., Any]
) -> None:
    functions, queues = client("lambda"), client("sqs")
    stack.create(failing_function("Queue"))
    name = stack.physical_id("Function")
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"number": 7}')
    # After two retries.
    (message,) = queues.receive_message(QueueUrl=stack.physical_id("Queue"), WaitTimeSeconds=20)["Messages"]
    assert '{"number": 7}' in message["Body"]
    assert stack.update(failing_function(None)) == "UPDATE_COMPLETE"
    assert "DeadLetterConfig" not in functions.get_function_configuration(FunctionName=name)
