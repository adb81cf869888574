"""What the experiments share: an endpoint with a base component, and ways to ask base and adapters."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from verify_aws import adapters
from verify_aws.account import Account, RefusedError
from verify_aws.adapters import BaseModel
from verify_aws.budget import MOST_INSTANCES
from verify_aws.container import Container
from verify_aws.prompts import ASKED, ONE, OTHER, PROMPTS, chat_text, completion_body, error_label
from verify_aws.removal import PREFIX, STAGE_BASE, TAG, name_of
from verify_aws.watch import Watch

VARIANT = "AllTraffic"
_START_SECONDS = 900
_MEMORY_MIB = 4096
_ROLE_SECONDS = 120


@dataclass
class Stage:
    """The endpoint of a run. `raise_` makes it; `Removal` takes it away."""

    account: Account
    run: str
    container: Container
    model: BaseModel
    instance_type: str
    role_arn: str = ""
    inference_ami: str = ""
    components: set[str] = field(default_factory=set)
    """Every component whose creation was tried."""
    invocations: dict[str, int] = field(default_factory=dict)
    """How often each component was invoked, and answered."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """What base and reference adapters answer to PROMPTS."""
    chats: dict[str, str] = field(default_factory=dict)
    keeps_path: bool | None = None
    """Whether a new version is at the old one's path; None if nothing tells."""
    modified: datetime = datetime.min
    """When the first reference adapter was modified, as it came into service."""
    measured: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.endpoint = self.model_name = self.bucket = name_of(self.run)
        self.base = self.name(STAGE_BASE)
        self._archives: dict[str, str] = {}

    # --- names and tags

    def name(self, what: str) -> str:
        """Return the name of a component of this run."""
        return name_of(self.run, what)

    @property
    def tags(self) -> list[dict[str, str]]:
        """The tags of everything that the run makes."""
        return [{"Key": TAG, "Value": self.run}]

    # --- the endpoint

    def raise_(self) -> None:
        """Make bucket, role, model, endpoint and base component, and wait for them."""
        call = self.account.call
        self._make_bucket()
        self.role_arn = self.role_arn or self._make_role()
        container: dict[str, Any] = {
            "Image": self.container.image(self.account.region),
            "Environment": self.container.environment(self.model),
        }
        if self.model.directory is not None:
            source = {
                "S3Uri": f"s3://{self.bucket}/base/",
                "S3DataType": "S3Prefix",
                "CompressionType": "None",
            }
            container["ModelDataSource"] = {"S3DataSource": source}
        # A new role is not known everywhere at once.
        self._accepted(
            "create_model",
            ModelName=self.model_name,
            ExecutionRoleArn=self.role_arn,
            PrimaryContainer=container,
            Tags=self.tags,
        )
        self._accepted(
            "create_endpoint_config",
            EndpointConfigName=self.endpoint,
            ExecutionRoleArn=self.role_arn,
            ProductionVariants=[self.variant(least_instances=1)],
            Tags=self.tags,
        )
        call(
            "sagemaker",
            "create_endpoint",
            EndpointName=self.endpoint,
            EndpointConfigName=self.endpoint,
            Tags=self.tags,
        )
        self.measured["endpoint_seconds"] = self.account.until(
            self._endpoint_in_service, "the endpoint serves"
        )
        self.create_base(self.base)
        self.measured["base_seconds"] = self.in_service(self.base)

    def variant(self, *, least_instances: int) -> dict[str, Any]:
        """Return the production variant of the endpoint's configuration."""
        variant: dict[str, Any] = {
            "VariantName": VARIANT,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": 1,
            "ModelDataDownloadTimeoutInSeconds": _START_SECONDS,
            "ContainerStartupHealthCheckTimeoutInSeconds": _START_SECONDS,
            "ManagedInstanceScaling": {
                "Status": "ENABLED",
                "MinInstanceCount": least_instances,
                "MaxInstanceCount": MOST_INSTANCES,
            },
            # A copy at random: otherwise one request at a time could always reach the same one.
            "RoutingConfig": {"RoutingStrategy": "RANDOM"},
        }
        return variant | ({"InferenceAmiVersion": self.inference_ami} if self.inference_ami else {})

    def _make_bucket(self) -> None:
        call, region = self.account.call, self.account.region
        # us-east-1 is the one region that is not named.
        where = {"LocationConstraint": region}
        configuration: dict[str, Any] = {} if region == "us-east-1" else {"CreateBucketConfiguration": where}
        call("s3", "create_bucket", Bucket=self.bucket, **configuration)
        call("s3", "put_bucket_tagging", Bucket=self.bucket, Tagging={"TagSet": self.tags})
        if self.model.directory is not None:
            for file in sorted(path for path in self.model.directory.iterdir() if path.is_file()):
                self._put(f"base/{file.name}", file.read_bytes())

    def _put(self, key: str, content: bytes) -> None:
        self.account.call("s3", "put_object", Bucket=self.bucket, Key=key, Body=content)

    def _make_role(self) -> str:
        partition = "aws-cn" if self.account.region.startswith("cn-") else "aws"
        bucket = f"arn:{partition}:s3:::{self.bucket}"
        # What the guide on execution roles asks for: the model, the image, logs and metrics.
        services = (
            "ecr:GetAuthorizationToken",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchCheckLayerAvailability",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "logs:DescribeLogStreams",
            "cloudwatch:PutMetricData",
        )
        statements = [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [bucket, f"{bucket}/*"],
            },
            {"Effect": "Allow", "Action": services, "Resource": "*"},
        ]
        trust = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
        }
        role = self.account.call(
            "iam",
            "create_role",
            RoleName=self.endpoint,
            Path=f"/{PREFIX}/",
            AssumeRolePolicyDocument=_policy([trust]),
            Tags=self.tags,
        )["Role"]
        self.account.call(
            "iam",
            "put_role_policy",
            RoleName=self.endpoint,
            PolicyName="execution",
            PolicyDocument=_policy(statements),
        )
        return str(role["Arn"])

    def _accepted(self, operation: str, **request: Any) -> None:
        deadline = time.monotonic() + _ROLE_SECONDS
        while True:
            try:
                self.account.call("sagemaker", operation, **request)
            except RefusedError as refused:
                if "role" not in refused.message.lower() or time.monotonic() > deadline:
                    raise
            else:
                return
            self.account.wait()

    def _endpoint_in_service(self) -> bool:
        found = self.account.call("sagemaker", "describe_endpoint", EndpointName=self.endpoint)
        if found["EndpointStatus"] in ("Failed", "OutOfService"):
            raise RuntimeError(f"the endpoint is {found['EndpointStatus']}: {found.get('FailureReason')}")
        return bool(found["EndpointStatus"] == "InService")

    # --- components

    def base_specification(self, *, start_seconds: int = _START_SECONDS) -> dict[str, Any]:
        """Return the specification of a base component that fills an instance's accelerator."""
        return {
            "ModelName": self.model_name,
            "StartupParameters": {
                "ModelDataDownloadTimeoutInSeconds": _START_SECONDS,
                "ContainerStartupHealthCheckTimeoutInSeconds": start_seconds,
            },
            "ComputeResourceRequirements": {
                "MinMemoryRequiredInMb": _MEMORY_MIB,
                "NumberOfAcceleratorDevicesRequired": 1,
            },
        }

    def create_base(self, name: str, *, copies: int = 1) -> None:
        """Ask for a base component."""
        self.components.add(name)
        self.account.call(
            "sagemaker",
            "create_inference_component",
            InferenceComponentName=name,
            EndpointName=self.endpoint,
            VariantName=VARIANT,
            Specification=self.base_specification(),
            RuntimeConfig={"CopyCount": copies},
            Tags=self.tags,
        )

    def archive(self, adapter: str) -> str:
        """Upload an adapter, once, and return its address.

        ONE and TWO are loud; those that begin with "deep" are deep; "missing" has no archive.
        """
        key = f"adapters/{adapter}.tar.gz"
        if adapter not in self._archives and adapter != "missing":
            make = adapters.deep if adapter.startswith("deep") else adapters.loud
            # The seed is the name's: the same in every run.
            self._put(key, make(self.model, zlib.crc32(adapter.encode())))
        self._archives[adapter] = f"s3://{self.bucket}/{key}"
        return self._archives[adapter]

    def creation(self, name: str, adapter: str = ONE) -> dict[str, Any]:
        """Return the request that creates an adapter component, and remember the component."""
        self.components.add(self.name(name))
        return {
            "InferenceComponentName": self.name(name),
            "EndpointName": self.endpoint,
            "Specification": {
                "BaseInferenceComponentName": self.base,
                "Container": {"ArtifactUrl": self.archive(adapter)},
            },
            "Tags": self.tags,
        }

    def create(self, name: str, adapter: str = ONE) -> str:
        """Create an adapter component, wait until it serves, and return its name."""
        self.written("create_inference_component", **self.creation(name, adapter))
        self.in_service(self.name(name))
        return self.name(name)

    def update(self, component: str, adapter: str) -> float:
        """Update an adapter component, and return after how many seconds it was in service again."""
        request = {"Specification": {"Container": {"ArtifactUrl": self.archive(adapter)}}}
        self.written("update_inference_component", InferenceComponentName=component, **request)
        return self.in_service(component)

    def written(self, operation: str, **request: Any) -> None:
        """Make a write as soon as nothing in transition stands in its way."""

        def accepted() -> bool:
            try:
                self.account.call("sagemaker", operation, **request)
            except RefusedError as refused:
                if refused.names_transition:
                    return False
                raise
            return True

        self.account.until(accepted, f"{operation} is accepted")

    def described(self, component: str) -> dict[str, Any]:
        """Return the description of a component; RefusedError if there is none."""
        found: dict[str, Any] = self.account.call(
            "sagemaker", "describe_inference_component", InferenceComponentName=component
        )
        return found

    def status(self, component: str) -> str | None:
        """Return a component's status, None if there is none."""
        try:
            return str(self.described(component)["InferenceComponentStatus"])
        except RefusedError as refused:
            if "could not find" in refused.message.lower():
                return None
            raise

    def in_service(self, component: str) -> float:
        """Wait until a component is in service, and return for how long; RuntimeError if it fails."""

        def serves() -> bool:
            found = self.described(component)
            if found["InferenceComponentStatus"] == "Failed":
                raise RuntimeError(f"{component} is Failed: {found.get('FailureReason')}")
            return bool(found["InferenceComponentStatus"] == "InService")

        return self.account.until(serves, f"{component} is in service")

    def settled(self, component: str) -> float:
        """Wait until a component is in no transition."""
        return self.account.until(
            lambda: self.status(component) not in ("Creating", "Updating", "Deleting"),
            f"{component} is settled",
        )

    def gone(self, component: str) -> float:
        """Wait until a component is deleted, and return for how long."""
        return self.account.until(lambda: self.status(component) is None, f"{component} is gone")

    def listed(self) -> list[str]:
        """Return the names of the endpoint's components in the listing."""
        items = self.account.pages(
            "sagemaker", "list_inference_components", "InferenceComponents", EndpointNameEquals=self.endpoint
        )
        return [item["InferenceComponentName"] for item in items]

    # --- asking

    def invoke(self, component: str, body: Mapping[str, Any]) -> Any:
        """Invoke a component, and return the parsed answer; RefusedError if there is none."""
        answer = self.account.call(
            "sagemaker-runtime",
            "invoke_endpoint",
            patient=False,
            EndpointName=self.endpoint,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps(body),
        )
        self.invocations[component] = self.invocations.get(component, 0) + 1
        return answer["Body"]

    def ask(self, component: str, prompt: str, **members: Any) -> str:
        """Return a component's text to a prompt; RefusedError if it does not answer."""
        return str(self.invoke(component, {**completion_body(prompt), **members})["choices"][0]["text"])

    def who(self, component: str, **members: Any) -> str:
        """Return who answers for a component: BASE, ONE, TWO, OTHER, or an error's status.

        members are added to the request's body.
        """
        try:
            texts = [self.ask(component, prompt, **members) for prompt in ASKED]
        except RefusedError as refused:
            return error_label(refused)
        return self._label(lambda name: self.texts[name][: len(ASKED)] == texts)

    def who_chats(self, body: object) -> str:
        """Return whose text an OpenAI chat answer has."""
        text = chat_text(body)
        return self._label(lambda name: self.chats[name] == text)

    def _label(self, matches: Callable[[str], bool]) -> str:
        if not self.texts:
            raise RuntimeError("nothing is known of who answers how: the experiment `references` has failed")
        return next((name for name in self.texts if matches(name)), OTHER)

    def many(self, component: str, times: int = 40) -> list[str]:
        """Ask a component often, so that every copy is among those that answer; return who did."""
        return sorted({self._first_or_error(component) for _ in range(times)})

    def _first_or_error(self, component: str) -> str:
        # One prompt at a time: two would meet the same copy only by chance.
        try:
            return self._first(component)
        except RefusedError as refused:
            return error_label(refused)

    def _first(self, component: str) -> str:
        text = self.ask(component, PROMPTS[0])
        return self._label(lambda name: self.texts[name][0] == text)

    @contextmanager
    def watched(self, component: str) -> Iterator[Watch]:
        """Ask a component over and over meanwhile."""
        watch = Watch(lambda: self._first(component), self.account.shown)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop()


def _policy(statements: Sequence[Mapping[str, object]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
