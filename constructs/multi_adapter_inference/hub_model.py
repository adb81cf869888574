"""A base model that a deployment copies from the Hugging Face Hub into a bucket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from aws_cdk import (
    ArnFormat,
    Aws,
    CustomResource,
    Duration,
    Fn,
    RemovalPolicy,
    Size,
    SizeRoundingBehavior,
    Stack,
    Token,
)
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from adapter_fleet.common.validators import check_whole_number
from adapter_fleet.fleet.state.settings import LONGEST_TIMEOUT_SECONDS
from adapter_fleet.hub.client import HUB
from adapter_fleet.hub.copy import RETRIES
from adapter_fleet.hub.store import repository_prefix
from adapter_fleet.serving.base_model import BaseModelFacts
from multi_adapter_inference._internal.acknowledgement import acknowledge_wildcard
from multi_adapter_inference._internal.arguments import checked
from multi_adapter_inference.base_model import BaseModel, BoundModel
from multi_adapter_inference._internal.durations import whole_seconds
from multi_adapter_inference._internal.errors import error_context
from multi_adapter_inference.execution_role import ExecutionRole
from multi_adapter_inference._internal.functions import LOGS_KEPT, FunctionParts, Functions, FunctionSettings
from multi_adapter_inference._internal.object_prefix import as_folder
from multi_adapter_inference._internal.provider import answer_timeout, waiting_provider

DEFAULT_TIMEOUT = Duration.minutes(50)
DEFAULT_PART_SIZE = Size.mebibytes(64)
DEFAULT_CONCURRENCY = 64
MOST_CONCURRENCY = 10_000
"""Of a distributed map."""

_LONGEST_TIMEOUT = Duration.seconds(LONGEST_TIMEOUT_SECONDS)
# S3 takes no smaller part but the last, and 10,000 of a file. A function holds one in memory.
_SMALLEST_PART_MIB, _LARGEST_PART_MIB = 5, 256
_FILES_AT_ONCE = 4
_QUERY_INTERVAL = Duration.seconds(3)
_SHORT = Duration.minutes(2)
_LONG = Duration.minutes(15)
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/(?!\.{1,2}$)[\w.-]+", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_REASON_FOR_WILDCARDS = (
    "a model is many objects and its copy many executions, and both come and go under what is named here"
)

# CopyError is final. The rest is called again, and the last time says by its answer what is wrong.
_RETRY_ALL = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "JitterStrategy": "FULL",
    "MaxAttempts": RETRIES,
}
# The first to use the roles, and alone: it waits for as long as one that was just changed may be denied.
_RETRY_PLAN = {**_RETRY_ALL, "JitterStrategy": "NONE"}
_NO_RETRY = {"ErrorEquals": ["CopyError"], "MaxAttempts": 0}
# An account may have fewer functions at once than a copy asks for.
_RETRY_THROTTLED = {
    "ErrorEquals": ["Lambda.TooManyRequestsException"],
    "IntervalSeconds": 2,
    "BackoffRate": 1.5,
    "MaxDelaySeconds": 20,
    "JitterStrategy": "FULL",
    "MaxAttempts": 100,
}
_ENDED = {"done": True, "reason": "a function ended before its work did; its log says why"}


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """What to copy, where to and how. The settings are those of `HubModel`."""

    model_id: str
    revision: str
    bucket: s3.IBucket
    prefix: str = ""
    token: secretsmanager.ISecret | None = None
    name: str | None = None
    hub_endpoint: str = HUB
    timeout: Duration = DEFAULT_TIMEOUT
    part_size: Size = DEFAULT_PART_SIZE
    max_concurrency: int = DEFAULT_CONCURRENCY
    functions: FunctionSettings = field(default_factory=FunctionSettings)

    def __post_init__(self) -> None:
        self._check_model()
        self._check_place()
        self._check_endpoint()
        seconds = whole_seconds("timeout", self.timeout)
        if not 1 <= seconds <= LONGEST_TIMEOUT_SECONDS:
            raise ValueError(
                f"'timeout' should be from 1 second to {_LONGEST_TIMEOUT.to_human_string()}, as"
                f" CloudFormation waits an hour for a custom resource, got {self.timeout.to_human_string()}"
            )
        self._check_part_size()
        check_whole_number("max_concurrency", self.max_concurrency, at_least=1)
        if self.max_concurrency > MOST_CONCURRENCY:
            raise ValueError(
                f"'max_concurrency' should be at most {MOST_CONCURRENCY}, as Step Functions has it, got"
                f" {self.max_concurrency}"
            )

    @property
    def repository_prefix(self) -> str:
        """What the keys of all copies of this model begin with."""
        return repository_prefix(as_folder(self.prefix), self.model_id)

    def _check_model(self) -> None:
        should_be = "'<organization>/<model>', known at synth"
        if Token.is_unresolved(self.model_id):
            raise ValueError(f"'model_id' should be {should_be}, got a token")
        if not _MODEL_ID.fullmatch(self.model_id):
            raise ValueError(f"'model_id' should be {should_be}, got {self.model_id!r}")
        should_be = "a commit, or a branch or tag that is resolved once"
        if not self.revision.strip():
            raise ValueError(f"'revision' should be {should_be}, got {self.revision!r}")
        should_be = "what adapters call the model, or None for its id"
        if self.name is not None and not self.name.strip():
            raise ValueError(f"'name' should be {should_be}, got {self.name!r}")

    def _check_place(self) -> None:
        parts = as_folder(self.prefix).removesuffix("/").split("/")
        if "://" in self.prefix or (self.prefix and any(part in ("", ".", "..") for part in parts)):
            raise ValueError(
                f"'prefix' should be the beginning of the keys, such as 'base', got {self.prefix!r}"
            )

    def _check_part_size(self) -> None:
        if self.part_size.is_unresolved():
            raise ValueError("'part_size' should be known at synth, got a token")
        # By default, what is no whole number of the unit is an error of jsii.
        mebibytes = self.part_size.to_mebibytes(rounding=SizeRoundingBehavior.NONE)
        if not _SMALLEST_PART_MIB <= mebibytes <= _LARGEST_PART_MIB:
            raise ValueError(
                f"'part_size' should be from {_SMALLEST_PART_MIB} to {_LARGEST_PART_MIB} MiB, got"
                f" {mebibytes:g}"
            )

    def _check_endpoint(self) -> None:
        should_be = "an https URL without a query (http with no token only)"
        try:
            parts = urlsplit(self.hub_endpoint)
            port = parts.port
        except ValueError:
            raise ValueError(f"'hub_endpoint' should be {should_be}, got {self.hub_endpoint!r}") from None
        loopback = parts.hostname in _LOOPBACK
        if (
            not parts.hostname
            or port == 0
            or parts.username
            or parts.query
            or parts.fragment
            or not (parts.scheme == "https" or (parts.scheme == "http" and (loopback or self.token is None)))
        ):
            raise ValueError(f"'hub_endpoint' should be {should_be}, got {self.hub_endpoint!r}")


@checked
class HubModel(Construct):
    """A copy of one revision of a model of the hub, made when the stack is deployed.

    It is under `<prefix>/<organization>--<model>/<commit>/` and stays when the stack goes: another stack with
    the same revision and bucket finds it and copies nothing. No machine of yours is in between, and a copy
    that was interrupted goes on where it was.

    model_id, revision:
        `<organization>/<model>`, and a commit (40 hexadecimal digits), branch or tag. A branch or tag is
        resolved to its commit the first time that this resource is deployed with it, and stays at that.
    bucket, prefix:
        Where to copy it.
    token:
        A secret whose text is a token of the hub, for gated and private models. Only the functions that ask
        the hub read it, when they run.
    name:
        What adapters call the model; `model_id` by default.
    hub_endpoint:
        Another hub that has the same API, such as a mirror.
    timeout:
        How long a deployment waits for the copy, at most 55 minutes. Then it fails, and says how far the copy
        is; the files that are whole stay, and the next deployment goes on from there.
    part_size, max_concurrency:
        The size of a range, 5 to 256 MiB, and how many are copied at once, 10,000 at most.
    encryption_key, log_retention, vpc, vpc_subnets, security_groups:
        Of the functions that copy, as of an `AdapterFleet`. In a VPC, they need a way to the hub.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        model_id: str,
        revision: str,
        bucket: s3.IBucket,
        prefix: str = "",
        token: secretsmanager.ISecret | None = None,
        name: str | None = None,
        hub_endpoint: str = HUB,
        timeout: Duration = DEFAULT_TIMEOUT,
        part_size: Size = DEFAULT_PART_SIZE,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = LOGS_KEPT,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            source = HubSource(
                model_id=model_id,
                revision=revision,
                bucket=bucket,
                prefix=prefix,
                token=token,
                name=name,
                hub_endpoint=hub_endpoint,
                timeout=timeout,
                part_size=part_size,
                max_concurrency=max_concurrency,
                functions=FunctionSettings(
                    encryption_key=encryption_key,
                    log_retention=log_retention,
                    vpc=vpc,
                    vpc_subnets=vpc_subnets,
                    security_groups=security_groups,
                ),
            )
        self.source = source
        parts = FunctionParts(self, source.functions)
        functions = _Functions(self, source, parts)
        self.state_machine = functions.machine
        provider = waiting_provider(
            self,
            on_event=functions.on_event,
            is_complete=functions.is_complete,
            timeout=timeout,
            query_interval=_QUERY_INTERVAL,
            parts=parts,
        )
        stack = Stack.of(self)
        self._resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::HubModel",
            service_token=provider.service_token,
            service_timeout=answer_timeout(timeout),
            removal_policy=RemovalPolicy.DESTROY,
            properties={
                "ModelId": model_id,
                "Revision": revision,
                "Bucket": bucket.bucket_name,
                "Prefix": as_folder(prefix),
                # The end of the stack's ARN makes it another one for every deployment of the same app.
                "Who": Fn.join("-", [self.node.addr[:8], Fn.select(2, Fn.split("/", stack.stack_id))]),
                "PartBytes": int(part_size.to_bytes()),
                "TimeoutSeconds": int(timeout.to_seconds()),
            },
        )
        # Created after all that it needs, and so deleted before.
        self._resource.node.add_dependency(*functions.parts, provider)

    @property
    def base_model(self) -> BaseModel:
        """The copy, for an endpoint."""
        return _CopyOf(self)

    @property
    def commit(self) -> str:
        """The commit that was copied, known when it is deployed."""
        return self._resource.get_att_string("Commit")

    @property
    def prefix(self) -> str:
        """Where in the bucket the model's files are, with a slash at its end; known when it is deployed."""
        return self._resource.get_att_string("Prefix")


class CopiedModel(BaseModel):
    """A base model that each endpoint copies for itself: what is there already is not copied again."""

    def __init__(self, source: HubSource) -> None:
        super().__init__(facts=_facts(source), needs_network=False)
        self._source = source

    def bind(self, role: ExecutionRole, /) -> BoundModel:
        """Add the copy beside the role."""
        settings: dict[str, Any] = {
            setting.name: getattr(record, setting.name)
            for record in (self._source, self._source.functions)
            for setting in fields(record)
        }
        del settings["functions"]
        return HubModel(role.scope, "HubModel", **settings).base_model.bind(role)


class _CopyOf(BaseModel):
    def __init__(self, model: HubModel) -> None:
        super().__init__(facts=_facts(model.source), needs_network=False)
        self._model = model

    def bind(self, role: ExecutionRole, /) -> BoundModel:
        source = self._model.source
        # Every revision: a rollback goes back to the one before.
        role.read_prefix(source.bucket, source.repository_prefix)
        return BoundModel(
            data_source=sagemaker.CfnModel.ModelDataSourceProperty(
                s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                    s3_uri=source.bucket.s3_url_for_object(self._model.prefix),
                    s3_data_type="S3Prefix",
                    compression_type="None",
                )
            ),
            version=source.revision,
            depends_on=(self._model,),
        )


class _Functions:
    """The functions of a copy and its state machine. They are children of `scope`.

    Each has a role with what that one needs. Two of them speak with the hub and can read the token; neither
    can read the weights.
    """

    def __init__(self, scope: Construct, source: HubSource, parts: FunctionParts) -> None:
        self._scope, self._source, self._parts = scope, source, parts
        functions = Functions(
            scope,
            module="lambdas.hub_copy",
            policy="Copy",
            about=source.model_id,
            environment={},
            parts=parts,
            why_wildcards=_REASON_FOR_WILDCARDS,
        )
        hub = {"HUB_ENDPOINT": source.hub_endpoint}
        if source.token is not None:
            hub["TOKEN_SECRET"] = source.token.secret_arn
        finds_uploads = self._on_bucket("s3:ListBucket", "s3:ListBucketMultipartUploads")

        self._plan = functions.add(
            "Plan",
            "plan",
            "Says which files are missing",
            statements=[
                finds_uploads,
                self._on_objects("s3:AbortMultipartUpload", "*"),
                self._on_objects(["s3:GetObject", "s3:PutObject"], "*.json"),
                self._on_objects("s3:DeleteObject", "*.copying/*", "*.plan.json", "*.verified/*"),
            ],
            environment=hub,
            timeout=_LONG,
        )
        self._advance = functions.add(
            "Advance",
            "advance",
            "Completes and verifies a file",
            statements=[
                finds_uploads,
                self._on_objects(
                    ["s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"], "*"
                ),
            ],
            timeout=_LONG,
            # A whole processor, to hash with.
            memory_mib=1792,
        )
        self._copy = functions.add(
            "Copy",
            "copy_range",
            "Copies a range of a file",
            statements=[self._on_objects("s3:PutObject", "*")],
            environment=hub,
            timeout=_LONG,
            memory_mib=1024,
        )
        self.machine = self._create_machine()
        arn = self.machine.state_machine_arn
        executions = [f"{_executions(self.machine)}{end}" for end in (":*", "/*")]
        runs_itself = iam.Policy(
            scope,
            "Maps",
            statements=[
                # A distributed map starts executions of its own machine; one in another does so as well.
                _allow(["states:StartExecution"], arn, f"{arn}/*"),
                _allow(["states:DescribeExecution", "states:StopExecution"], *executions),
            ],
        )
        runs_itself.attach_to_role(self.machine.role)
        for resource in (f"{arn}/*", *executions):
            acknowledge_wildcard(runs_itself, resource, _REASON_FOR_WILDCARDS)

        starts = _allow(["states:ListExecutions", "states:StartExecution"], arn)
        machine = {"STATE_MACHINE_ARN": arn}
        self.on_event = functions.add(
            "OnEvent",
            "on_event",
            "Starts a copy",
            statements=[starts, _allow(["states:StopExecution"], executions[0])],
            environment=machine,
        )
        self.is_complete = functions.add(
            "IsComplete",
            "is_complete",
            "Tells a deployment how far a copy is",
            statements=[
                starts,
                _allow(["states:DescribeExecution", "states:StopExecution"], executions[0]),
                finds_uploads,
                self._on_objects("s3:AbortMultipartUpload", "*"),
                self._on_objects("s3:GetObject", "*.complete.json", "*.plan.json", "revisions/*"),
                self._on_objects("s3:DeleteObject", "*.copying/*", "revisions/*"),
            ],
            environment=machine,
        )
        self._grant_keys_and_secret()
        self.parts: Sequence[Construct] = [
            parts.dead_letters,
            self._plan,
            self._advance,
            self._copy,
            self.machine,
            runs_itself,
            self.on_event,
            self.is_complete,
        ]

    def _grant_keys_and_secret(self) -> None:
        key, token = self._source.bucket.encryption_key, self._source.token
        if key is not None:
            for function in (self._plan, self._advance, self._copy):
                key.grant_encrypt_decrypt(function)
            key.grant_decrypt(self.is_complete)
        if token is not None:
            for function in (self._plan, self._copy):
                token.grant_read(function)

    def _create_machine(self) -> sfn.StateMachine:
        functions = (self._plan, self._advance, self._copy)
        role = iam.Role(
            self._scope,
            "MachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={
                "Invoke": iam.PolicyDocument(
                    statements=[
                        _allow(["lambda:InvokeFunction"], *(function.function_arn for function in functions))
                    ]
                )
            },
        )
        acknowledge_wildcard(
            role, "*", "the delivery of logs and of traces has no resource that a policy could name"
        )
        files = min(_FILES_AT_ONCE, self._source.max_concurrency)
        definition = _definition(
            *(function.function_arn for function in functions),
            # Who waits for it stops it before, and says how far it is.
            seconds=int(self._source.timeout.to_seconds() + _SHORT.to_seconds()),
            files=files,
            ranges=self._source.max_concurrency // files,
        )
        return sfn.StateMachine(
            self._scope,
            "Machine",
            comment=f"Copies {self._source.model_id} from the hub",
            definition_body=sfn.DefinitionBody.from_string(Stack.of(self._scope).to_json_string(definition)),
            role=role,
            logs=sfn.LogOptions(
                destination=self._parts.log_group("MachineLogs"),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
            tracing_enabled=True,
        )

    def _on_bucket(self, *actions: str) -> iam.PolicyStatement:
        return _allow(list(actions), self._source.bucket.bucket_arn)

    def _on_objects(self, actions: str | Sequence[str], *ends: str) -> iam.PolicyStatement:
        """Allow something on those of the model's objects whose keys go on so."""
        return _allow(
            [actions] if isinstance(actions, str) else list(actions),
            *(self._source.bucket.arn_for_objects(f"{self._source.repository_prefix}{end}") for end in ends),
        )


def _definition(
    plan: str, advance: str, copy: str, *, seconds: int, files: int, ranges: int
) -> dict[str, Any]:
    """Return the state machine: plan, copy the files that are missing, and again until none is."""
    of_file = {"request.$": "$.request", "commit.$": "$.commit"}

    def call(function: str, **payload: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload": payload},
            "TimeoutSeconds": int(_LONG.to_seconds()) + 60,
        }

    def retried(state: dict[str, Any], *, otherwise: str) -> dict[str, Any]:
        return {
            **state,
            "Retry": [_RETRY_THROTTLED, _RETRY_ALL],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": otherwise}],
        }

    def each(label: str, at_once: int, **processor: Any) -> dict[str, Any]:
        return {
            "Type": "Map",
            "Label": label,
            "MaxConcurrency": at_once,
            "ToleratedFailurePercentage": 100,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                **processor,
            },
            "ResultPath": "$.outcomes",
        }

    ended = {"Type": "Pass", "Result": _ENDED, "End": True}
    copy_range = call(
        copy,
        **of_file,
        **{
            "file.$": "$.file",
            "upload.$": "$.upload",
            "part.$": "$.part",
            "attempt.$": "$$.State.RetryCount",
        },
    )
    one_range = {
        "StartAt": "Copy",
        "States": {
            "Copy": retried({**copy_range, "OutputPath": "$.Payload", "End": True}, otherwise="Not copied"),
            "Not copied": ended,
        },
    }
    look = call(
        advance,
        **of_file,
        **{
            "file.$": "$.file",
            "outcomes.$": "$.outcomes",
            "looks.$": "$.look.found.looks",
            "attempt.$": "$$.State.RetryCount",
        },
    )
    one_file = {
        "StartAt": "Look",
        "States": {
            "Look": retried(
                {
                    **look,
                    "ResultSelector": {"found.$": "$.Payload"},
                    "ResultPath": "$.look",
                    "Next": "Copied?",
                },
                otherwise="Not looked at",
            ),
            "Copied?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.look.found.done", "BooleanEquals": True, "Next": "Copied"}],
                "Default": "Ranges",
            },
            "Ranges": {
                **each("ranges", ranges, **one_range),
                "ItemsPath": "$.look.found.parts",
                "ItemSelector": {
                    **of_file,
                    "file.$": "$.file",
                    "upload.$": "$.look.found.upload",
                    "part.$": "$$.Map.Item.Value",
                },
                "Next": "Look",
            },
            "Copied": {"Type": "Succeed", "OutputPath": "$.look.found"},
            "Not looked at": ended,
        },
    }
    next_plan = call(
        plan,
        **{
            "request.$": "$.request",
            "outcomes.$": "$.outcomes",
            "round.$": "$.round",
            "attempt.$": "$$.State.RetryCount",
        },
    )
    return {
        "StartAt": "Plan",
        "TimeoutSeconds": seconds,
        "States": {
            "Plan": {
                **next_plan,
                "OutputPath": "$.Payload",
                "Retry": [_NO_RETRY, _RETRY_THROTTLED, _RETRY_PLAN],
                "Next": "Whole?",
            },
            "Whole?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "Whole"}],
                "Default": "Files",
            },
            "Files": {
                **each("files", files, **one_file),
                "ItemsPath": "$.files",
                "ItemSelector": {
                    **of_file,
                    "file.$": "$$.Map.Item.Value",
                    "outcomes": [],
                    "look": {"found": {"looks": 0}},
                },
                "Next": "Plan",
            },
            "Whole": {"Type": "Succeed"},
        },
    }


def _facts(source: HubSource) -> BaseModelFacts:
    return BaseModelFacts(name=source.name or source.model_id)


def _executions(machine: sfn.StateMachine) -> str:
    """Return the beginning of the ARNs of a machine's executions."""
    return Stack.of(machine).format_arn(
        service="states",
        resource="execution",
        resource_name=machine.state_machine_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def _allow(actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=list(resources))
