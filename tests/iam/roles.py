"""Every role that the library makes, of one app that uses all of its constructs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    BatchSize,
    ComputeRequirements,
    DriftCheck,
    FunctionHosting,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
    UsageMetrics,
)
from tests.iam.pieces import kind_of

ROOT = Path(__file__).parents[2]
TICKETS = ROOT / "examples" / "tickets"
_REGION, _ACCOUNT = "us-east-1", "111122223333"
_PSEUDO = {"Partition": "aws", "Region": _REGION, "AccountId": _ACCOUNT, "URLSuffix": "amazonaws.com"}
_HERE = f"{_REGION}:{_ACCOUNT}"

_ARNS = {
    "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{_HERE}:alarm:{{}}",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{_HERE}:table/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{_ACCOUNT}:role/{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{_HERE}:key/{{}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{_HERE}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{_HERE}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{_HERE}:{{}}",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{_HERE}:stateMachine:{{}}",
}
"""What `Fn::GetAtt: [id, Arn]` is, by type of resource."""
_ARN_BY_REF = {
    "AWS::SageMaker::Endpoint": f"arn:aws:sagemaker:{_HERE}:endpoint/{{}}",
    "AWS::SageMaker::InferenceComponent": f"arn:aws:sagemaker:{_HERE}:inference-component/{{}}",
    "AWS::StepFunctions::StateMachine": _ARNS["AWS::StepFunctions::StateMachine"],
}
"""What `Ref` is, where it is an ARN."""
_OTHER_POLICIES = ("AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy")
"""Other ways to allow a role something. The library uses none, and nothing here reads them."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role or user of the template.

    statements:
        Those of its policies, as the template has them.
    """

    name: str
    kind: str | None
    statements: Sequence[Mapping[str, Any]]


class Roles:
    """The roles of a template, by their paths."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._resources: Mapping[str, Mapping[str, Any]] = template["Resources"]

    def all(self) -> Iterator[Role]:
        """Yield the roles and users."""
        for logical_id, resource in self._resources.items():
            if resource["Type"] not in ("AWS::IAM::Role", "AWS::IAM::User"):
                continue
            policies = dict(self._policies(logical_id, resource["Properties"]))
            name = self._path(logical_id)
            yield Role(
                name=name,
                kind=kind_of(name, policies),
                statements=[each for one in policies.values() for each in one["Statement"]],
            )

    def _policies(self, role: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        assert "ManagedPolicyArns" not in properties or "BucketNotificationsHandler" in role, role
        for policy in properties.get("Policies", []):
            yield policy["PolicyName"], policy["PolicyDocument"]
        for logical_id, resource in self._resources.items():
            assert resource["Type"] not in _OTHER_POLICIES, logical_id
            if resource["Type"] == "AWS::IAM::Policy":
                of = resource["Properties"]
                if {"Ref": role} in (*of.get("Roles", []), *of.get("Users", [])):
                    yield logical_id, of["PolicyDocument"]

    def _path(self, logical_id: str) -> str:
        path: str = self._resources[logical_id]["Metadata"]["aws:cdk:path"]
        return path.partition("/")[2].removesuffix("/Resource")

    def resources_of(self, statement: Mapping[str, Any]) -> list[str]:
        """Return the resources of a statement, as IAM sees them."""
        found = statement["Resource"]
        return [self._text(one) for one in (found if isinstance(found, list) else [found])]

    def machines(self) -> Iterator[tuple[str, str]]:
        """Yield the role of each state machine, a path, and the machine's definition."""
        for resource in self._resources.values():
            if resource["Type"] == "AWS::StepFunctions::StateMachine":
                role, _ = resource["Properties"]["RoleArn"]["Fn::GetAtt"]
                yield self._path(role), self._text(resource["Properties"]["DefinitionString"])

    def let_in(self) -> Iterator[tuple[str, str]]:
        """Yield whom the policies of roles and other resources let in: a path, and a principal."""
        for logical_id, resource in self._resources.items():
            properties = resource["Properties"]
            if resource["Type"] == "AWS::Lambda::Permission":
                scope = "" if "SourceArn" in properties else ", whatever calls it"
                yield self._path(logical_id), properties["Principal"] + scope
            for name in ("AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument"):
                for statement in properties.get(name, {}).get("Statement", []):
                    if "Principal" in statement and statement["Effect"] == "Allow":
                        yield self._path(logical_id), self._principal(statement["Principal"])

    def _principal(self, principal: Any) -> str:
        if isinstance(principal, str):
            return principal
        given = [one for of in principal.values() for one in (of if isinstance(of, list) else [of])]
        return ", ".join(map(self._text, given))

    def _text(self, value: Any) -> str:
        """Resolve CloudFormation's functions, with logical ids for names."""
        if isinstance(value, str):
            return value
        ((function, given),) = value.items()
        if function == "Ref":
            return self._ref(given)
        if function == "Fn::GetAtt":
            type_ = self._resources[given[0]]["Type"]
            arns = _ARNS if given[1] == "Arn" else _ARN_BY_REF if given[1].endswith("Arn") else {}
            return arns.get(type_, "{}").format(given[0])
        if function == "Fn::Join":
            return str(given[0]).join(map(self._text, given[1]))
        if function == "Fn::Sub":
            text = str(given)
            for name, pseudo in _PSEUDO.items():
                text = text.replace(f"${{AWS::{name}}}", pseudo)
            return text
        if function == "Fn::Select":
            return self._text(given[1]["Fn::Split"][1]).split(given[1]["Fn::Split"][0])[int(given[0])]
        if function == "Fn::FindInMap":
            return str(given[0])  # the account of a region's images
        raise ValueError(f"a function that is not known: {function}")

    def _ref(self, name: str) -> str:
        if name == "AWS::StackId":
            return f"arn:aws:cloudformation:{_HERE}:stack/Everything/1"
        if name.startswith("AWS::"):
            return _PSEUDO[name.removeprefix("AWS::")]
        type_ = self._resources[name]["Type"]
        return _ARN_BY_REF.get(type_, "{}").format(name)


def synthesize(folder: Path) -> dict[str, Any]:
    """Return the template of an app that uses every construct with everything that adds rights.

    Two fleets: one's manifest is in S3, the other's is a file.
    """
    app = cdk.App(
        outdir=str(folder / "cdk.out"),
        analytics_reporting=False,
        context={"aws:cdk:enable-path-metadata": True},
    )
    stack = cdk.Stack(app, "Everything")
    hosting: dict[str, Any] = {
        "encryption_key": kms.Key(stack, "Key"),
        "vpc": ec2.Vpc.from_vpc_attributes(
            stack,
            "Vpc",
            vpc_id="vpc-0123456789abcdef0",
            availability_zones=["a"],
            private_subnet_ids=["subnet-0123456789abcdef0"],
        ),
        "security_groups": [
            ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0123456789abcdef0", mutable=False)
        ],
    }
    bucket = s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "BucketKey"))
    manifests_bucket = s3.Bucket(stack, "Manifests", encryption_key=kms.Key(stack, "ManifestsKey"))
    endpoint = MultiAdapterEndpoint(
        stack,
        "Llm",
        base_model=BaseModel.from_bucket(bucket, "llama-3.1-8b-instruct/", name="meta/llama"),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=64),
        instance_type=InstanceType.of("ml.p3.8xlarge", local_storage=False),
        max_instances=2,
        compute=ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(32000)),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        **hosting,
    )
    endpoint.roll_updates(
        batch_size=BatchSize.copies(1),
        wait=cdk.Duration.minutes(2),
        max_server_errors=1,
        alarms=[cloudwatch.Alarm.from_alarm_arn(stack, "Alarm", f"arn:aws:cloudwatch:{_HERE}:alarm:mine")],
    )
    functions = FunctionHosting(**hosting)
    endpoint.auto_scale_copies(min=0, max=2, functions=functions)
    adapter = endpoint.add_adapter(
        "Triage", artifact=AdapterArtifact.from_directory(TICKETS / "adapters" / "triage")
    )
    manifests = {
        "Stored": AdapterManifest.from_bucket(manifests_bucket, "tenants.json"),
        "Written": AdapterManifest.from_file(_manifest(folder)),
    }
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    adapter.grant_invoke(caller, bearer_token=True)
    for name, manifest in manifests.items():
        fleet = AdapterFleet(
            stack, name, endpoint=endpoint, manifest=manifest, functions=functions,
            drift_check=DriftCheck.report(every=cdk.Duration.hours(1)),
        )  # fmt: skip
        fleet.monitor(
            sns.Topic.from_topic_arn(stack, f"{name}Topic", f"arn:aws:sns:{_HERE}:alarms"),
            usage=UsageMetrics(),
        )
        fleet.grant_read(iam.Role(stack, f"{name}Reader", assumed_by=iam.AccountRootPrincipal()))
        fleet.grant_manage(iam.Role(stack, f"{name}Manager", assumed_by=iam.AccountRootPrincipal()))
        fleet.grant_invoke(iam.Role(stack, f"{name}Invoker", assumed_by=iam.AccountRootPrincipal()))
    return dict(Template.from_stack(stack).to_json())


def _manifest(folder: Path) -> Path:
    path = folder / "written.json"
    path.write_text(
        json.dumps({"adapters": [{"name": "shout", "artifact": str(TICKETS / "adapters" / "shout")}]})
    )
    return path
