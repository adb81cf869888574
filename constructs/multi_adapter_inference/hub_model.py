"""A base model that a deployment copies from the Hugging Face Hub into a bucket."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration, Fn, RemovalPolicy, Size, SizeRoundingBehavior, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from adapter_fleet.common.validators import check_whole_number
from adapter_fleet.fleet.state.fleet_settings import LONGEST_TIMEOUT_SECONDS
from adapter_fleet.hub.client import HUB
from adapter_fleet.serving.base_model import BaseModelFacts
from multi_adapter_inference._internal.argument_types import checked
from multi_adapter_inference._internal.durations import whole_seconds
from multi_adapter_inference._internal.errors import error_context
from multi_adapter_inference._internal.functions import LOGS_KEPT, FunctionParts, FunctionSettings
from multi_adapter_inference._internal.hub_functions import HubFunctions
from multi_adapter_inference._internal.hub_source import HubSource
from multi_adapter_inference._internal.object_prefix import as_folder
from multi_adapter_inference._internal.provider import answer_timeout, waiting_provider
from multi_adapter_inference.base_model import BaseModel, BoundModel
from multi_adapter_inference.execution_role import ExecutionRole

_DEFAULT_TIMEOUT = Duration.minutes(50)
_DEFAULT_PART_SIZE = Size.mebibytes(64)
_DEFAULT_CONCURRENCY = 64
MOST_CONCURRENCY = 10_000
"""The limit of a distributed map of Step Functions."""

_LONGEST_TIMEOUT = Duration.seconds(LONGEST_TIMEOUT_SECONDS)
# S3's smallest part is 5 MiB, and a file has at most 10,000. A function holds one part in memory.
_SMALLEST_PART_MIB, _LARGEST_PART_MIB = 5, 256
_QUERY_INTERVAL = Duration.seconds(3)


@checked
class HubModel(Construct):
    """A copy of one revision of a model of the hub, made when the stack is deployed.

    The copy is under `<prefix>/<organization>--<model>/<commit>/` and stays when the stack is deleted.
    Another stack with the same revision and bucket finds it and copies nothing. The copy needs no machine of
    yours, and an interrupted copy continues where it stopped.

    model_id:
        `<organization>/<model>`.
    revision:
        A commit (40 hexadecimal digits), branch or tag. The first deployment of this resource with a branch
        or tag resolves it to a commit. Later deployments use the same commit.
    bucket:
        The bucket to copy the model to.
    prefix:
        The folder of the bucket. Default: the whole bucket.
    token:
        A secret whose text is a token of the hub, for gated and private models. Only the functions that call
        the hub read it, when they run. Default: none.
    name:
        The name that adapters have for the model. Default: `model_id`.
    hub_endpoint:
        Another hub with the same API, such as a mirror. Default: the Hugging Face Hub.
    timeout:
        How long a deployment waits for the copy, at most 55 minutes. After it the deployment fails and
        reports the progress. Complete files stay, and the next deployment continues. Default: 50 minutes.
    part_size:
        The size of one range of a file, 5 to 256 MiB. Default: 64 MiB.
    max_concurrency:
        How many ranges are copied at once, at most 10,000. Default: 64.
    encryption_key, log_retention, vpc, vpc_subnets, security_groups:
        Settings of the functions that copy, with the defaults of an `AdapterFleet`. In a VPC, the functions
        need a route to the hub.

    Example::

        model = HubModel(
            stack,
            "Model",
            model_id="meta-llama/Llama-3.1-8B-Instruct",
            revision="0e9e39f249a16976918f6564b8830bc894c89659",
            bucket=bucket,
        )
        base_model = model.base_model  # for a MultiAdapterEndpoint
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
        timeout: Duration = _DEFAULT_TIMEOUT,
        part_size: Size = _DEFAULT_PART_SIZE,
        max_concurrency: int = _DEFAULT_CONCURRENCY,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = LOGS_KEPT,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            self.source = HubSource(
                model_id=model_id,
                revision=revision,
                bucket=bucket,
                prefix=prefix,
                token=token,
                hub_endpoint=hub_endpoint,
            )
            if name is not None and not name.strip():
                raise ValueError(
                    f"'name' should be what adapters call the model, or None for its id, got {name!r}"
                )
            _check_timeout(timeout)
            _check_part_size(part_size)
            _check_concurrency(max_concurrency)
            settings = FunctionSettings(
                encryption_key=encryption_key,
                log_retention=log_retention,
                vpc=vpc,
                vpc_subnets=vpc_subnets,
                security_groups=security_groups,
            )
        self._facts = BaseModelFacts(name=name or model_id)
        parts = FunctionParts(self, settings)
        functions = HubFunctions(self, self.source, parts, timeout=timeout, max_concurrency=max_concurrency)
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
                # The end of the stack's ARN differs between two deployments of the same app.
                "Who": Fn.join("-", [self.node.addr[:8], Fn.select(2, Fn.split("/", stack.stack_id))]),
                "PartBytes": int(part_size.to_bytes()),
                "TimeoutSeconds": int(timeout.to_seconds()),
            },
        )
        # Created after everything that it needs, and so deleted before it.
        self._resource.node.add_dependency(*functions.parts, provider)

    @property
    def base_model(self) -> BaseModel:
        """The copy, as the base model of an endpoint."""
        return _CopiedModel(self, self._facts)

    @property
    def commit(self) -> str:
        """The commit that was copied. A token."""
        return self._resource.get_att_string("Commit")

    @property
    def prefix(self) -> str:
        """The folder of the bucket that has the model's files, with a slash at its end. A token."""
        return self._resource.get_att_string("Prefix")


class _CopiedModel(BaseModel):
    def __init__(self, model: HubModel, facts: BaseModelFacts) -> None:
        super().__init__(facts=facts, needs_network=False)
        self._model = model

    def bind(self, role: ExecutionRole, /) -> BoundModel:
        source = self._model.source
        # Every revision: a rollback uses the previous one.
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


def _check_timeout(timeout: Duration) -> None:
    if not 1 <= whole_seconds("timeout", timeout) <= LONGEST_TIMEOUT_SECONDS:
        raise ValueError(
            f"'timeout' should be from 1 second to {_LONGEST_TIMEOUT.to_human_string()}, as"
            f" CloudFormation waits an hour for a custom resource, got {timeout.to_human_string()}"
        )


def _check_part_size(part_size: Size) -> None:
    if part_size.is_unresolved():
        raise ValueError("'part_size' should be known at synth, got a token")
    # Without the argument, jsii raises an error of its own for a size that is no whole number of the unit.
    mebibytes = part_size.to_mebibytes(rounding=SizeRoundingBehavior.NONE)
    if not _SMALLEST_PART_MIB <= mebibytes <= _LARGEST_PART_MIB:
        raise ValueError(
            f"'part_size' should be from {_SMALLEST_PART_MIB} to {_LARGEST_PART_MIB} MiB, got {mebibytes:g}"
        )


def _check_concurrency(max_concurrency: int) -> None:
    check_whole_number("max_concurrency", max_concurrency, at_least=1)
    if max_concurrency > MOST_CONCURRENCY:
        raise ValueError(
            f"'max_concurrency' should be at most {MOST_CONCURRENCY}, as Step Functions has it, got"
            f" {max_concurrency}"
        )
