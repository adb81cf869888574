"""An account in which nothing keeps an environment from being deployed, on the embedded cloud.

What the embedded cloud is without answers from here: Service Quotas and EC2's offerings.
"""

# ruff: noqa: N803 - the names are those of boto3

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adapter_rules.environment import read_environment
from adapters_cli.aws.account import Account
from local_sagemaker.server import LocalCloud
from tests.fakes import FakeClient, FakeQuotas, client_error
from tests.integration.by_hand import client

ROOT = Path(__file__).parents[3]
TICKETS = ROOT / "examples" / "tickets"
REGION = "us-east-1"
ACCOUNT = "000000000000"
INSTANCE = "ml.g5.2xlarge"
LMI_28 = "0.36.0-lmi28.0.0-cu130"
VERSION = "/cdk-bootstrap/hnb659fds/version"
SERVICES = ["s3", "dynamodb", "states", "lambda", "sagemaker.api", "sagemaker.runtime", "cloudformation"]
_CLIENTS = [
    "sts",
    "s3",
    "kms",
    "ec2",
    "ssm",
    "ecr",
    "sagemaker",
    "cloudformation",
    "secretsmanager",
    "sns",
    "sqs",
]

FILE = """
[base_model]
name = "tickets"
bucket = "{bucket}"
prefix = "models/tickets/"

[container]
lmi_version = 28

[lora]
max_loras = 4
max_cpu_loras = 8
max_lora_rank = 16

[endpoint]
instance_type = "{instance}"
instance_count = 2
component_prefix = "{prefix}"

[copies]
accelerators = 1
min_memory_mib = 1024

[[artifact_sources]]
bucket = "{bucket}"
prefix = "adapters/"

[fleets.Tenants]
bucket = "{bucket}"
key = "fleet.yaml"

[network]
vpc = "{vpc}"
subnets = ["{subnet}"]
security_groups = ["{group}"]

[encryption]
key_arn = "{key}"
"""


class AccountInOrder(Account):
    """The account. Its parts may be broken, one at a time.

    replaced:
        Clients that answer instead of the embedded cloud's.
    zones:
        Where EC2 offers instances.
    type_refusal:
        What CloudFormation answers in place of the type of inference components.
    stack_status, stack_resources:
        The stack, once it has a status.
    """

    def __init__(self, cloud: LocalCloud, suffix: str, folder: Path) -> None:
        self.suffix = suffix
        # Made before: the session that makes them is not thread-safe.
        self._clients = {name: client(cloud, name) for name in _CLIENTS}
        self.quotas = FakeQuotas(**{f"{INSTANCE} for endpoint usage": 4.0})
        self.replaced: dict[str, Any] = {"service-quotas": self.quotas}
        self.zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
        self.answer("ec2", {"describe_instance_type_offerings": self._offerings})
        self.ec2 = self.client("ec2")
        self.type_refusal: str | None = None
        self.stack_status: str | None = None
        self.stack_resources: list[dict[str, str]] = []
        resources = {"list_stack_resources": self._resources}
        self.answer("cloudformation", resources, describe_stacks=self._stack, describe_type=self._type)
        self.bucket, self.prefix = f"llm-{suffix}", f"tickets-{suffix}"
        self.file = folder / f"env-{suffix}.toml"
        self._bucket()
        self._network()
        self._key()
        self._bootstrap()
        self.write()

    def client(self, service: str, config: Any = None) -> Any:
        return self.replaced.get(service) or self._clients[service]

    def answer(self, service: str, pages: dict[str, Callable[..., Any]], **calls: Callable[..., Any]) -> None:
        """Answer operations of a service here, and not on the embedded cloud."""
        self.replaced[service] = FakeClient(self._clients[service], pages=pages, **calls)

    def _offerings(self, *, LocationType: str, Filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        ((plain,),) = (wanted["Values"] for wanted in Filters)
        assert not plain.startswith("ml.")
        for zone in self.zones:
            yield {"InstanceTypeOfferings": [{"InstanceType": plain, "Location": zone}]}

    def _stack(self, *, StackName: str) -> Any:
        if self.stack_status is None:
            return self._clients["cloudformation"].describe_stacks(StackName=StackName)
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.stack_status}]}

    def _resources(self, *, StackName: str) -> Iterator[dict[str, Any]]:
        assert self.stack_status is not None
        yield {"StackResourceSummaries": self.stack_resources}

    def _type(self, *, Type: str, TypeName: str) -> Any:
        if self.type_refusal is not None:
            raise client_error(self.type_refusal, f"The type '{TypeName}' cannot be found.")
        return self._clients["cloudformation"].describe_type(Type=Type, TypeName=TypeName)

    def write(self, text: str = FILE) -> None:
        """Write the environment file."""
        self.file.write_text(text.format(instance=INSTANCE, **vars(self)))
        read_environment(self.file)

    def edit(self, old: str, new: str) -> None:
        """Replace a part of the environment file."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))
        read_environment(self.file)

    def _bucket(self) -> None:
        s3 = self.client("s3")
        s3.create_bucket(Bucket=self.bucket)
        for path in sorted((TICKETS / "base").iterdir()):
            s3.put_object(Bucket=self.bucket, Key=f"models/tickets/{path.name}", Body=path.read_bytes())
        s3.put_object(Bucket=self.bucket, Key="fleet.yaml", Body=b"adapters: []\n")

    def _network(self) -> None:
        ec2 = self.ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zone = {"AvailabilityZone": "us-east-1a"}
        made = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.0.0.0/24", **zone)
        self.subnet = made["Subnet"]["SubnetId"]
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = ec2.create_nat_gateway(SubnetId=self.subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
        ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
        self.group = ec2.create_security_group(
            GroupName=f"group-{self.suffix}", Description="test", VpcId=self.vpc
        )["GroupId"]

    def _key(self) -> None:
        self.kms = self.client("kms")
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        services = ["logs.us-east-1.amazonaws.com", "events.amazonaws.com"]
        self.allow_key({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, {"Service": services})

    def allow_key(self, *principals: dict[str, Any]) -> None:
        """Write the key's policy."""
        statements = [
            {"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"}
            for principal in principals
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=policy)

    def _bootstrap(self) -> None:
        self.client("ssm").put_parameter(Name=VERSION, Value="28", Type="String", Overwrite=True)
        ecr = self.client("ecr")
        if not ecr.describe_repositories()["repositories"]:
            ecr.create_repository(repositoryName="djl-inference")
        there = {image["imageTag"] for image in ecr.list_images(repositoryName="djl-inference")["imageIds"]}
        for tag in {"0.36.0-lmi27.0.0-cu130", LMI_28} - there:
            image = {"imageManifest": f'{{"schemaVersion": 2, "tag": "{tag}"}}', "imageTag": tag}
            ecr.put_image(repositoryName="djl-inference", **image)
