"""The container that serves the base model with its adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakSet

from aws_cdk import Annotations, Aws, CfnMapping, Stack, Token
from aws_cdk import aws_ecr as ecr
from constructs import Construct, IConstruct

from adapter_fleet.serving.lmi import LMI_REGISTRY_ACCOUNTS, LMI_REPOSITORY, LmiVersion, registry_account
from adapter_fleet.serving.lora_limits import LoraServing
from multi_adapter_inference._internal.argument_types import checked

MAX_ENVIRONMENT_ENTRIES = 16
"""The limit of a container (AWS::SageMaker::InferenceComponent, Environment)."""

# The first release built on CUDA 13, which the driver of the default AMI may not run.
_FIRST_CUDA_13 = 25

# The first release that loads a model.py in an adapter's directory.
_FIRST_TO_RUN_ADAPTERS_CODE = 18

# Each of them names the model to the container.
_MODEL_SETTINGS = frozenset({"HF_MODEL_ID", "OPTION_MODEL_ID"})

# The CDK keeps a warning once, but takes a while to find that out.
_warned_of_archives: WeakSet[IConstruct] = WeakSet()


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """The container's image: its URI, and the ECR repository that the execution role must read."""

    uri: str
    repository_arn: str


@checked
@dataclass(frozen=True, kw_only=True)
class LmiContainer:
    """AWS's Large Model Inference container (djl-inference), or an image built on it.

    version:
        The release. It decides how adapters are served, also for an image of your own.
    environment:
        More settings (`OPTION_MAX_MODEL_LEN`, …). A setting of the library is an error. Default: none.
    repository:
        The ECR repository of an image of your own, built on that release. Default: AWS's image.
    tag:
        The tag in `repository`. Default: the release's tag.

    Example::

        LmiContainer(version=LmiVersion.V19, environment={"OPTION_MAX_MODEL_LEN": "4096"})
    """

    version: LmiVersion
    environment: Mapping[str, str] = field(default_factory=dict)
    repository: ecr.IRepository | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        if self.tag is not None and self.repository is None:
            raise ValueError(f"'tag' should come with 'repository', got {self.tag!r} alone")

    def image(self, scope: Construct) -> ContainerImage:
        """Return the image for the region of `scope`.

        Raises ValueError for a region without a known LMI image.
        """
        tag = self.tag or self.version.tag
        if self.repository is not None:
            return ContainerImage(
                uri=self.repository.repository_uri_for_tag_or_digest(tag),
                repository_arn=self.repository.repository_arn,
            )
        stack = Stack.of(scope)
        account = _registry_account(stack)
        return ContainerImage(
            uri=f"{account}.dkr.ecr.{stack.region}.{stack.url_suffix}/{LMI_REPOSITORY}:{tag}",
            repository_arn=stack.format_arn(
                service="ecr", account=account, resource="repository", resource_name=LMI_REPOSITORY
            ),
        )

    def environment_for(self, lora: LoraServing, model_environment: Mapping[str, str]) -> dict[str, str]:
        """Return the container's whole environment: the LoRA settings, the model's and the user's.

        Raises ValueError if two of them have the same setting, or if there are too many.
        """
        environment = self.version.environment(lora)
        for origin, settings in (
            ("'base_model'", model_environment),
            ("'environment' of the container", self.environment),
        ):
            for clash in environment.keys() & settings.keys():
                raise ValueError(
                    f"{origin} should not set {clash}, which the library sets to {environment[clash]!r},"
                    f" got {settings[clash]!r}"
                )
            environment |= settings
        for setting in _MODEL_SETTINGS & self.environment.keys():
            raise ValueError(
                f"'environment' of the container should not set {setting}, which would replace the model of"
                f" 'base_model', got {self.environment[setting]!r}"
            )
        if len(environment) > MAX_ENVIRONMENT_ENTRIES:
            raise ValueError(
                f"the container's environment should have at most {MAX_ENVIRONMENT_ENTRIES} entries, got"
                f" {len(environment)}: {', '.join(sorted(environment))}"
            )
        return dict(sorted(environment.items()))

    def warn_of_faults(self, scope: Construct, *, inference_ami_version: str | None) -> None:
        """Add to `scope` a warning for each known fault of the release."""
        for fault in self.version.known_faults:
            Annotations.of(scope).add_warning_v2(f"multi-adapter-inference:{fault.id}", fault.text)
        if self.version.number >= _FIRST_CUDA_13 and inference_ami_version is None:
            Annotations.of(scope).add_warning_v2(
                "multi-adapter-inference:cuda13-needs-newer-ami",
                f"LMI {self.version.number} is built on CUDA 13; without 'inference_ami_version' the"
                " instances may start with a driver that is too old for it",
            )

    def warn_of_unchecked_archives(self, scope: IConstruct) -> None:
        """Add one warning to `scope`, however often it is called, if the release runs code in an archive."""
        if self.version.number >= _FIRST_TO_RUN_ADAPTERS_CODE and scope not in _warned_of_archives:
            _warned_of_archives.add(scope)
            Annotations.of(scope).add_warning_v2(
                "multi-adapter-inference:archives-in-s3-not-checked",
                f"LMI {self.version.number} runs a model.py that it finds in an adapter's archive, and those"
                " in S3 are not checked at synth: whoever can write there can run code in the container",
            )


def _registry_account(stack: Stack) -> str:
    if not Token.is_unresolved(stack.region):
        account = registry_account(stack.region)
        if account is None:
            raise ValueError(
                f"no LMI image is known to be published in the region {stack.region!r}; give 'repository', or"
                f" use one of {', '.join(sorted(LMI_REGISTRY_ACCOUNTS))}"
            )
        return account
    mapping_id = "LmiRegistryAccounts"
    mapping = stack.node.try_find_child(mapping_id)
    if not isinstance(mapping, CfnMapping):
        mapping = CfnMapping(
            stack,
            mapping_id,
            mapping={region: {"account": account} for region, account in LMI_REGISTRY_ACCOUNTS.items()},
        )
    return mapping.find_in_map(Aws.REGION, "account")
