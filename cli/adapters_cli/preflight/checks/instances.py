"""Checks that the instance type is offered, and that the quotas suffice."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from adapter_fleet.manifest.manifest import Manifest
from adapters_cli.aws.account import QUOTA_SERVICE, find_quota, is_component_quota
from adapters_cli.aws.components import endpoint_names
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment


def check_instance_type(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for the zones in which EC2 offers the instance type; those of the subnets, if there are some.

    SageMaker does not list what it offers. Its types are those of EC2, so this is a warning.
    """
    check, ec2 = Check("instance-type"), deployment.client("ec2")
    name = deployment.environment.endpoint.instance_type
    plain = name.removeprefix("ml.")
    filters = [{"Name": "instance-type", "Values": [plain]}]
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=filters
    )
    zones = set(pages.search("InstanceTypeOfferings[].Location"))
    if not zones:
        yield check.warning(f"EC2 offers no {plain} in {deployment.region}, so SageMaker hardly has {name}")
        return
    network = deployment.environment.network
    if network is not None:
        subnets = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": network.subnets}])["Subnets"]
        ours = {subnet["AvailabilityZone"] for subnet in subnets if subnet["SubnetId"] in network.subnets}
        if ours and not ours & zones:
            yield check.warning(
                f"the subnets are in {_listed(ours)}, and EC2 offers {plain} in {_listed(zones)} only",
                f"aws ec2 describe-subnets --filters Name=vpc-id,Values={network.vpc}"
                f" Name=availability-zone,Values={','.join(sorted(zones))} --region {deployment.region}",
            )
            return
    yield check.ok(f"EC2 offers {plain} in {_listed(zones)}")


def check_quota(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Compare the instances and the components with the account's quotas. Those of other endpoints count."""
    yield from _quota_of_instances(deployment)
    yield from _quota_of_components(deployment)


def _quota_of_instances(deployment: Deployment) -> Iterator[CheckOutcome]:
    instance_type = deployment.environment.endpoint.instance_type
    check, name = Check("quota"), f"{instance_type} for endpoint usage"
    quota = find_quota(deployment.client("service-quotas"), name.__eq__)
    if quota is None:
        yield check.warning(
            f"Service Quotas in {deployment.region} has no '{name}', so it may not be offered there"
        )
        return
    used = _used_elsewhere(deployment, instance_type)
    most, value = deployment.most_instances, float(quota.get("Value", inf))
    what = f"{most} {instance_type} of this endpoint and {used} of others; the quota is {value:g}"
    if used + most <= value:
        yield check.ok(what)
        return
    yield check.error(f"the quota '{name}' is too low: {what}", _request(deployment, quota, used + most))


def _quota_of_components(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Compare the base and all adapters with the quota of components on one endpoint, if there is one."""
    check = Check("quota")
    quota = find_quota(deployment.client("service-quotas"), is_component_quota)
    if quota is None:
        return
    needed = 1 + len(deployment.environment.adapters) + sum(_sizes_of_fleets(deployment))
    what = f"the base model and its adapters are {needed} components; the quota is {quota['Value']:g}"
    if needed <= quota["Value"]:
        yield check.ok(what)
        return
    name = quota["QuotaName"]
    yield check.error(f"the quota '{name}' is too low: {what}", _request(deployment, quota, needed))


def _sizes_of_fleets(deployment: Deployment) -> Iterator[int]:
    """Yield how many adapters each manifest has."""
    for fleet in deployment.environment.fleets.values():
        if fleet.manifest is not None:
            text, where, folder = fleet.manifest.read_bytes(), str(fleet.manifest), fleet.manifest.parent
            yield len(Manifest.parse(text, where=where, folder=folder).adapters)
        elif fleet.bucket is not None and fleet.key is not None:
            text = deployment.account.s3.get_object(Bucket=fleet.bucket, Key=fleet.key)["Body"].read()
            where = f"s3://{fleet.bucket}/{fleet.key}"
            yield len(Manifest.parse(text, where=where, folder=None).adapters)


def _request(deployment: Deployment, quota: Mapping[str, Any], value: int) -> str:
    """Return the command that asks for a higher quota."""
    return (
        f"aws service-quotas request-service-quota-increase --service-code {QUOTA_SERVICE}"
        f" --quota-code {quota['QuotaCode']} --desired-value {value} --region {deployment.region}"
    )


def _used_elsewhere(deployment: Deployment, instance_type: str) -> int:
    """Count the instances of that type of endpoints that are not the stack's own."""
    sagemaker = deployment.client("sagemaker")
    names = [name for name in endpoint_names(deployment.account) if not deployment.has_endpoint(name)]

    def used(name: str) -> int:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
        config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        types = {
            variant["VariantName"]: variant.get("InstanceType") for variant in config["ProductionVariants"]
        }
        return sum(
            variant.get("CurrentInstanceCount", 0)
            for variant in endpoint.get("ProductionVariants", ())
            if types.get(variant["VariantName"]) == instance_type
        )

    return sum(read_each(names, used).values())


def _listed(zones: set[str]) -> str:
    return ", ".join(sorted(zones))
