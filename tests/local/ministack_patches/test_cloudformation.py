"""Stacks: their change sets, custom resources, failures and deletions."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import ChangeSettings, Client
from tests.local.stacks import ROLE, Bucket, Stack, serving, until


def conditional(*, output: str = "same", on: bool = True) -> tuple[dict[str, Any], dict[str, str]]:
    """A template with a queue on a condition, and the parameters that turn it on or off."""
    template = {
        "Parameters": {"On": {"Type": "String"}},
        "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
        "Resources": {
            "Always": {"Type": "AWS::SQS::Queue"},
            "Sometimes": {"Type": "AWS::SQS::Queue", "Condition": "IsOn"},
        },
        "Outputs": {"Output": {"Value": output}},
    }
    return template, {"On": "yes" if on else "no"}


def test_change_set_has_what_a_condition_removes_and_adds(stack: Stack, client: Client) -> None:
    created = stack.change_set(*conditional(), kind="CREATE")
    assert created.changes() == {"Always": "Add", "Sometimes": "Add"}
    assert created.execute() == "CREATE_COMPLETE"
    queue = stack.physical_id("Sometimes")
    removes = stack.change_set(*conditional(on=False))
    assert (removes.changes(), removes.describe()["Status"]) == ({"Sometimes": "Remove"}, "CREATE_COMPLETE")
    assert removes.execute() == "UPDATE_COMPLETE"
    assert queue not in client("sqs").list_queues().get("QueueUrls", [])
    assert stack.change_set(*conditional(on=False)).describe()["Status"] == "FAILED"
    adds = stack.change_set(*conditional())
    assert adds.changes() == {"Sometimes": "Add"}
    assert adds.execute() == "UPDATE_COMPLETE"


def test_stack_whose_creation_was_rolled_back_has_no_change_set(stack: Stack) -> None:
    endpoint = {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": "nowhere"}}
    broken = {"Resources": {"Broken": endpoint}}
    assert stack.change_set(broken, {}, kind="CREATE").execute() == "ROLLBACK_COMPLETE"
    words = "is in ROLLBACK_COMPLETE state and can not be updated"
    with pytest.raises(ClientError, match=words):
        stack.change_set(*conditional())


def test_change_set_of_outputs_alone_can_be_executed(stack: Stack) -> None:
    assert stack.change_set(*conditional(), kind="CREATE").execute() == "CREATE_COMPLETE"
    changed = stack.change_set(*conditional(output="other"))
    assert (changed.changes(), changed.describe()["ExecutionStatus"]) == ({}, "AVAILABLE")
    assert changed.execute() == "UPDATE_COMPLETE"
    assert stack.outputs() == {"Output": "other"}
    refused = stack.change_set(*conditional(output="other")).describe()
    assert refused["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_custom_resource_whose_create_failed_gets_a_delete(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    assert stack.create({"Thing": custom(Fails="Create")}) == "ROLLBACK_COMPLETE"
    assert requests() == ["Create Thing", "Delete Thing-made"]
    assert stack.reasons("CREATE_FAILED") == ["as told"]


def test_custom_resource_that_did_not_answer_its_create_gets_a_delete_with_an_id_made_up(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    thing = custom(Fails="Create", Silent="yes", timeout=2)
    assert stack.create({"Thing": thing}) == "ROLLBACK_COMPLETE"
    create, delete = requests()
    assert create == "Create Thing"
    assert delete.startswith(f"Delete {stack.name}-Thing-")


def test_what_a_resource_needs_that_could_not_be_deleted_stays_until_it_is(
    stack: Stack, custom: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    resources = {
        "Needed": {"Type": "AWS::S3::Bucket"},
        "Other": {"Type": "AWS::S3::Bucket"},
        "Thing": custom(Fails="Delete", Bucket={"Ref": "Needed"}),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_FAILED"
    assert stack.reasons("DELETE_FAILED") == ["as told"]
    assert (stack.events("Needed")[0], stack.events("Other")[0]) == ("CREATE_COMPLETE", "DELETE_COMPLETE")
    (tmp_path / "let-go").touch()
    assert stack.delete() == "DELETE_COMPLETE"


@pytest.fixture
def together(settings: ChangeSettings) -> None:
    settings(parallel_creation=True)


@pytest.mark.usefixtures("together")
def test_resources_that_do_not_depend_on_each_other_are_created_together(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    after = custom() | {"DependsOn": ["One", "Two"]}
    resources = {"One": custom(WaitsFor="Two"), "Two": custom(WaitsFor="One"), "After": after}
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert sorted(requests()[:2]) == ["Create One", "Create Two"]
    assert requests()[2:] == ["Create After"]


@pytest.mark.usefixtures("together")
def test_creation_that_ends_after_another_failed_is_rolled_back(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    assert stack.create({"A": custom(Fails="Create"), "B": custom()}) == "ROLLBACK_COMPLETE"
    assert requests().index("Create B") < requests().index("Delete B-made")
    assert stack.events("B")[:2] == ["DELETE_COMPLETE", "DELETE_IN_PROGRESS"]


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize(
    ("depends_on", "status"), [("Base", "ROLLBACK_COMPLETE"), ("One", "CREATE_COMPLETE")]
)
def test_adapters_refuse_each_other_where_a_base_takes_one_write_unless_one_depends_on_the_other(
    stack: Stack, bucket: Bucket, settings: ChangeSettings, depends_on: str, status: str
) -> None:
    settings(one_write_per_base=True, component_create_seconds=0.5)
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1"), "two": bucket.adapter("2")})
    resources["Two"]["DependsOn"] = depends_on
    assert stack.create(resources) == status


def test_cloud_answers_while_a_deployment_waits(
    stack: Stack, bucket: Bucket, client: Client, settings: ChangeSettings
) -> None:
    settings(endpoint_seconds=1.5)
    body = json.dumps({"Resources": serving(stack.name, bucket, {})})
    client("cloudformation").create_stack(StackName=stack.name, TemplateBody=body)
    s3 = client("s3")
    slowest = 0.0
    while stack._describe()["StackStatus"] == "CREATE_IN_PROGRESS":
        started = time.monotonic()
        s3.list_buckets()
        slowest = max(slowest, time.monotonic() - started)
    assert stack.settled() == "CREATE_COMPLETE"
    assert slowest < 1


def test_bucket_has_the_tags_of_its_template_and_of_its_stack(stack: Stack, client: Client) -> None:
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"Tags": [{"Key": "aws-cdk:auto-delete-objects", "Value": "true"}]},
    }
    stack.create({"Bucket": bucket}, tags={"team": "a"})
    tags = client("s3").get_bucket_tagging(Bucket=stack.physical_id("Bucket"))["TagSet"]
    assert {"Key": "aws-cdk:auto-delete-objects", "Value": "true"} in tags
    assert {"Key": "team", "Value": "a"} in tags


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
    stack: Stack, client: Client
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


@pytest.fixture
def resources(stack: Stack, bucket: Bucket, settings: ChangeSettings) -> dict[str, Any]:
    """An endpoint that takes a second, with an adapter, and a queue that is retained."""
    settings(endpoint_seconds=1)
    retained = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"}
    return {"Retained": retained} | serving(stack.name, bucket, {"one": bucket.adapter("1")})


@pytest.mark.parametrize(
    "address", ["BUCKET.s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com/BUCKET"]
)
def test_template_has_either_form_of_address(client: Client, address: str) -> None:
    bucket = f"templates-{uuid.uuid4().hex}"
    client("s3").create_bucket(Bucket=bucket)
    client("s3").put_object(Bucket=bucket, Key="a/b.json", Body=json.dumps(conditional()[0]))
    url = f"https://{address.replace('BUCKET', bucket)}/a/b.json"
    found = client("cloudformation").get_template_summary(TemplateURL=url)
    assert found["Parameters"][0]["ParameterKey"] == "On"


@pytest.mark.integration
def test_stack_is_gone_when_what_was_being_created_is_there(
    stack: Stack, resources: dict[str, Any], client: Client
) -> None:
    # What is retained outlives a creation that ended early, too.
    resources["Endpoint"]["DependsOn"] = "Retained"
    stack.start(resources)
    until(lambda: "CREATE_IN_PROGRESS" in stack.events("Endpoint"))
    assert stack.statuses_of_deletion() == ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    assert stack.reasons("CREATE_FAILED") == ["Resource creation cancelled"]
    assert stack.events("Retained")[0] == "DELETE_SKIPPED"
    sagemaker = client("sagemaker")
    for found in (
        sagemaker.list_endpoints(NameContains=stack.name)["Endpoints"],
        sagemaker.list_models(NameContains=stack.name)["Models"],
        sagemaker.list_inference_components(NameContains=stack.name)["InferenceComponents"],
    ):
        assert found == []


@pytest.mark.integration
def test_second_deletion_joins_the_first(stack: Stack, resources: dict[str, Any]) -> None:
    assert stack.create(resources) == "CREATE_COMPLETE"
    stack.request_deletion()
    stack.request_deletion()
    assert stack.settled() == "DELETE_COMPLETE"
    assert stack.events("Endpoint").count("DELETE_IN_PROGRESS") == 1


@pytest.mark.integration
def test_stack_that_is_being_updated_is_not_deleted(
    stack: Stack, resources: dict[str, Any], client: Client
) -> None:
    stack.create({"Queue": {"Type": "AWS::SQS::Queue"}})
    client("cloudformation").update_stack(
        StackName=stack.name, TemplateBody=json.dumps({"Resources": resources})
    )
    with pytest.raises(ClientError, match="cannot be deleted while in status UPDATE_IN_PROGRESS"):
        stack.request_deletion()
    assert stack.settled() == "UPDATE_COMPLETE"
    assert stack.delete() == "DELETE_COMPLETE"
