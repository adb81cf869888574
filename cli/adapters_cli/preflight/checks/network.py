"""Checks of `[network]`: that functions and containers reach from its subnets what they must."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapter_rules.environment import NetworkTable
from adapters_cli.output.text import few
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment

_HTTPS = 443
_EVERYWHERE = "0.0.0.0/0"
_FUNCTIONS = ("s3", "states", "lambda")
_SCALING = ("sagemaker.api",)
_USAGE = ("monitoring",)
_FLEETS = ("dynamodb", "sagemaker.api", "sagemaker.runtime", "cloudformation")


def check_subnets(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look at the subnets' routes to the internet, or else at the VPC's endpoints for AWS's services."""
    check, network = Check("network"), deployment.environment.network
    if network is None:
        yield check.ok("no VPC is used")
        return
    ec2 = deployment.client("ec2")
    by_id = [{"Name": "subnet-id", "Values": network.subnets}]
    subnets = {subnet["SubnetId"]: subnet for subnet in ec2.describe_subnets(Filters=by_id)["Subnets"]}
    if wrong := [name for name in network.subnets if subnets.get(name, {}).get("VpcId") != network.vpc]:
        yield check.error(
            f"subnets should be of {network.vpc} in {deployment.region}, got {few(wrong)}",
            f"aws ec2 describe-subnets --filters Name=vpc-id,Values={network.vpc} --region"
            f" {deployment.region}",
        )
        return
    of_vpc = [{"Name": "vpc-id", "Values": [network.vpc]}]
    tables = list(ec2.get_paginator("describe_route_tables").paginate(Filters=of_vpc).search("RouteTables[]"))
    found = ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=of_vpc)
    endpoints = [
        endpoint
        for endpoint in found.search("VpcEndpoints[]")
        # Some emulators do not filter.
        if endpoint["VpcId"] == network.vpc and endpoint.get("State", "available").lower() == "available"
    ]
    zones = {name: str(subnet["AvailabilityZone"]) for name, subnet in subnets.items()}
    findings = list(_unreached(check, deployment, network, zones, tables, endpoints))
    yield from findings or [check.ok(f"{few(network.subnets)} reach the services that are called")]


def check_security_groups(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look whether the security groups let HTTPS out."""
    check, network = Check("security-groups"), deployment.environment.network
    if network is None:
        yield check.ok("no VPC is used")
        return
    by_id = [{"Name": "group-id", "Values": network.security_groups}]
    groups = deployment.client("ec2").describe_security_groups(Filters=by_id)["SecurityGroups"]
    known = {group["GroupId"]: group for group in groups}
    if wrong := [name for name in network.security_groups if known.get(name, {}).get("VpcId") != network.vpc]:
        yield check.error(
            f"security groups should be of {network.vpc} in {deployment.region}, got {few(wrong)}",
            f"aws ec2 describe-security-groups --filters Name=vpc-id,Values={network.vpc} --region"
            f" {deployment.region}",
        )
        return
    if any(_lets_https_out(known[name]) for name in network.security_groups):
        yield check.ok(f"{few(network.security_groups)} let HTTPS out")
        return
    yield check.error(
        f"no security group lets HTTPS out (TCP {_HTTPS}): {few(network.security_groups)}",
        f"aws ec2 authorize-security-group-egress --group-id {network.security_groups[0]} --protocol tcp"
        f" --port {_HTTPS} --cidr {_EVERYWHERE} --region {deployment.region}",
    )


def _unreached(
    check: Check,
    deployment: Deployment,
    network: NetworkTable,
    zones: Mapping[str, str],
    tables: list[Mapping[str, Any]],
    endpoints: list[Mapping[str, Any]],
) -> Iterator[CheckOutcome]:
    lacking: dict[str, dict[str, str]] = {}
    for subnet in network.subnets:
        table = _table_of(subnet, tables)
        table_id = str(table.get("RouteTableId", "ROUTE-TABLE"))
        if any(_leads_out(route) for route in table.get("Routes", ())):
            continue
        present = _services(endpoints, table_id, deployment.region)
        for service in _needed(deployment):
            if service not in present:
                lacking.setdefault(service, {})[subnet] = table_id
    if lacking:
        subnets = list(dict.fromkeys(subnet for tables_of in lacking.values() for subnet in tables_of))
        yield check.error(
            f"there is no route to the internet from {few(subnets)} (a NAT gateway; an internet gateway needs"
            f" public addresses, which nothing here has), and {network.vpc} has no endpoint for"
            f" {', '.join(lacking)}",
            " && ".join(
                f"aws ec2 create-vpc-endpoint --vpc-id {network.vpc} --region {deployment.region}"
                f" {_endpoint_options(service, deployment.region, tables_of, zones)}"
                for service, tables_of in lacking.items()
            ),
        )


def _table_of(subnet: str, tables: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the route table of a subnet: its own, or else the main one of the VPC."""
    main: Mapping[str, Any] = {}
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main"):
                main = table
    return main


def _leads_out(route: Mapping[str, Any]) -> bool:
    """Tell whether a route leads to the internet for an address of the VPC: by anything but its gateway."""
    return (
        route.get("DestinationCidrBlock") == _EVERYWHERE
        and route.get("State", "active") == "active"
        and not str(route.get("GatewayId", "")).startswith("igw-")
    )


def _needed(deployment: Deployment) -> tuple[str, ...]:
    environment = deployment.environment
    if environment.fleets:
        return _FUNCTIONS + _FLEETS + (() if environment.monitoring is None else _USAGE)
    return _FUNCTIONS + _SCALING if environment.scaling is not None else _FUNCTIONS


def _services(endpoints: Iterable[Mapping[str, Any]], table: str, region: str) -> set[str]:
    """Return the services that a subnet reaches by endpoints of the VPC.

    An interface's private DNS name counts in every subnet of the VPC.
    """
    found = set()
    for endpoint in endpoints:
        # In China, names begin with `cn.com.amazonaws`.
        name = str(endpoint["ServiceName"]).partition(f".{region}.")[2]
        by_gateway = endpoint.get("VpcEndpointType") == "Gateway"
        if (
            table in endpoint.get("RouteTableIds", ())
            if by_gateway
            else endpoint.get("PrivateDnsEnabled", True)
        ):
            found.add(name)
    return found


def _endpoint_options(service: str, region: str, tables: Mapping[str, str], zones: Mapping[str, str]) -> str:
    """Return the options of one endpoint for these subnets and their route tables: a subnet of each zone."""
    name = f"--service-name com.amazonaws.{region}.{service}"
    if service in ("s3", "dynamodb"):
        return (
            f"{name} --vpc-endpoint-type Gateway --route-table-ids {' '.join(dict.fromkeys(tables.values()))}"
        )
    by_zone = {zones[subnet]: subnet for subnet in tables}
    return f"{name} --vpc-endpoint-type Interface --subnet-ids {' '.join(by_zone.values())}"


def _lets_https_out(group: Mapping[str, Any]) -> bool:
    return any(
        rule["IpProtocol"] == "-1"
        or (rule["IpProtocol"] in ("tcp", "6") and rule.get("FromPort", 0) <= _HTTPS <= rule.get("ToPort", 0))
        for rule in group.get("IpPermissionsEgress", ())
    )
