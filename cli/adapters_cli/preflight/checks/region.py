"""Checks that the region has SageMaker, the resource type and the container, and the container itself."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, EndpointConnectionError

from adapter_fleet.common.aws_errors import code_of
from adapter_rules.engines.container_releases import REGISTRY_ACCOUNTS
from adapters_cli.output.errors import error_text
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment

RESOURCE_TYPE = "AWS::SageMaker::InferenceComponent"

_HOSTS_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".aws")

_PERHAPS_WITHOUT_TYPE = ("us-west-1", "eu-west-3", "us-gov-", "cn-")
"""Regions whose list of CloudFormation types lacks it. The lists are noisy, so DescribeType counts more."""


def check_service(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Ask SageMaker for one inference component."""
    check = Check("service")
    try:
        deployment.client("sagemaker").list_inference_components(MaxResults=1)
    except EndpointConnectionError as error:
        yield check.error(
            f"SageMaker in {deployment.region} cannot be reached: {error}; {_elsewhere(deployment.region)}"
        )
    else:
        yield check.ok(f"SageMaker in {deployment.region} lists inference components")


def check_resource_type(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Ask CloudFormation for the type of inference components."""
    check, region = Check("resource-type"), deployment.region
    try:
        deployment.account.cloudformation.describe_type(Type="RESOURCE", TypeName=RESOURCE_TYPE)
    except ClientError as error:
        if code_of(error) in ("TypeNotFoundException", "CFNRegistryException"):
            yield check.error(
                f"CloudFormation in {region} has no type {RESOURCE_TYPE}: {error_text(error)};"
                f" {_elsewhere(region)}"
            )
        elif region.startswith(_PERHAPS_WITHOUT_TYPE):
            yield check.warning(
                f"CloudFormation in {region} may have no type {RESOURCE_TYPE}, and DescribeType gives no"
                f" answer: {error_text(error)}"
            )
        else:
            yield check.not_checked(error_text(error))
    else:
        yield check.ok(f"CloudFormation in {region} has {RESOURCE_TYPE}")


def check_image(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for the container's image in AWS's registry of the region."""
    check, region = Check("image"), deployment.region
    release = deployment.environment.container.release
    account = REGISTRY_ACCOUNTS.get(region)
    if account is None or region not in release.regions:
        yield check.error(
            f"AWS is not known to publish {release.title} ({release.repository}:{release.tag}) in {region};"
            f" {_elsewhere(region)}"
        )
        return
    where = f"{release.repository}:{release.tag} of account {account} in {region}"
    registry = deployment.client("ecr")
    try:
        found = registry.batch_get_image(
            registryId=account,
            repositoryName=release.repository,
            imageIds=[{"imageTag": release.tag}],
        )
    except ClientError as error:
        if code_of(error) != "RepositoryNotFoundException":
            raise
        if (urlsplit(registry.meta.endpoint_url).hostname or "").endswith(_HOSTS_OF_AWS):
            yield check.error(f"there is no image {where}: {error_text(error)}")
        else:
            yield check.not_checked(f"{registry.meta.endpoint_url} has none of AWS's images")
        return
    if found.get("images"):
        yield check.ok(f"{where} exists")
        return
    reasons = "; ".join(failure.get("failureReason", "") for failure in found.get("failures", ()))
    yield check.error(
        f"there is no image {where}{f': {reasons}' if reasons else ''}; another 'lmi_version' or"
        " 'vllm_version' may be there",
        f"aws ecr describe-images --registry-id {account} --repository-name {release.repository}"
        f" --region {region}",
    )


def check_container(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for faults of the container by which one adapter may answer for another."""
    check, release = Check("container"), deployment.environment.container.release
    for fault in release.known_faults:
        yield check.warning(fault.text)
    if not release.known_faults:
        yield check.ok(f"no fault is known by which {release.title} mixes up adapters, whatever its settings")


def _elsewhere(region: str) -> str:
    return f"set 'region' of [aws] to another one than {region}, such as eu-central-1"
