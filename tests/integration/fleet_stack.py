"""Stacks with fleets: synthesized in this process, and deployed by CloudFormation's own API.

What `cdk deploy` does, without the seconds that its start takes.
"""

import io
import itertools
import json
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from botocore.exceptions import ClientError
from constructs import Construct

from adapter_rules.archives.packing import pack
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    IBaseComponent,
    IContainer,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)
from tests.integration.by_hand import TICKETS, V1, V2, ask, client, prompts, until, wait_for_the_listing

ACCOUNT, REGION = "000000000000", "us-east-1"
ASSETS = "fleet-stacks-assets"
"""Not the bucket of the bootstrap stack, which another test of the same cloud may have to make yet."""
BROKEN = "broken"
"""The label of an adapter whose archive is none."""
LABELS = ("triage", "summary", "shout")
"""The adapters of the example. `summary-v2` is another version of the second."""
LORA = LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16)
_BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An endpoint that is not of the fleet's stack.

    role:
        The ARN of its execution role, to be given access to the archives of local adapters.
    archives:
        A bucket with archives, beside the one of all tests.
    """

    name: str
    base: str
    role: str | None = None
    archives: str | None = None


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet to deploy.

    adapters:
        Labels by the adapters' names: `triage`, `summary`, `summary-v2`, `shout` or BROKEN.
    document:
        The text of its manifest, in the place of `adapters`.
    stored:
        The bucket and key of its manifest, in the place of `adapters`.
    settings:
        Further arguments of `AdapterFleet`.
    moved_to:
        The id of a construct to put it into; its resources keep the logical ids that they had without.
    users:
        Grants by the ids of users who get nothing else: a method of the fleet, or what is called with the
        fleet and the user. The users' names are outputs, `<Id>User`.
    """

    adapters: Mapping[str, str] = field(default_factory=dict)
    document: str | None = None
    stored: tuple[str, str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    moved_to: str | None = None
    users: Mapping[str, str | Callable[[AdapterFleet, iam.User], object]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What became of one call of CloudFormation.

    operation:
        `CREATE`, `UPDATE` or `DELETE`.
    status:
        That of the stack at the end.
    reasons:
        By logical id, of all that failed; CloudFormation's word about cancelled resources is left out.
    outputs:
        Those of the stack: see FleetStack.
    seconds:
        From the call to the end; without the synthesis.
    """

    operation: str
    status: str
    reasons: Mapping[str, str]
    outputs: Mapping[str, str]
    seconds: float

    @property
    def reason(self) -> str:
        """All reasons in one text."""
        return "\n".join(self.reasons.values())

    def succeeded(self) -> "Deployment":
        """Return this deployment. Fail with the reasons if it was rolled back or did not end well."""
        assert self.status == f"{self.operation}_COMPLETE", f"{self.status}: {self.reason}"
        return self


class FleetStack:
    """A stack with an endpoint, unless it is given one, and any number of fleets.

    Outputs: `EndpointName`, `BaseComponentName` and `RoleArn` of its own endpoint; of each fleet `<Id>Uid`,
    `<Id>Table`, `<Id>Machine`, `<Id>Summary`, `<Id>Desired`, `<Id>InService`, `<Id>Failed`, `<Id>Pending`.

    folder:
        Where it may write.
    """

    def __init__(
        self, cloud: LocalCloud, folder: Path, *, endpoint: Endpoint | None = None, name: str | None = None
    ) -> None:
        self.cloud, self.endpoint = cloud, endpoint
        self.name = name or f"fleets-{uuid.uuid4().hex[:8]}"
        self.prefix = self.name
        self._folder = folder
        self._synths = itertools.count()
        self._stacks, self._s3 = client(cloud, "cloudformation"), client(cloud, "s3")
        self._sagemaker = client(cloud, "sagemaker")
        self._id: str | None = None
        self._operation = ""
        self.endpoint_id, self.base = "Llm", TICKETS / "base"
        self.container: IContainer = LmiContainer(version=LmiVersion.V19)
        self.lora = LORA
        self.instance_type, self.copies = InstanceType.ML_G5_2XLARGE, 1
        self.max_instances: int | None = None
        self.archives = Archives(cloud)

    # --- deployments

    def create(
        self, fleets: Mapping[str, Fleet] | None = None, *, broken: Sequence[str] = (), wait: bool = True
    ) -> Deployment:
        """Create the stack; a creation that fails leaves it in ROLLBACK_COMPLETE.

        broken:
            Fleets after which another resource of the stack fails.
        """
        started = time.monotonic()
        template = self._synthesize(fleets or {}, broken)
        self._operation = "CREATE"
        self._id = self._stacks.create_stack(
            StackName=self.name, TemplateURL=template, Capabilities=["CAPABILITY_NAMED_IAM"]
        )["StackId"]
        return self.wait(started) if wait else self._deployment(started)

    def update(
        self, fleets: Mapping[str, Fleet], *, broken: Sequence[str] = (), wait: bool = True
    ) -> Deployment:
        """Update the stack."""
        template = self._synthesize(fleets, broken)
        started = time.monotonic()
        self._operation = "UPDATE"
        self._stacks.update_stack(
            StackName=self.name, TemplateURL=template, Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        return self.wait(started) if wait else self._deployment(started)

    def delete(self) -> Deployment:
        """Delete the stack."""
        started = time.monotonic()
        self._operation = "DELETE"
        self._stacks.delete_stack(StackName=self.name)
        return self.wait(started)

    def wait(self, started: float | None = None, seconds: float = 240) -> Deployment:
        """Wait for the end of what the stack is doing."""
        started = time.monotonic() if started is None else started
        until(
            lambda: not self._described()["StackStatus"].endswith("_IN_PROGRESS"),
            f"{self.name} has ended",
            seconds=seconds,
            every=0.2,
        )
        return self._deployment(started)

    def _described(self) -> dict[str, Any]:
        (stack,) = self._stacks.describe_stacks(StackName=self._id or self.name)["Stacks"]
        return dict(stack)

    def _deployment(self, started: float) -> Deployment:
        stack = self._described()
        events = self._stacks.describe_stack_events(StackName=self._id or self.name)["StackEvents"]
        reasons: dict[str, str] = {}
        for event in events:  # the newest first
            if event["LogicalResourceId"] == self.name and event["ResourceStatus"] in _BEGINNINGS:
                break
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason.lower():
                reasons[event["LogicalResourceId"]] = reason
        return Deployment(
            operation=self._operation,
            status=stack["StackStatus"],
            reasons=reasons,
            outputs={item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])},
            seconds=time.monotonic() - started,
        )

    # --- the endpoint

    def attributes(self, outputs: Mapping[str, str]) -> Endpoint:
        """Return this stack's endpoint, for another stack."""
        return Endpoint(
            name=outputs["EndpointName"], base=outputs["BaseComponentName"], role=outputs["RoleArn"]
        )

    def resource(self, logical_id: str) -> str:
        """Return the physical id of a resource by its logical one, without the CDK's hash at the end."""
        resources = self._stacks.describe_stack_resources(StackName=self.name)["StackResources"]
        (found,) = [each for each in resources if each["LogicalResourceId"][:-8] == logical_id]
        return str(found["PhysicalResourceId"])

    def component(self, fleet: str, adapter: str) -> str:
        """Return the name of an adapter's component."""
        return f"{self.prefix}-{fleet.lower()}-{adapter}"

    def live(self, fleet: str, endpoint: str) -> dict[str, dict[str, Any]]:
        """Return what the listing says of a fleet's components, by adapter."""
        prefix = self.component(fleet, "")
        return {
            name.removeprefix(prefix): item
            for name, item in components(self.cloud, endpoint).items()
            if name.startswith(prefix)
        }

    def wrong(self, fleet: str, endpoint: str, adapters: Mapping[str, str]) -> dict[str, str]:
        """Invoke every adapter; return what is not as it should be, by adapter.

        None of the fleet's components may be of another adapter than those of `adapters`.
        """
        return wrong(
            self.cloud,
            endpoint,
            {self.component(fleet, adapter): label for adapter, label in adapters.items()},
            prefix=self.component(fleet, ""),
        )

    # --- synthesis

    def _synthesize(self, fleets: Mapping[str, Fleet], broken: Sequence[str]) -> str:
        """Stage a template and its assets; return the template's URL."""
        folder = self._folder / f"{self.name}-{next(self._synths)}"
        app = cdk.App(outdir=str(folder / "cdk.out"), analytics_reporting=False)
        around_endpoint, stack = self._cdk_stacks(app)
        # AWS refuses a template without resources.
        cdk.CfnWaitConditionHandle(stack, "Always")
        endpoint = self._endpoint(around_endpoint)
        for name, fleet in fleets.items():
            self._fleet(stack, name, fleet, endpoint, folder)
        for name in broken:
            self._failing(stack, endpoint, name).node.add_dependency(stack.node.find_child(name))
        self._add_to(stack, endpoint)
        app.synth()
        return self._publish(folder / "cdk.out")

    def _cdk_stacks(self, app: cdk.App) -> tuple[cdk.Stack, cdk.Stack]:
        """Return the stack of the endpoint and that of the fleets."""
        stack = cdk_stack(app, self.name)
        return stack, stack

    def _add_to(self, stack: cdk.Stack, endpoint: IBaseComponent) -> None:
        """Add what else is in the stack."""

    def _endpoint(self, stack: cdk.Stack) -> IBaseComponent:
        buckets = {"Archives": self.archives.bucket}
        if self.endpoint is not None and self.endpoint.archives is not None:
            buckets["Others"] = self.endpoint.archives
        archives = [
            ArtifactSource(bucket=s3.Bucket.from_bucket_name(stack, called, name), prefix="adapters/")
            for called, name in buckets.items()
        ]
        if self.endpoint is not None:
            role = self.endpoint.role
            return MultiAdapterEndpoint.from_endpoint_attributes(
                stack,
                "Llm",
                endpoint_name=self.endpoint.name,
                base_component_name=self.endpoint.base,
                component_prefix=self.prefix,
                lora=self.lora,
                artifact_sources=archives,
                role=None if role is None else iam.Role.from_role_arn(stack, "Role", role),
            )
        endpoint = MultiAdapterEndpoint(
            stack,
            self.endpoint_id,
            base_model=BaseModel.from_directory(self.base),
            container=self.container,
            lora=self.lora,
            instance_type=self.instance_type,
            max_instances=self.max_instances,
            copy_count=self.copies,
            compute=ComputeRequirements(accelerators=1, min_memory=cdk.Size.mebibytes(1024)),
            component_prefix=self.prefix,
            artifact_sources=archives,
        )
        cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(stack, "BaseComponentName", value=endpoint.base_component_name)
        cdk.CfnOutput(stack, "RoleArn", value=endpoint.role.role_arn)
        return endpoint

    def _fleet(
        self, stack: cdk.Stack, id: str, fleet: Fleet, endpoint: IBaseComponent, folder: Path
    ) -> AdapterFleet:
        if fleet.stored is not None:
            bucket, key = fleet.stored
            manifest = AdapterManifest.from_bucket(
                s3.Bucket.from_bucket_name(stack, f"{id}Bucket", bucket), key
            )
        else:
            path = folder / f"{id}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fleet.document or self.archives.manifest(fleet.adapters, local=True))
            manifest = AdapterManifest.from_file(path)
        made = AdapterFleet(
            stack if fleet.moved_to is None else Construct(stack, fleet.moved_to),
            id,
            endpoint=endpoint,
            manifest=manifest,
            component_prefix=f"{self.prefix}-{id.lower()}",
            **{"request_rate": 50.0, **fleet.settings},
        )
        if fleet.moved_to is not None:
            before = cdk.Stack(cdk.App(outdir=str(folder / "before.out")), self.name)
            unmoved = self._fleet(before, id, replace(fleet, moved_to=None), self._endpoint(before), folder)
            ids = _logical_ids(made)
            for place, logical_id in _logical_ids(unmoved).items():
                stack.rename_logical_id(ids[place], logical_id)
        for name, value in {
            "Uid": made.fleet_uid,
            "Table": made.registry.table_name,
            "Machine": made.state_machine.state_machine_arn,
            "Summary": made.summary,
            "Desired": made.desired_count,
            "InService": made.in_service_count,
            "Failed": made.failed_count,
            "Pending": made.pending_count,
        }.items():
            cdk.CfnOutput(stack, f"{id}{name}", value=value)
        for user_id, grant in fleet.users.items():
            user = iam.User(stack, user_id)
            (getattr(AdapterFleet, grant) if isinstance(grant, str) else grant)(made, user)
            cdk.CfnOutput(stack, f"{user_id}User", value=user.user_name)
        return made

    def _failing(
        self, stack: cdk.Stack, endpoint: IBaseComponent, id: str = ""
    ) -> sagemaker.CfnInferenceComponent:
        """Add a resource that cannot be created: an adapter of a base model that is not there."""
        return sagemaker.CfnInferenceComponent(
            stack,
            f"Failing{id}",
            endpoint_name=endpoint.endpoint_name,
            inference_component_name=f"{self.prefix}-failing",
            specification=sagemaker.CfnInferenceComponent.InferenceComponentSpecificationProperty(
                base_inference_component_name="no-such-base",
                container=sagemaker.CfnInferenceComponent.InferenceComponentContainerSpecificationProperty(
                    artifact_url=self.archives.uri("triage")
                ),
            ),
        )

    def _publish(self, assembly: Path) -> str:
        """Upload what the asset manifest names; return the template's URL."""
        return publish(self._s3, assembly, self.name)


def publish(s3_client: Any, assembly: Path, stack: str) -> str:
    """Upload what a stack's asset manifest names, unless it is there; return the template's URL."""
    url = ""
    manifest = json.loads((assembly / f"{stack}.assets.json").read_text())
    for file in manifest["files"].values():
        source = assembly / file["source"]["path"]
        (destination,) = file["destinations"].values()
        bucket, key = destination["bucketName"], destination["objectKey"]
        if source.name == f"{stack}.template.json":
            url = f"https://s3.{REGION}.amazonaws.com/{bucket}/{key}"
        read = partial(_zipped, source) if file["source"]["packaging"] == "zip" else source.read_bytes
        _store(s3_client, bucket, key, read)
    return url


class Archives:
    """The example's adapters as archives in a bucket, under keys that hold their identities."""

    bucket = "fleet-archives"

    def __init__(self, cloud: LocalCloud) -> None:
        self._s3 = client(cloud, "s3")

    def uri(self, label: str) -> str:
        """Return where the archive of a label is."""
        digest, body = _archive(label)
        key = f"adapters/{label}/sha256-{digest}.tar.gz"
        _store(self._s3, self.bucket, key, lambda: body)
        return f"s3://{self.bucket}/{key}"

    def manifest(self, adapters: Mapping[str, str], *, local: bool = False, **further: Any) -> str:
        """Return a manifest of adapters with these labels, from directories or from the bucket.

        further:
            Other members of the document.
        """
        uris = {
            label: str(_directory(label)) if local and label != BROKEN else self.uri(label)
            for label in set(adapters.values())
        }
        entries = [{"name": name, "artifact": uris[label]} for name, label in adapters.items()]
        return json.dumps({**further, "adapters": entries}, indent=1)


def numbered(count: int, *, first: int = 0, shift: int = 0) -> dict[str, str]:
    """Return that many adapters, `a000` and on, with the labels of the example by turns."""
    return {f"a{number:03}": LABELS[(number + shift) % len(LABELS)] for number in range(first, first + count)}


def components(cloud: LocalCloud, endpoint: str) -> dict[str, dict[str, Any]]:
    """Return what the listing says of every component on an endpoint, by name."""
    wait_for_the_listing(cloud)
    paginator = client(cloud, "sagemaker").get_paginator("list_inference_components")
    pages = paginator.paginate(EndpointNameEquals=endpoint, MaxResults=100)
    return {item["InferenceComponentName"]: item for page in pages for item in page["InferenceComponents"]}


def wrong(
    cloud: LocalCloud, endpoint: str, expected: Mapping[str, str], *, prefix: str | None = None
) -> dict[str, str]:
    """Invoke components; return what is not as its label says, by component.

    prefix:
        No other component than the expected may have a name that begins so.
    """
    found = {
        name: "should not be there"
        for name in components(cloud, endpoint)
        if prefix is not None and name.startswith(prefix) and name not in expected and _exists(cloud, name)
    }
    prompt = prompts()[0]

    def fault(name: str) -> str | None:
        try:
            answer = ask(cloud, endpoint, name, prompt["prompt"])
        except ClientError as error:
            return str(error)
        return None if answer == prompt["answers"][expected[name]] else f"answers {answer!r}"

    with ThreadPoolExecutor(8) as executor:
        for name, what in zip(expected, executor.map(fault, expected), strict=True):
            if what is not None:
                found[name] = what
    return found


def start_passes(cloud: LocalCloud, machine: str, trigger: str) -> str:
    """Start a fleet's state machine as a rule of the fleet does; return the execution."""
    started = client(cloud, "stepfunctions").start_execution(
        stateMachineArn=machine,
        input=json.dumps({"trigger": trigger, "requested_at": "2026-01-01T00:00:00Z"}),
    )
    return str(started["executionArn"])


def check_for_drift(cloud: LocalCloud, machine: str) -> str:
    """Start a fleet's state machine as the schedule of its drift checks does; return how that ended."""
    execution = start_passes(cloud, machine, "drift")

    def status() -> str:
        described = client(cloud, "stepfunctions").describe_execution(executionArn=execution)
        return str(described["status"])

    until(lambda: status() != "RUNNING", "the drift check has ended", seconds=120)
    return status()


def metric(cloud: LocalCloud, uid: str, name: str, stat: str = "Maximum") -> list[float]:
    """Return the values of a fleet's metric in the last hour, one for each second that has any, the newest
    first."""
    query = {
        "Id": "one",
        "MetricStat": {
            "Metric": {
                "Namespace": "MultiAdapterInference",
                "MetricName": name,
                "Dimensions": [{"Name": "Fleet", "Value": uid}],
            },
            "Period": 1,
            "Stat": stat,
        },
    }
    now = time.time()
    (found,) = client(cloud, "cloudwatch").get_metric_data(
        StartTime=now - 3600, EndTime=now + 60, MetricDataQueries=[query]
    )["MetricDataResults"]
    return [value for _, value in sorted(zip(found["Timestamps"], found["Values"], strict=True))][::-1]


def leftovers(cloud: LocalCloud, stack: str) -> list[str]:
    """Return what there still is of a stack, each as JSON.

    Log groups do not count: what a function of the embedded cloud logs at its end makes its group again.
    """
    wait_for_the_listing(cloud)
    listed = [
        client(cloud, "dynamodb").list_tables()["TableNames"],
        client(cloud, "events").list_rules()["Rules"],
        client(cloud, "iam").list_roles(MaxItems=1000)["Roles"],
        client(cloud, "lambda").list_functions()["Functions"],
        client(cloud, "sagemaker").list_inference_components(NameContains=stack)["InferenceComponents"],
        client(cloud, "stepfunctions").list_state_machines()["stateMachines"],
    ]
    texts = [json.dumps(item, default=str) for items in listed for item in items]
    return [text for text in texts if stack in text]


def _exists(cloud: LocalCloud, component: str) -> bool:
    """Tell whether a component is there; a listing may lag behind."""
    try:
        client(cloud, "sagemaker").describe_inference_component(InferenceComponentName=component)
    except ClientError:
        return False
    return True


def cdk_stack(app: cdk.App, name: str) -> cdk.Stack:
    """Return a stack of an app for the embedded cloud."""
    return cdk.Stack(
        app,
        name,
        env=cdk.Environment(account=ACCOUNT, region=REGION),
        synthesizer=cdk.DefaultStackSynthesizer(
            file_assets_bucket_name=ASSETS, generate_bootstrap_version_rule=False
        ),
    )


def _logical_ids(fleet: AdapterFleet) -> dict[str, str]:
    """Return those of a fleet's resources, by where they are in it."""
    stack = cdk.Stack.of(fleet)
    return {
        element.node.path.removeprefix(fleet.node.path): stack.get_logical_id(element)
        for element in fleet.node.find_all()
        if isinstance(element, cdk.CfnElement)
    }


def _directory(label: str) -> Path:
    return V2 / label.removesuffix("-v2") if label.endswith("-v2") else V1 / label


@cache
def _archive(label: str) -> tuple[str, bytes]:
    """Return the identity and the bytes of a label's archive."""
    if label == BROKEN:
        return "0" * 64, b"this is not a gzip stream"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.tar.gz"
        digest = pack(_directory(label), path).identity
        return digest, path.read_bytes()


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return packed.getvalue()


def _store(s3_client: Any, bucket: str, key: str, read: Callable[[], bytes]) -> None:
    """Put an object where there is none yet, and its bucket."""
    try:
        s3_client.head_bucket(Bucket=bucket)
    except ClientError:
        s3_client.create_bucket(Bucket=bucket)
    try:
        s3_client.head_object(Bucket=bucket, Key=key)
    except ClientError:
        s3_client.put_object(Bucket=bucket, Key=key, Body=read())
