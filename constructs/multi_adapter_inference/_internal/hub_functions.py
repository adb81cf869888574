"""The Lambda functions and the state machine of a `HubModel`."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from multi_adapter_inference._internal.acknowledgement import ACKNOWLEDGED_OF_MACHINES, acknowledge, wildcards
from multi_adapter_inference._internal.functions import FunctionParts, Functions
from multi_adapter_inference._internal.hub_machine import FUNCTION_TIMEOUT, definition
from multi_adapter_inference._internal.hub_source import HubSource
from multi_adapter_inference._internal.stack_location import stack_of
from multi_adapter_inference._internal.statement import Statement, allow, policy_document

_MARGIN = Duration.minutes(2)

_REASON_FOR_WILDCARDS = (
    "a model is many objects and its copy many executions, and both come and go under what is named here"
)


class HubFunctions:
    """The functions that copy a model, and their state machine, as children of `scope`.

    Each function has a role of its own. Two functions call the hub and may read the token. Neither may read
    the weights.

    parts:
        Everything that must be there as long as the copy's resource is.
    """

    def __init__(
        self,
        scope: Construct,
        source: HubSource,
        parts: FunctionParts,
        *,
        timeout: Duration,
        max_concurrency: int,
    ) -> None:
        self._scope, self._source, self._parts = scope, source, parts
        functions = Functions(
            scope,
            module="adapter_fleet.lambdas.hub_copy",
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
            timeout=FUNCTION_TIMEOUT,
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
            timeout=FUNCTION_TIMEOUT,
            # With this much memory the function has a whole processor to hash with.
            memory_mib=1792,
        )
        self._copy = functions.add(
            "Copy",
            "copy_range",
            "Copies a range of a file",
            statements=[self._on_objects("s3:PutObject", "*")],
            environment=hub,
            timeout=FUNCTION_TIMEOUT,
            memory_mib=1024,
        )
        self.machine = self._create_machine(timeout, max_concurrency)
        arn = self.machine.state_machine_arn
        executions = [f"{_executions(self.machine)}{end}" for end in (":*", "/*")]
        runs_itself = iam.Policy(
            scope,
            "Maps",
            document=policy_document(
                [
                    # A distributed map starts executions of its own machine, and so does a map in a map.
                    allow(["states:StartExecution"], arn, f"{arn}/*"),
                    allow(["states:DescribeExecution", "states:StopExecution"], *executions),
                ]
            ),
        )
        runs_itself.attach_to_role(self.machine.role)
        acknowledge(runs_itself, wildcards(scope, [f"{arn}/*", *executions], _REASON_FOR_WILDCARDS))

        starts = allow(["states:ListExecutions", "states:StartExecution"], arn)
        machine = {"STATE_MACHINE_ARN": arn}
        self.on_event = functions.add(
            "OnEvent",
            "on_event",
            "Starts a copy",
            statements=[starts, allow(["states:StopExecution"], executions[0])],
            environment=machine,
        )
        self.is_complete = functions.add(
            "IsComplete",
            "is_complete",
            "Tells a deployment how far a copy is",
            statements=[
                starts,
                allow(["states:DescribeExecution", "states:StopExecution"], executions[0]),
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

    def _create_machine(self, timeout: Duration, max_concurrency: int) -> sfn.StateMachine:
        arns = [function.function_arn for function in (self._plan, self._advance, self._copy)]
        role = iam.Role(
            self._scope,
            "MachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={"Invoke": policy_document([allow(["lambda:InvokeFunction"], *arns)])},
        )
        acknowledge(role, ACKNOWLEDGED_OF_MACHINES)
        copying = definition(
            *arns,
            # Longer than the deployment waits: `is_complete` stops the machine and reports its progress.
            seconds=int(timeout.to_seconds() + _MARGIN.to_seconds()),
            max_concurrency=max_concurrency,
        )
        return sfn.StateMachine(
            self._scope,
            "Machine",
            comment=f"Copies {self._source.model_id} from the hub",
            definition_body=sfn.DefinitionBody.from_string(stack_of(self._scope).to_json_string(copying)),
            role=role,
            logs=sfn.LogOptions(
                destination=self._parts.log_group("MachineLogs"),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
            tracing_enabled=True,
        )

    def _on_bucket(self, *actions: str) -> Statement:
        return allow(actions, self._source.bucket.bucket_arn)

    def _on_objects(self, actions: str | Sequence[str], *ends: str) -> Statement:
        """Allow the actions on the model's objects whose keys end with one of `ends`."""
        return allow(
            [actions] if isinstance(actions, str) else actions,
            *(self._source.bucket.arn_for_objects(f"{self._source.repository_prefix}{end}") for end in ends),
        )


def _executions(machine: sfn.StateMachine) -> str:
    """Return the beginning of the ARNs of a state machine's executions."""
    return stack_of(machine).format_arn(
        service="states",
        resource="execution",
        resource_name=machine.state_machine_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
