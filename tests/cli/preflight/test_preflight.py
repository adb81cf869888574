import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner, Result

from adapters_cli.main import app
from adapters_cli.preflight.preflight import CHECKS
from local_sagemaker.server import LocalCloud
from tests.cli.preflight.account_in_order import ACCOUNT, INSTANCE, LMI_28, SERVICES, VERSION, AccountInOrder
from tests.fakes import client_error

pytestmark = pytest.mark.integration
GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "preflight.md"


@pytest.fixture
def account(cloud: LocalCloud, tmp_path: Path) -> AccountInOrder:
    return AccountInOrder(cloud, uuid.uuid4().hex[:8], tmp_path)


def preflight(account: AccountInOrder, *options: str) -> Result:
    command = ["preflight", "--environment", str(account.file), *options]
    return CliRunner().invoke(app, command, obj=account, catch_exceptions=False)


def findings(account: AccountInOrder) -> list[dict[str, Any]]:
    """Return all findings but those that are right. An error among them is the exit code."""
    done = preflight(account, "--json")
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["verdict"] != "ok"]
    assert done.exit_code == any(finding["verdict"] == "error" for finding in found)
    return found


class Refusing:
    """A client that refuses every call."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


Plant = Callable[[AccountInOrder], object]


def no_service(account: AccountInOrder) -> None:
    def away(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://api.sagemaker.xx-north-1.amazonaws.com/")

    account.answer("sagemaker", {}, list_inference_components=away)


def setting(**values: Any) -> Plant:
    """Return a fault that sets parts of the account."""
    return lambda account: vars(account).update(values)


def edited(old: str, new: str) -> Plant:
    """Return a fault in the environment file."""
    return lambda account: account.edit(old, new)


def stored(name: str, body: bytes) -> Plant:
    """Return a fault in a file of the model."""
    return lambda account: account.client("s3").put_object(
        Bucket=account.bucket, Key=f"models/tickets/{name}", Body=body
    )


def monitored(topic: str) -> Plant:
    """Return a fault: alarms go to a topic that is not there."""
    return lambda account: monitor(account, topic)


def old_bootstrap(account: AccountInOrder) -> None:
    account.client("ssm").put_parameter(Name=VERSION, Value="5", Type="String", Overwrite=True)


def called(service: str, operation: str, **arguments: Any) -> Plant:
    """Return a fault that one call of a service makes."""
    return lambda account: getattr(account.client(service), operation)(**arguments)


def name_taken(account: AccountInOrder) -> None:
    name = f"{account.prefix}-acme"

    def others(*, NameContains: str, PaginationConfig: Any) -> Any:  # noqa: N803 - boto3's names
        assert NameContains in name
        assert PaginationConfig == {"PageSize": 100}
        yield {"InferenceComponents": [{"InferenceComponentName": name, "EndpointName": "other"}]}

    account.answer("sagemaker", {"list_inference_components": others})


def quota(instance: str, value: float) -> Plant:
    """Return a fault: the account has this quota for instances and no other one."""

    def plant(account: AccountInOrder) -> None:
        account.quotas.values = {f"{instance} for endpoint usage": value}

    return plant


def bucket_elsewhere(account: AccountInOrder) -> None:
    name = f"far-{account.bucket}"
    account.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    account.edit('[[artifact_sources]]\nbucket = "', '[[artifact_sources]]\nbucket = "far-')


def no_manifest(account: AccountInOrder) -> None:
    account.client("s3").delete_object(Bucket=account.bucket, Key="fleet.yaml")


def manifest_of(entry: str) -> Plant:
    """Return a fault in the manifest, which is a file on this machine."""

    def plant(account: AccountInOrder) -> None:
        text = f"adapters:\n  - {entry.replace('BUCKET', account.bucket)}\n"
        account.file.with_name("fleet.yaml").write_text(text)
        account.edit(f'bucket = "{account.bucket}"\nkey = "fleet.yaml"', 'manifest = "fleet.yaml"')

    return plant


def lonely_topic(account: AccountInOrder) -> None:
    monitor(account, account.client("sns").create_topic(Name=f"lonely-{account.suffix}")["TopicArn"])


def topic_of_aws_key(account: AccountInOrder) -> None:
    attributes = {"KmsMasterKeyId": "alias/aws/sns"}
    made = account.client("sns").create_topic(Name=f"encrypted-{account.suffix}", Attributes=attributes)
    monitor(account, made["TopicArn"])


def monitor(account: AccountInOrder, topic: str) -> None:
    account.file.write_text(f'{account.file.read_text()}\n[monitoring]\ntopic_arn = "{topic}"\n')


def key_disabled(account: AccountInOrder) -> None:
    account.kms.disable_key(KeyId=account.key)


def key_not_for_logs(account: AccountInOrder) -> None:
    account.allow_key({"AWS": "arn:aws:iam::000000000000:root"}, {"Service": "events.amazonaws.com"})


def no_way_out(account: AccountInOrder) -> None:
    account.ec2.delete_route(RouteTableId=account.table, DestinationCidrBlock="0.0.0.0/0")


def only_an_internet_gateway(account: AccountInOrder) -> None:
    no_way_out(account)
    gateway = account.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    account.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=account.vpc)
    account.ec2.create_route(RouteTableId=account.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def subnet_of_another_vpc(account: AccountInOrder) -> None:
    vpc = account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    made = account.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24", AvailabilityZone="us-east-1a")
    account.edit(account.subnet, made["Subnet"]["SubnetId"])


def closed_group(account: AccountInOrder) -> None:
    by_group = [{"Name": "group-id", "Values": [account.group]}]
    rules = account.ec2.describe_security_group_rules(Filters=by_group)["SecurityGroupRules"]
    everything = [rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"]]
    http = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    account.ec2.revoke_security_group_egress(GroupId=account.group, SecurityGroupRuleIds=everything)
    account.ec2.authorize_security_group_egress(GroupId=account.group, IpPermissions=[http])


INDEX = "model.safetensors.index.json"
SHARDS = b'{"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}'
UNPUBLISHED = f"{{name: acme, artifact: 's3://BUCKET/adapters/acme/sha256-{1:064x}.tar.gz'}}"
GONE = ('[[artifact_sources]]\nbucket = "', '[[artifact_sources]]\nbucket = "gone-')
NOT_OFFERED = setting(zones=[])
SNS = "arn:aws:sns"
SMALL_LORA = "max_loras = 4\nmax_cpu_loras = 8\nmax_lora_rank = 16"
BIG_LORA = "max_loras = 4000\nmax_cpu_loras = 8000\nmax_lora_rank = 512"
FAULTS: list[tuple[Plant, str, str, str, str]] = [
    (no_service, "service", "error", "another one than us-east-1", ""),
    (setting(type_refusal="TypeNotFoundException"), "resource-type", "error", "another one than us-east", ""),
    (setting(type_refusal="AccessDenied"), "resource-type", "not checked", "", ""),
    (
        called("ssm", "delete_parameter", Name=VERSION),
        "bootstrap",
        "error",
        "is not bootstrapped",
        "hnb659fds",
    ),
    (old_bootstrap, "bootstrap", "error", "at least version 6, got 5", "cdk bootstrap aws://000000000000/"),
    (setting(stack_status="ROLLBACK_COMPLETE"), "stack", "error", "is ROLLBACK_COMPLETE", "delete-stack"),
    (name_taken, "names", "error", "components of endpoint 'other'", "delete-inference-component"),
    (
        called("ecr", "batch_delete_image", repositoryName="djl-inference", imageIds=[{"imageTag": LMI_28}]),
        "image",
        "error",
        f"no image djl-inference:{LMI_28}",
        "ecr",
    ),
    (
        edited("version = 28", "version = 27"),
        "container",
        "warning",
        "a newer release helps, from LMI 28",
        "",
    ),
    (
        called("ecr", "delete_repository", repositoryName="djl-inference", force=True),
        "image",
        "not checked",
        "has none of AWS's images",
        "",
    ),
    (setting(zones=["us-east-1f"]), "instance-type", "warning", "subnets are in us-east-1a", "=us-east-1f"),
    (NOT_OFFERED, "instance-type", "warning", "EC2 offers no g5.2xlarge", ""),
    (quota(INSTANCE, 1.0), "quota", "error", "the quota is 1", "--desired-value 2"),
    (quota("ml.m5.large", 20.0), "quota", "warning", "has no 'ml.g5.2xlarge for endpoint usage'", ""),
    (edited(*GONE), "bucket", "error", "there is no bucket 'gone-", "aws s3 mb s3://gone-"),
    (bucket_elsewhere, "bucket", "error", "got eu-central-1", "&& aws s3 sync s3://far-"),
    (no_manifest, "object", "error", "there is no manifest s3://", "publish DIRECTORY s3://"),
    (manifest_of("{name: acme}"), "object", "error", "fleet.yaml:2: adapter 'acme': ", ""),
    (manifest_of(UNPUBLISHED), "object", "error", "there is no archive s3://", "publish DIRECTORY s3://"),
    (stored(INDEX, SHARDS), "model", "error", "lacks model-00002-of-00002", "adapters pull tickets s3://"),
    (stored(INDEX, b'{"weight_map": []}'), "model", "not checked", f"{INDEX} is no index of weights", ""),
    (
        stored("model.safetensors", b""),
        "model",
        "error",
        "has empty files: model.safetensors",
        "pull tickets",
    ),
    (monitored(f"{SNS}:us-east-1:{ACCOUNT}:none"), "topic", "error", "there is no topic", "--name none"),
    (monitored(f"{SNS}:eu-west-1:{ACCOUNT}:far"), "topic", "error", "got one in eu-west-1", "--name far"),
    (topic_of_aws_key, "topic", "error", "with which CloudWatch cannot publish", "set-topic-attributes"),
    (lonely_topic, "topic", "warning", "nobody gets an alarm", "aws sns subscribe"),
    (edited(SMALL_LORA, BIG_LORA), "memory", "error", "it does not fit", "adapters capacity --environment"),
    (key_disabled, "key", "error", "should be enabled, got Disabled", "aws kms enable-key"),
    (key_not_for_logs, "key", "error", "does not let CloudWatch Logs use it", "aws kms put-key-policy"),
    (no_way_out, "network", "error", "no endpoint for s3, states, lambda", "create-vpc-endpoint"),
    (only_an_internet_gateway, "network", "error", "no route to the internet", "create-vpc-endpoint"),
    (subnet_of_another_vpc, "network", "error", "subnets should be of vpc-", "aws ec2 describe-subnets"),
    (closed_group, "security-groups", "error", "no security group lets HTTPS out", "authorize-security"),
]
"""Each fault: what plants it, the check that finds it, its verdict, and parts of its message and remedy."""


def test_account_in_order_has_no_finding(account: AccountInOrder) -> None:
    result = preflight(account, "--strict")
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["credentials", *(name for name, _ in CHECKS)]
    assert {row[1] for row in rows} == {"ok"}
    # A warning fails a strict run alone.
    NOT_OFFERED(account)
    assert [preflight(account, *strict).exit_code for strict in ([], ["--strict"])] == [0, 1]


@pytest.mark.parametrize(
    ("plant", "check", "verdict", "message", "remedy"),
    FAULTS,
    ids=[f"{check}-{message}" for _, check, _, message, _ in FAULTS],
)
def test_fault_is_found_and_nothing_else(
    account: AccountInOrder, plant: Plant, check: str, verdict: str, message: str, remedy: str
) -> None:
    plant(account)
    (finding,) = findings(account)
    assert (finding["check"], finding["verdict"]) == (check, verdict)
    assert message in finding["message"]
    assert remedy in finding["remedy"] if remedy else finding["remedy"] is None


def test_every_check_has_a_fault_and_a_row_of_the_guide() -> None:
    names = [name for name, _ in CHECKS]
    assert {check for _, check, *_ in FAULTS} == set(names)
    table = GUIDE.read_text().partition("## The checks")[2].partition("## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == ["credentials", *names]


def test_what_depends_on_a_bucket_that_is_not_there_is_not_checked(account: AccountInOrder) -> None:
    account.edit(f'"{account.bucket}"', '"not-there-at-all"')
    found = findings(account)
    assert [(finding["check"], finding["verdict"]) for finding in found] == [
        ("bucket", "error"),
        ("object", "not checked"),
        ("model", "not checked"),
        ("memory", "not checked"),
    ]
    assert found[0]["message"] == "there is no bucket 'not-there-at-all'"


def test_wrong_account_and_credentials_end_the_checks(account: AccountInOrder) -> None:
    account.write('[aws]\naccount = "111122223333"\n' + account.file.read_text())
    (finding,) = findings(account)
    assert (finding["check"], finding["verdict"]) == ("credentials", "error")
    assert "is 111122223333, got credentials of 000000000000" in finding["message"]
    account.replaced["sts"] = Refusing(client_error("ExpiredToken", "The token is expired"))
    result = preflight(account)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "The token is expired (ExpiredToken)" in result.stderr


@pytest.mark.parametrize(
    ("service", "checks"),
    [
        ("service-quotas", ["quota"]),
        ("ecr", ["image"]),
        ("ec2", ["instance-type", "network", "security-groups"]),
        ("kms", ["key"]),
        ("ssm", ["bootstrap"]),
    ],
)
def test_permission_that_lacks_leaves_its_checks_out(
    account: AccountInOrder, service: str, checks: list[str]
) -> None:
    account.replaced[service] = Refusing(client_error("AccessDeniedException", "not authorized"))
    found = findings(account)
    assert [(finding["check"], finding["verdict"]) for finding in found] == [
        (check, "not checked") for check in checks
    ]
    assert {finding["message"] for finding in found} == {"not authorized (AccessDeniedException)"}


def test_endpoints_of_the_vpc_replace_a_way_out(account: AccountInOrder) -> None:
    no_way_out(account)
    for service in SERVICES:
        gateway = service in ("s3", "dynamodb")
        where = {"RouteTableIds": [account.table]} if gateway else {"SubnetIds": [account.subnet]}
        account.ec2.create_vpc_endpoint(
            VpcId=account.vpc,
            ServiceName=f"com.amazonaws.us-east-1.{service}",
            VpcEndpointType="Gateway" if gateway else "Interface",
            **where,
        )
    assert findings(account) == []


@pytest.mark.parametrize(
    ("old", "new", "services"),
    [
        (
            '[fleets.Tenants]\nbucket = "BUCKET"\nkey = "fleet.yaml"\n',
            "[scaling]\nmin_copies = 1\nmax_copies = 1\n",
            "no endpoint for s3, states, lambda, sagemaker.api",
        ),
        ("[fleets.Tenants]", "[monitoring]\n\n[fleets.Tenants]", "cloudformation, monitoring"),
    ],
    ids=["scaling", "counting the use"],
)
def test_functions_of_scaling_and_monitoring_have_to_reach_their_services(
    account: AccountInOrder, old: str, new: str, services: str
) -> None:
    no_way_out(account)
    account.edit(old.replace("BUCKET", account.bucket), new)
    (finding,) = [one for one in findings(account) if one["check"] == "network"]
    assert services in finding["message"]


def test_subnets_share_an_endpoint_for_each_service_with_one_of_each_zone(account: AccountInOrder) -> None:
    no_way_out(account)
    made = [
        account.ec2.create_subnet(VpcId=account.vpc, CidrBlock=cidr, AvailabilityZone=zone)
        for cidr, zone in (("10.0.1.0/24", "us-east-1b"), ("10.0.2.0/24", "us-east-1a"))
    ]
    other, same = (answer["Subnet"]["SubnetId"] for answer in made)
    account.edit(f'"{account.subnet}"', f'"{account.subnet}", "{other}", "{same}"')
    (finding,) = findings(account)
    commands = finding["remedy"].split(" && ")
    assert sorted(command.partition("us-east-1.")[2].split()[0] for command in commands) == sorted(SERVICES)
    by_main = {"Name": "association.main", "Values": ["true"]}
    of_vpc = [{"Name": "vpc-id", "Values": [account.vpc]}, by_main]
    main = account.ec2.describe_route_tables(Filters=of_vpc)["RouteTables"][0]["RouteTableId"]
    places = {command.partition("-ids ")[2] for command in commands}
    assert places == {f"{account.table} {main}", f"{same} {other}"}


def test_topic_with_a_subscriber_is_no_finding(account: AccountInOrder) -> None:
    sns, sqs = account.client("sns"), account.client("sqs")
    queue = sqs.create_queue(QueueName=f"alarms-{account.suffix}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=f"alarms-{account.suffix}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monitor(account, topic)
    assert findings(account) == []


def test_instances_of_other_endpoints_count_against_the_quota(account: AccountInOrder) -> None:
    variants = [
        {"VariantName": "a", "CurrentInstanceCount": 3, "InstanceType": INSTANCE},
        {"VariantName": "b", "CurrentInstanceCount": 2, "InstanceType": "ml.m5.large"},
    ]
    described = {"EndpointConfigName": "other-config", "ProductionVariants": variants}
    account.answer(
        "sagemaker",
        {"list_endpoints": lambda **_: [{"Endpoints": [{"EndpointName": "other"}]}]},
        describe_endpoint=lambda **_: described,
        describe_endpoint_config=lambda **_: described,
    )
    (finding,) = findings(account)
    assert finding["check"] == "quota"
    assert "2 ml.g5.2xlarge of this endpoint and 3 of others; the quota is 4" in finding["message"]
    assert "--desired-value 5" in finding["remedy"]


def test_most_instances_of_scaling_count_against_the_quota(account: AccountInOrder) -> None:
    text = account.file.read_text()
    for copies, instances, most in ((5, "", 5), (3, "max_instances = 6\n", 6)):
        account.file.write_text(f"{text}\n[scaling]\nmin_copies = 0\nmax_copies = {copies}\n{instances}")
        (finding,) = findings(account)
        assert finding["check"] == "quota"
        assert f"{most} ml.g5.2xlarge of this endpoint" in finding["message"]


def test_adapters_of_all_manifests_count_against_the_quota_of_components(account: AccountInOrder) -> None:
    uri, digest = f"s3://{account.bucket}/adapters/a.tar.gz", f"sha256:{1:064x}"
    manifest = f"adapters:\n  - {{name: a, artifact: {uri}, digest: '{digest}'}}\n"
    account.s3.put_object(Bucket=account.bucket, Key="fleet.yaml", Body=manifest.encode())
    account.quotas.values["Inference components per endpoint"] = 1.0
    (finding,) = findings(account)
    assert (finding["check"], finding["verdict"]) == ("quota", "error")
    assert "the base model and its adapters are 2 components; the quota is 1" in finding["message"]
    assert "--desired-value 2" in finding["remedy"]


def test_instances_and_components_of_the_deployed_stack_are_no_finding(account: AccountInOrder) -> None:
    account.stack_status = "UPDATE_COMPLETE"
    arn = "arn:aws:sagemaker:x:y:endpoint/own"
    account.stack_resources = [{"ResourceType": "AWS::SageMaker::Endpoint", "PhysicalResourceId": arn}]
    own = {"InferenceComponentName": f"{account.prefix}-acme", "EndpointName": "Own"}
    account.answer(
        "sagemaker",
        {
            "list_endpoints": lambda **_: [{"Endpoints": [{"EndpointName": "Own"}]}],
            "list_inference_components": lambda **_: [{"InferenceComponents": [own]}],
        },
    )
    assert findings(account) == []


def test_bootstrap_stack_may_have_another_qualifier(account: AccountInOrder) -> None:
    result = preflight(account, "--qualifier", "other", "--json")
    assert "/cdk-bootstrap/other/version" in result.stdout
    assert "--qualifier other" in result.stdout


def test_model_that_is_not_whole_is_pulled_into_a_folder_that_the_check_can_read(
    account: AccountInOrder,
) -> None:
    before = "models/tickets/"
    for prefix, place in (
        ("elsewhere/", "/elsewhere/"),
        ("models/tickets/0e9e/", "/models --revision 0e9e"),
        ("tickets/0e9e/", "/ --revision 0e9e"),
    ):
        account.edit(f'prefix = "{before}"', f'prefix = "{prefix}"')
        (finding,) = [one for one in findings(account) if one["check"] == "model"]
        assert finding["remedy"] == f"adapters pull tickets s3://{account.bucket}{place}"
        assert "should be the folder that 'adapters pull' prints" in finding["message"]
        before = prefix


def test_region_of_the_file_is_used(account: AccountInOrder) -> None:
    account.file.write_text('[aws]\nregion = "us-east-1"\n' + account.file.read_text())
    result = preflight(account, "--region", "eu-west-1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'us-east-1', got 'eu-west-1'" in result.stderr
    account.choose(region="us-east-1")
    assert preflight(account).exit_code == 0
