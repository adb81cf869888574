"""The control plane of one fleet: table, functions, state machine and the custom resource's provider."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from multi_adapter_inference.fleet.statements import manages_components
from multi_adapter_inference.functions.functions import FunctionHosting, FunctionParts, Functions
from multi_adapter_inference.functions.provider import waiting_provider
from multi_adapter_inference.template.acknowledgement import ACKNOWLEDGED_OF_MACHINES, acknowledge
from multi_adapter_inference.template.metrics import METRICS_NAMESPACE
from multi_adapter_inference.template.stack_location import stack_of
from multi_adapter_inference.template.statements import Statement, allow, policy_document

_REGISTRY_ACTIONS = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
_OPEN_GENERATIONS = (
    "dynamodb:BatchWriteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
_READ_GENERATIONS = ("dynamodb:GetItem",)

QUERY_INTERVAL = Duration.seconds(1)
_PASS_SECONDS = 15 * 60
_PASS_MEMORY_MIB = 1024
# bench/README.md has the memory that the largest manifest needs. From this memory on, a function has a whole
# processor (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
MANIFEST_MEMORY_MIB = 1769
MANIFEST_TIMEOUT = Duration.minutes(5)

_REASON_FOR_WILDCARDS = (
    "the components, archives and manifests differ between the versions of a manifest; the functions may"
    " write only components with the fleet's tag"
)

# The state machine makes some hundred passes for one deployment. It repeats a pass that fails.
_RETRY = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 1000,
}


class ControlPlane:
    """The resources that reconcile a fleet, as children of `scope`. Each function has a role of its own.

    functions:
        Where the functions run. Their key also encrypts the table.
    manifest_statements:
        Statements for the functions that read the manifest.
    pass_statements:
        Further statements for the function that makes passes.
    watches_object:
        Whether the manifest is in S3.
    function_parts:
        What the functions share, for more functions of the fleet.
    code_digest:
        The SHA-256 of the functions' code.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        uid: str,
        name: str,
        endpoint_arn: str,
        base_component_name: str,
        timeout_seconds: int,
        registry_removal_policy: RemovalPolicy,
        functions: FunctionHosting,
        manifest_statements: Sequence[Statement],
        pass_statements: Sequence[Statement],
        watches_object: bool,
    ) -> None:
        self._scope = scope
        encryption_key = functions.encryption_key
        self.function_parts = parts = FunctionParts(scope, functions)
        self.registry = dynamodb.Table(
            scope,
            "Registry",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED
            if encryption_key is None
            else dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=encryption_key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expires",
            removal_policy=registry_removal_policy,
        )
        self._registry_arn = self.registry.table_arn
        of_fleet = Functions(
            scope,
            module="adapter_fleet.lambdas.fleet",
            policy="Fleet",
            about=name,
            environment={
                "REGISTRY_TABLE": self.registry.table_name,
                "FLEET_UID": uid,
                "FLEET_NAME": name,
                "METRICS_NAMESPACE": METRICS_NAMESPACE,
            },
            parts=parts,
            why_wildcards=_REASON_FOR_WILDCARDS,
        )
        add_function, self.code_digest = of_fleet.add, of_fleet.code_digest
        self.dead_letters = parts.dead_letters

        self.run_pass = add_function(
            "RunPass",
            "run_pass",
            "One pass over the fleet: looks, plans and acts",
            statements=[
                self._on_registry(_REGISTRY_ACTIONS),
                *manages_components(
                    scope, endpoint_arn=endpoint_arn, base_component_name=base_component_name, uid=uid
                ),
                *pass_statements,
                # A scheduled or ordered pass reads a manifest whose event was lost.
                *(manifest_statements if watches_object else ()),
            ],
            timeout=Duration.seconds(_PASS_SECONDS),
            memory_mib=_PASS_MEMORY_MIB,
        )
        self.state_machine = self._create_state_machine()
        machine_arn = self.state_machine.state_machine_arn
        starts = allow(["states:StartExecution"], machine_arn)
        # A policy outside the role: the machine depends on the function, which depends on its role.
        self._restart = iam.Policy(scope, "Restart", document=policy_document([starts]))
        self._restart.attach_to_role(_role_of(self.run_pass))

        opens = self._on_registry(_OPEN_GENERATIONS)
        machine = {"STATE_MACHINE_ARN": machine_arn}
        self._on_event = add_function(
            "OnEvent",
            "on_event",
            "Opens a generation of the fleet for a deployment",
            statements=[opens, starts, *manifest_statements, _sees_rollbacks(scope)],
            environment=machine,
            timeout=MANIFEST_TIMEOUT,
            memory_mib=MANIFEST_MEMORY_MIB,
        )
        self._is_complete = add_function(
            "IsComplete",
            "is_complete",
            "Tells a deployment whether the fleet has converged",
            statements=[self._on_registry(_READ_GENERATIONS), starts],
            environment=machine,
        )
        self.manifest_object = (
            add_function(
                "ManifestObject",
                "manifest_object",
                "Takes a new version of the fleet's manifest in S3",
                statements=[opens, starts, *manifest_statements],
                environment=machine,
                timeout=MANIFEST_TIMEOUT,
                memory_mib=MANIFEST_MEMORY_MIB,
            )
            if watches_object
            else None
        )
        self.provider = waiting_provider(
            scope,
            on_event=self._on_event,
            is_complete=self._is_complete,
            timeout=Duration.seconds(timeout_seconds),
            query_interval=QUERY_INTERVAL,
            parts=parts,
        )

    @property
    def resources(self) -> Sequence[Construct]:
        """Everything that must be there as long as the fleet is."""
        return [
            self.registry,
            self.dead_letters,
            self.run_pass,
            self._restart,
            self.state_machine,
            self._on_event,
            self._is_complete,
            self.provider,
            *([] if self.manifest_object is None else [self.manifest_object]),
        ]

    def _on_registry(self, actions: Sequence[str]) -> Statement:
        return allow(actions, self._registry_arn)

    def _create_state_machine(self) -> sfn.StateMachine:
        pass_arn = self.run_pass.function_arn
        role = iam.Role(
            self._scope,
            "MachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={"Invoke": policy_document([allow(["lambda:InvokeFunction"], pass_arn)])},
        )
        acknowledge(role, ACKNOWLEDGED_OF_MACHINES)
        return sfn.StateMachine(
            self._scope,
            "Machine",
            comment="Brings a fleet of adapters to what its manifest says",
            definition_body=sfn.DefinitionBody.from_string(
                stack_of(self._scope).to_json_string(_definition(pass_arn))
            ),
            role=role,
            logs=sfn.LogOptions(
                destination=self.function_parts.log_group("MachineLogs"),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
            tracing_enabled=True,
        )


def _sees_rollbacks(scope: Construct) -> Statement:
    """Return the right to see whether the stack rolls back: no guard may stop a rollback."""
    return allow(["cloudformation:DescribeStacks"], stack_of(scope).stack_id)


def _definition(function_arn: str) -> dict[str, Any]:
    """Return the definition: repeat a pass and a wait, until a pass returns that it is done."""

    def run_pass(**further: str) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": function_arn,
                "Payload": {
                    "execution.$": "$$.Execution.Name",
                    "started_at.$": "$$.Execution.StartTime",
                    # Not in the function's environment, as the machine depends on the function.
                    "state_machine.$": "$$.StateMachine.Id",
                    "trigger.$": "$.trigger",
                    **further,
                },
            },
            "OutputPath": "$.Payload",
            "Retry": [_RETRY],
            "TimeoutSeconds": _PASS_SECONDS + 60,
            "Next": "Done?",
        }

    return {
        "StartAt": "First pass",
        "States": {
            "First pass": run_pass(**{"requested_at.$": "$.requested_at"}),
            "Done?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "End"}],
                "Default": "Wait",
            },
            "Wait": {"Type": "Wait", "SecondsPath": "$.wait_seconds", "Next": "Pass"},
            "Pass": run_pass(**{"state.$": "$.state"}),
            "End": {"Type": "Succeed"},
        },
    }


def _role_of(function: lambda_.Function) -> iam.Role:
    role = function.role
    assert isinstance(role, iam.Role)  # each is given one
    return role
