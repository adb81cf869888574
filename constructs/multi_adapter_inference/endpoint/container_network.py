"""The network interfaces of an endpoint's containers."""

from collections.abc import Sequence
from typing import TypedDict

from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IDependable

from multi_adapter_inference.arguments.errors import shown_path


class VpcSettings(TypedDict):
    """The arguments that the VPC properties of models and endpoint configurations share."""

    subnets: list[str]
    security_group_ids: list[str]


class ContainerNetwork:
    """The subnets and security groups of the containers in a VPC.

    Without groups, `scope` gets a security group that allows every outgoing call.
    """

    def __init__(
        self,
        scope: Construct,
        vpc: ec2.IVpc,
        chosen: ec2.SubnetSelection | None,
        security_groups: Sequence[ec2.ISecurityGroup],
    ) -> None:
        self._subnets = _select_subnets(vpc, chosen)
        groups = security_groups or [
            ec2.SecurityGroup(
                scope, "SecurityGroup", vpc=vpc, description=f"Containers of {shown_path(scope)}"
            )
        ]
        self.connections = ec2.Connections(security_groups=groups)

    @property
    def settings(self) -> VpcSettings:
        """The ids of the subnets and the security groups."""
        return {
            "subnets": self._subnets.subnet_ids,
            "security_group_ids": [group.security_group_id for group in self.connections.security_groups],
        }

    @property
    def routes(self) -> IDependable:
        """The routes of the subnets: a container that downloads something fails without them."""
        return self._subnets.internet_connectivity_established


def _select_subnets(vpc: ec2.IVpc, chosen: ec2.SubnetSelection | None) -> ec2.SelectedSubnets:
    chosen = chosen or ec2.SubnetSelection()
    return vpc.select_subnets(
        availability_zones=chosen.availability_zones,
        one_per_az=chosen.one_per_az,
        subnet_filters=chosen.subnet_filters,
        subnet_group_name=chosen.subnet_group_name,
        subnets=chosen.subnets,
        subnet_type=chosen.subnet_type,
    )
