"""One test for each gap of ministack that is mended: without the mend it fails."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import ministack.app
import pytest

from local_sagemaker.ministack_patches import http_compressed_bodies
from local_sagemaker.ministack_patches.internals import UnknownMinistackError, expect
from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, boto_client
from tests.local.functions import functions
from tests.local.stacks import Bucket, Stack, serving

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}},
    ],
}


@pytest.fixture
def function(client: Callable[..., Any]) -> Iterator[Callable[[str], str]]:
    """Makes Lambda functions of Python source with a `handler`."""
    yield from functions(client("lambda"))


@pytest.fixture
def parallel() -> Iterator[tuple[Stack, Callable[[str], str]]]:
    """A stack of a cloud that provisions in parallel, and what makes functions there."""
    with LocalCloud(parallel_provisioning=True, settings=QUICK) as running:
        for function in functions(boto_client(running, "lambda")):
            yield Stack(boto_client(running, "cloudformation"), "parallel"), function


def test_bucket_has_the_tags_of_its_template_and_of_its_stack(
    stack: Stack, client: Callable[..., Any]
) -> None:
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"Tags": [{"Key": "aws-cdk:auto-delete-objects", "Value": "true"}]},
    }
    stack.create({"Bucket": bucket}, tags={"team": "a"})
    tags = client("s3").get_bucket_tagging(Bucket=stack.physical_id("Bucket"))["TagSet"]
    assert {"Key": "aws-cdk:auto-delete-objects", "Value": "true"} in tags
    assert {"Key": "team", "Value": "a"} in tags


def test_exception_of_a_python_handler_has_its_own_type(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("class Odd(Exception): ...\ndef handler(event, context):\n    raise Odd('so it is')\n")
    answer = client("lambda").invoke(FunctionName=arn)
    assert answer["FunctionError"] == "Unhandled"
    said = json.loads(answer["Payload"].read())
    assert (said["errorType"], said["errorMessage"]) == ("Odd", "so it is")


CUSTOM_RESOURCE = """
import json, urllib.request

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["RequestType"], event.get("PhysicalResourceId", ""), file=log)
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    failed = event["RequestType"] == "Create"
    answer |= {{"Status": "FAILED" if failed else "SUCCESS", "Reason": "as told"}}
    answer |= {{"PhysicalResourceId": "half-made"}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def test_custom_resource_whose_create_failed_gets_a_delete(
    stack: Stack, function: Callable[[str], str], tmp_path: Any
) -> None:
    log = tmp_path / "requests"
    arn = function(CUSTOM_RESOURCE.format(log=log))
    custom = {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, "ServiceTimeout": 20}}
    assert stack.create({"Thing": custom}) == "ROLLBACK_COMPLETE"
    assert stack.reasons("CREATE_FAILED") == ["as told"]
    assert log.read_text().splitlines() == ["Create ", "Delete half-made"]


SILENT = """
import json, os, urllib.request

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["RequestType"], event.get("PhysicalResourceId", ""), file=log)
    if event["RequestType"] == "Create":
        os._exit(1)
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "SUCCESS", "PhysicalResourceId": event["PhysicalResourceId"]}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def test_custom_resource_that_did_not_answer_its_create_gets_a_delete_with_an_id_made_up(
    stack: Stack, function: Callable[[str], str], tmp_path: Any
) -> None:
    log = tmp_path / "requests"
    arn = function(SILENT.format(log=log))
    custom = {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, "ServiceTimeout": 2}}
    assert stack.create({"Thing": custom}) == "ROLLBACK_COMPLETE"
    create, delete = log.read_text().splitlines()
    assert create == "Create "
    assert delete.startswith(f"Delete {stack.name}-Thing-")


@pytest.fixture
def importer(client: Callable[..., Any], stack: Stack) -> Iterator[Stack]:
    """A stack that imports an export of another one, with the value `one`."""
    name = f"{stack.name}-export"
    assert stack.create(NEEDED, exports={name: "one"}) == "CREATE_COMPLETE"
    made = Stack(client("cloudformation"), f"{stack.name}-importer")
    assert made.create(importing(name)) == "CREATE_COMPLETE"
    yield made
    made.delete()


NEEDED: dict[str, Any] = {"Needed": {"Type": "AWS::S3::Bucket"}}


def importing(export: str) -> dict[str, Any]:
    value = {"Type": "String", "Value": {"Fn::ImportValue": export}}
    return {"Imported": {"Type": "AWS::SSM::Parameter", "Properties": value}}


@pytest.mark.parametrize(("value", "done"), [("two", "updated"), (None, "deleted")])
def test_export_that_another_stack_imports_is_neither_changed_nor_removed(
    stack: Stack, importer: Stack, value: str | None, done: str
) -> None:
    name = f"{stack.name}-export"
    other = {"Other": {"Type": "AWS::S3::Bucket"}}
    status = stack.update(NEEDED | other, exports={name: value} if value else {})
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.events("Other")[0] == "DELETE_COMPLETE"
    assert f"Export {name} cannot be {done} as it is in use by {importer.name}" in stack.why_failed()
    # It imports what it did before.
    assert importer.update(importing(name) | NEEDED) == "UPDATE_COMPLETE"


def test_export_that_no_stack_imports_any_more_is_changed_and_removed(stack: Stack, importer: Stack) -> None:
    name = f"{stack.name}-export"
    assert stack.update(NEEDED, exports={name: "one", f"{name}-more": "x"}) == "UPDATE_COMPLETE"
    assert importer.update(NEEDED) == "UPDATE_COMPLETE"
    assert stack.update(NEEDED, exports={name: "two"}) == "UPDATE_COMPLETE"
    assert stack.update({**NEEDED, "Other": {"Type": "AWS::S3::Bucket"}}) == "UPDATE_COMPLETE"
    assert importer.update(NEEDED | importing(name)) == "UPDATE_ROLLBACK_COMPLETE"  # it is gone


STAYS_AT_FIRST = """
import json, os, urllib.request

def handler(event, context):
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    failed = event["RequestType"] == "Delete" and not os.path.exists("{let_go}")
    answer |= {{"Status": "FAILED" if failed else "SUCCESS", "Reason": "not yet"}}
    answer |= {{"PhysicalResourceId": "thing"}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


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


def test_change_set_has_what_a_condition_removes_and_adds(stack: Stack, client: Callable[..., Any]) -> None:
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


def test_change_set_of_outputs_alone_can_be_executed(stack: Stack) -> None:
    assert stack.change_set(*conditional(), kind="CREATE").execute() == "CREATE_COMPLETE"
    changed = stack.change_set(*conditional(output="other"))
    assert (changed.changes(), changed.describe()["ExecutionStatus"]) == ({}, "AVAILABLE")
    assert changed.execute() == "UPDATE_COMPLETE"
    assert stack.outputs() == {"Output": "other"}
    refused = stack.change_set(*conditional(output="other")).describe()
    assert refused["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_what_a_resource_needs_that_could_not_be_deleted_stays_until_it_is(
    stack: Stack, function: Callable[[str], str], tmp_path: Any
) -> None:
    let_go = tmp_path / "let-go"
    arn = function(STAYS_AT_FIRST.format(let_go=let_go))
    properties = {"ServiceToken": arn, "ServiceTimeout": 20, "Bucket": {"Ref": "Needed"}}
    resources = {
        "Needed": {"Type": "AWS::S3::Bucket"},
        "Other": {"Type": "AWS::S3::Bucket"},
        "Thing": {"Type": "Custom::Thing", "Properties": properties},
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_FAILED"
    assert stack.reasons("DELETE_FAILED") == ["not yet"]
    assert (stack.events("Needed")[0], stack.events("Other")[0]) == ("CREATE_COMPLETE", "DELETE_COMPLETE")
    let_go.touch()
    assert stack.delete() == "DELETE_COMPLETE"


def test_cloud_answers_while_a_deployment_waits(
    stack: Stack, bucket: Bucket, client: Callable[..., Any], settings: Callable[..., None]
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


def test_failed_update_of_a_component_is_sent_back_in_the_rollback(
    stack: Stack, bucket: Bucket, cloud: LocalCloud
) -> None:
    stack.create(serving(stack.name, bucket, {"one": bucket.adapter("1")}))
    cloud.admin.reset_calls()
    stack.update(serving(stack.name, bucket, {"one": bucket.put("broken.tar.gz", b"no archive")}))
    assert cloud.admin.writes() == {"UpdateInferenceComponent": 2}


def test_content_type_of_an_invocation_is_the_containers(
    stack: Stack, bucket: Bucket, client: Callable[..., Any]
) -> None:
    resources = serving(stack.name, bucket, {})
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    stack.create(resources)
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stack.name, InferenceComponentName=f"{stack.name}-base", Body=b"{}"
    )
    assert answer["ContentType"] == "application/json; charset=utf-8"


def test_copied_object_has_the_checksum_that_the_copy_asks_for(client: Callable[..., Any]) -> None:
    s3, name, content = client("s3"), f"copies-{time.monotonic_ns()}", b"weights"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=name, Key="source", Body=content, ChecksumAlgorithm="CRC32")
    source = {"Bucket": name, "Key": "source"}
    copied = s3.copy_object(Bucket=name, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")
    for version in ({}, {"VersionId": copied["VersionId"]}):
        head = s3.head_object(Bucket=name, Key="copy", ChecksumMode="ENABLED", **version)
        assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert head["ChecksumType"] == "FULL_OBJECT"
        assert "ChecksumCRC32" not in head


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


TABLE: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
    "SSESpecification": {"SSEEnabled": True},
}


def table_settings(dynamodb: Any, table: str) -> list[str]:
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return [
        backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"],
        dynamodb.describe_table(TableName=table)["Table"].get("SSEDescription", {}).get("Status"),
    ]


def test_table_has_the_settings_of_its_template(stack: Stack, client: Callable[..., Any]) -> None:
    dynamodb = client("dynamodb")
    stack.create({"Table": {"Type": "AWS::DynamoDB::Table", "Properties": TABLE}})
    table = stack.physical_id("Table")
    assert table_settings(dynamodb, table) == ["ENABLED"] * 3
    bare = {name: value for name, value in TABLE.items() if not name.endswith("Specification")}
    assert stack.update({"Table": {"Type": "AWS::DynamoDB::Table", "Properties": bare}}) == "UPDATE_COMPLETE"
    assert table_settings(dynamodb, table) == ["DISABLED"] * 3


def failing_function(queue: str | None) -> dict[str, Any]:
    """Return the template of a function that handles no event, and keeps those in the queue."""
    role = {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
        "Policies": [
            {
                "PolicyName": "Send",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}],
                },
            }
        ],
    }
    function = {
        "Code": {"ZipFile": "def handler(event, _):\n    raise ValueError('no')"},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Description": f"keeps events in {queue}",
    }
    if queue is not None:
        function["DeadLetterConfig"] = {"TargetArn": {"Fn::GetAtt": [queue, "Arn"]}}
    return {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
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


EMBEDDED_METRIC = """
import json, time

def handler(event, context):
    print("not a metric, though it says \\"_aws\\"")
    for fleet, pending in (("one", 3), ("two", [5, 7])):
        directive = {"Namespace": "Adapters", "Dimensions": [["Fleet"]], "Metrics": [{"Name": "Pending"}]}
        about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        print(json.dumps({"_aws": about, "Fleet": fleet, "Pending": pending}))
"""


def test_embedded_metric_of_a_log_line_is_a_metric_of_its_dimensions(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    client("lambda").invoke(FunctionName=function(EMBEDDED_METRIC))
    cloudwatch, now = client("cloudwatch"), datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5)}

    def metric(fleet: str) -> dict[str, Any]:
        dimensions = [{"Name": "Fleet", "Value": fleet}]
        return {"Namespace": "Adapters", "MetricName": "Pending", "Dimensions": dimensions}

    statistics = cloudwatch.get_metric_statistics(**metric("two"), **span, Period=3600, Statistics=["Sum"])
    assert sum(point["Sum"] for point in statistics["Datapoints"]) == 12
    query = {"Id": "m", "MetricStat": {"Metric": metric("one"), "Period": 3600, "Stat": "Maximum"}}
    (result,) = cloudwatch.get_metric_data(**span, MetricDataQueries=[query])["MetricDataResults"]
    assert result["Values"] == [3]


def test_log_group_that_was_deleted_does_not_come_back_with_a_functions_last_lines(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    lambda_, group = client("lambda"), "deleted-before"
    arn = function("def handler(event, context):\n    print('late')\n")
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogGroup": group})
    lambda_.invoke(FunctionName=arn)
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_retries_of_a_state_machine_wait_no_longer_than_their_maximum(
    function: Callable[[str], str], client: Callable[..., Any]
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
    status, deadline = "RUNNING", time.monotonic() + 30
    while status == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.05)
        status = machines.describe_execution(executionArn=execution)["status"]
    assert status == "FAILED"


TOGETHER = """
import json, pathlib, time, urllib.request

def handler(event, context):
    properties, folder = event["ResourceProperties"], pathlib.Path("{folder}")
    me = event["LogicalResourceId"]
    with (folder / "log").open("a") as log:
        print(event["RequestType"], me, properties["Value"], file=log)
    (folder / f"{{me}} {{properties['Value']}}").touch()
    other = folder / f"{{properties.get('WaitsFor')}} {{properties['Value']}}"
    deadline = time.monotonic() + 20
    while "WaitsFor" in properties and not other.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    fails = properties["Value"] == "bad" or ("WaitsFor" in properties and not other.exists())
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "FAILED" if fails else "SUCCESS", "Reason": "alone", "PhysicalResourceId": me}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def together(arn: str, value: str) -> dict[str, Any]:
    """Two resources that each wait for the other to begin, and one that depends on both."""
    common = {"ServiceToken": arn, "ServiceTimeout": 30, "Value": value}
    return {
        "One": {"Type": "Custom::Thing", "Properties": common | {"WaitsFor": "Two"}},
        "Two": {"Type": "Custom::Thing", "Properties": common | {"WaitsFor": "One"}},
        "After": {"Type": "Custom::Thing", "Properties": common, "DependsOn": ["One", "Two"]},
    }


def test_resources_that_do_not_depend_on_each_other_are_provisioned_together(
    parallel: tuple[Stack, Callable[[str], str]], tmp_path: Any
) -> None:
    stack, function = parallel
    arn = function(TOGETHER.format(folder=tmp_path))
    assert stack.create(together(arn, "good")) == "CREATE_COMPLETE"
    requests = (tmp_path / "log").read_text().splitlines()
    assert sorted(requests[:2]) == ["Create One good", "Create Two good"]
    assert requests[2:] == ["Create After good"]


def test_creation_that_ends_after_another_failed_is_rolled_back(
    parallel: tuple[Stack, Callable[[str], str]], tmp_path: Any
) -> None:
    stack, function = parallel
    common = {"ServiceToken": function(TOGETHER.format(folder=tmp_path)), "ServiceTimeout": 30}
    failing = {"Type": "Custom::Thing", "Properties": common | {"Value": "bad"}}
    good = {"Type": "Custom::Thing", "Properties": common | {"Value": "good"}}
    assert stack.create({"A": failing, "B": good}) == "ROLLBACK_COMPLETE"
    requests = (tmp_path / "log").read_text().splitlines()
    assert sorted(requests[:2]) == ["Create A bad", "Create B good"]
    assert "Delete B good" in requests
    assert stack.events("B")[:2] == ["DELETE_COMPLETE", "DELETE_IN_PROGRESS"]


RUNTIME = """#!/usr/bin/env python3
import json, os, urllib.error, urllib.request

events = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
try:
    page = urllib.request.Request(f"{events}/next", headers={"Origin": "http://127.0.0.1:8000"})
    status = urllib.request.urlopen(page, timeout=5).status
except urllib.error.HTTPError as error:
    status = error.code
while True:
    with urllib.request.urlopen(f"{events}/next") as event:
        number = event.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = urllib.request.Request(f"{events}/{number}/response", json.dumps(status).encode(), method="POST")
    urllib.request.urlopen(answer).read()
"""


def test_events_of_a_custom_runtime_are_refused_to_web_pages(client: Callable[..., Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, RUNTIME)
    lambda_, name = client("lambda"), f"custom-{time.monotonic_ns()}"
    lambda_.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role="arn:aws:iam::000000000000:role/Lambda",
        Handler="bootstrap",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=30,
    )
    try:
        answer = lambda_.invoke(FunctionName=name)
        assert ("FunctionError" in answer, json.loads(answer["Payload"].read())) == (False, 403)
    finally:
        lambda_.delete_function(FunctionName=name)


def test_download_url_of_a_function_is_signed(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("def handler(event, context): ...")
    url = client("lambda").get_function(FunctionName=arn)["Code"]["Location"]
    with zipfile.ZipFile(io.BytesIO(httpx.get(url).raise_for_status().content)) as archive:
        assert archive.namelist() == ["index.py"]
    for other in (url.partition("?")[0], url[:-1] + ("0" if url[-1] != "0" else "1")):
        assert httpx.get(other).status_code == 401


def test_download_url_of_a_layer_is_signed(client: Callable[..., Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/module.py", "")
    published = client("lambda").publish_layer_version(
        LayerName="layer", Content={"ZipFile": buffer.getvalue()}
    )
    url = published["Content"]["Location"]
    assert httpx.get(url).raise_for_status().content == buffer.getvalue()
    assert httpx.get(url.partition("?")[0]).status_code == 401


def test_compressed_body_is_inflated_no_further_than_a_body_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ministack.app, "_decompress_request_body", ministack.app._decompress_request_body)
    http_compressed_bodies.install(1000)
    for size, inflated in ((1000, True), (1001, False)):
        body = gzip.compress(bytes(size))
        given = ministack.app._decompress_request_body(body, {"content-encoding": "gzip"})
        assert given == (bytes(size) if inflated else body)


def test_ministack_that_is_built_differently_is_named_with_its_version() -> None:
    with pytest.raises(UnknownMinistackError, match="is not built as expected: a table is there"):
        expect(False, "a table is there")


COUNTING = """
import time

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["number"], flush=True, file=log)
    time.sleep(0.3)
    if event["fails"]:
        raise ValueError("again")
    return {{}}
"""


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_distributed_map_has_started_stops_with_its_execution(
    function: Callable[[str], str], client: Callable[..., Any], tmp_path: Any, fails: bool
) -> None:
    log = tmp_path / "numbers"
    call = {
        "Type": "Task",
        "Resource": function(COUNTING.format(log=log)),
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": 100}],
        "End": True,
    }
    each = {
        "Type": "Map",
        "MaxConcurrency": 1,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED"},
            "StartAt": "Call",
            "States": {"Call": call},
        },
        "End": True,
    }
    machines = client("stepfunctions")
    machine = machines.create_state_machine(
        name=f"map-{time.monotonic_ns()}",
        roleArn="arn:aws:iam::000000000000:role/Machine",
        definition=json.dumps({"StartAt": "Each", "States": {"Each": each}}),
    )["stateMachineArn"]
    items = [{"number": number, "fails": fails} for number in range(10)]
    execution = machines.start_execution(stateMachineArn=machine, input=json.dumps(items))["executionArn"]
    while not log.exists():
        time.sleep(0.02)
    machines.stop_execution(executionArn=execution, error="Enough")
    begun = len(log.read_text().split())
    time.sleep(1.2)
    assert len(log.read_text().split()) == begun
    assert machines.describe_execution(executionArn=execution)["status"] == "ABORTED"
