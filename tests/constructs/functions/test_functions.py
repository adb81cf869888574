"""What all functions of the library have, whichever construct they belong to.

The fleet here has its manifest in S3, and so every function that a fleet has. What functions may do is in
`tests/iam`.
"""

from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks
from constructs import Construct

from multi_adapter_inference import AdapterFleet, AdapterManifest, FunctionHosting
from multi_adapter_inference.functions.functions import FunctionParts
from tests.constructs.conftest import imported_endpoint, infos_of
from tests.constructs.resources import Resources

HANDLERS = ("framework.", "adapter_fleet.")


def stack_of(folder: str, factory: pytest.TempPathFactory) -> cdk.Stack:
    return cdk.Stack(cdk.App(outdir=str(factory.mktemp(folder) / "cdk.out")), "Stack")


def add_fleet(stack: cdk.Stack, hosting: FunctionHosting) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    manifest = AdapterManifest.from_bucket(bucket, "fleets/tenants.yaml", enable_events=False)
    AdapterFleet(stack, "Tenants", endpoint=imported_endpoint(stack), manifest=manifest, functions=hosting)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    """The resources of a stack with a fleet without any setting."""
    stack = stack_of("plain", tmp_path_factory)
    add_fleet(stack, FunctionHosting())
    return Resources.of(stack)


@pytest.fixture(scope="module")
def hosted_stack(tmp_path_factory: pytest.TempPathFactory) -> cdk.Stack:
    """A stack with a fleet whose functions have a network and a key."""
    stack = stack_of("hosted", tmp_path_factory)
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-1",
        availability_zones=["a", "b"],
        private_subnet_ids=["subnet-a", "subnet-b"],
    )
    key = kms.Key(stack, "Key", enable_key_rotation=True)
    retention = logs.RetentionDays.ONE_YEAR
    add_fleet(stack, FunctionHosting(vpc=vpc, encryption_key=key, log_retention=retention))
    return stack


@pytest.fixture(scope="module")
def hosted(hosted_stack: cdk.Stack) -> Resources:
    """The resources of `hosted_stack`."""
    return Resources.of(hosted_stack)


def functions(resources: Resources) -> list[dict[str, Any]]:
    made = resources.of_type("AWS::Lambda::Function").values()
    found = [function for function in made if function["Handler"].startswith(HANDLERS)]
    assert len(found) >= 7
    return found


def test_failure_is_logged_on_one_line_and_reported_without_a_stack(plain: Resources) -> None:
    for function in functions(plain):
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        if function["Handler"].startswith("framework."):
            assert function["LoggingConfig"]["ApplicationLogLevel"] == "FATAL"  # payloads have a lower level
            assert function["Environment"]["Variables"]["NODE_OPTIONS"] == "--stack-trace-limit=0"


def test_every_function_keeps_the_events_that_it_failed_to_handle(plain: Resources) -> None:
    # As long as SQS can.
    assert plain.only("AWS::SQS::Queue") == {
        "MessageRetentionPeriod": 14 * 24 * 3600,
        "SqsManagedSseEnabled": True,
    }
    arn = {"Fn::GetAtt": [plain.id_of("AWS::SQS::Queue"), "Arn"]}
    for function in functions(plain):
        assert function["DeadLetterConfig"] == {"TargetArn": arn}


def test_every_function_is_in_the_given_subnets_with_one_security_group(hosted: Resources) -> None:
    group = hosted.id_of("AWS::EC2::SecurityGroup")
    for function in functions(hosted):
        assert function["VpcConfig"] == {
            "SubnetIds": ["subnet-a", "subnet-b"],
            "SecurityGroupIds": [{"Fn::GetAtt": [group, "GroupId"]}],
        }


def test_subnets_without_a_vpc_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"FunctionHosting: 'vpc' should be given with 'vpc_subnets'"):
        FunctionHosting(vpc_subnets=ec2.SubnetSelection())


def test_a_key_encrypts_what_functions_leave(hosted: Resources) -> None:
    arn = {"Fn::GetAtt": [hosted.id_of("AWS::KMS::Key"), "Arn"]}
    assert hosted.only("AWS::SQS::Queue")["KmsMasterKeyId"] == arn
    assert hosted.only("AWS::DynamoDB::Table")["SSESpecification"] == {
        "KMSMasterKeyId": arn,
        "SSEEnabled": True,
        "SSEType": "KMS",
    }
    groups = hosted.of_type("AWS::Logs::LogGroup").values()
    assert groups
    assert all(group == {"KmsKeyId": arn, "RetentionInDays": 365} for group in groups)
    for function in functions(hosted):
        assert function["KmsKeyArn"] == arn


def test_the_key_lets_services_of_the_account_use_it(hosted: Resources) -> None:
    key = hosted.only("AWS::KMS::Key")
    *_, of_logs = key["KeyPolicy"]["Statement"]
    assert of_logs["Principal"]["Service"]["Fn::Join"][1] == [
        "logs.",
        {"Ref": "AWS::Region"},
        ".",
        {"Ref": "AWS::URLSuffix"},
    ]
    assert list(of_logs["Condition"]["ArnLike"]) == ["kms:EncryptionContext:aws:logs:arn"]
    # EventBridge puts events that reach no function into the queue.
    assert {
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    } in key["KeyPolicy"]["Statement"]


def test_of_a_key_whose_policy_is_not_the_apps_synth_says_what_it_needs(stack: cdk.Stack) -> None:
    theirs = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/1")
    for name, key, count in (("Theirs", theirs, 1), ("Own", kms.Key(stack, "OwnKey"), 0)):
        scope = Construct(stack, name)
        FunctionParts(scope, FunctionHosting(encryption_key=key))
        assert len(infos_of(scope)) == count
        assert all("should let CloudWatch Logs and EventBridge use it" in info for info in infos_of(scope))


@pytest.mark.slow
def test_cdk_nag_finds_nothing_in_a_vpc_with_a_key(hosted_stack: cdk.Stack) -> None:
    app = cast("cdk.App", hosted_stack.node.root)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth(force=True)  # raises an error for each finding
