"""The deployment that preflight checks: an environment file, an account and a region."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_rules.environment import Environment
from adapter_rules.hardware.instance_types import INSTANCES
from adapters_cli.aws.account import Account

_NO_STACK = "ValidationError"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a deployment of an environment file needs.

    name:
        The environment as `cdk deploy -c environment=…` takes it.
    qualifier:
        The qualifier of the CDK's bootstrap stack.
    """

    account: Account
    environment: Environment
    name: str
    stack: str
    region: str
    account_id: str
    qualifier: str

    def client(self, service: str) -> Any:
        """Return a client."""
        return self.account.client(service)

    @property
    def partition(self) -> str:
        """The partition of the region, as ARNs have it."""
        return str(self.client("sts").meta.partition)

    @cached_property
    def stack_status(self) -> str | None:
        """Status of the deployed stack; None if there is none."""
        try:
            (found,) = self.account.cloudformation.describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if code_of(error) != _NO_STACK:
                raise
            return None
        return found["StackStatus"]

    def has_endpoint(self, name: str) -> bool:
        """Return True for an endpoint of the stack. ARNs, its ids there, are in lower case."""
        return name.lower() in self._endpoints

    @cached_property
    def _endpoints(self) -> frozenset[str]:
        if self.stack_status is None:
            return frozenset()
        resources = self.account.cloudformation.get_paginator("list_stack_resources")
        return frozenset(
            resource["PhysicalResourceId"].rpartition("/")[2].lower()
            for resource in resources.paginate(StackName=self.stack).search("StackResourceSummaries[]")
            if resource["ResourceType"] == "AWS::SageMaker::Endpoint" and resource.get("PhysicalResourceId")
        )

    @property
    def most_instances(self) -> int:
        """The most instances that the endpoint may have, also after a scale-out."""
        endpoint, scaling = self.environment.endpoint, self.environment.scaling
        if scaling is None:
            return endpoint.instance_count
        if scaling.max_instances is not None:
            return scaling.max_instances
        return max(endpoint.instance_count, -(-scaling.max_copies // self._copies_of_an_instance))

    @property
    def _copies_of_an_instance(self) -> int:
        """How many copies fit on one instance, as the endpoint's construct counts; 1 if that is not known."""
        instance, copies = INSTANCES.get(self.environment.endpoint.instance_type), self.environment.copies
        if instance is None:
            return 1
        fits = [
            instance.memory_gib * 1024 // copies.min_memory_mib,
            instance.accelerators // copies.accelerators,
        ]
        return max(1, min(fits))

    @property
    def buckets(self) -> list[str]:
        """The buckets that the environment names."""
        model, environment = self.environment.base_model, self.environment
        named = [model.bucket]
        named += [source.bucket for source in environment.artifact_sources]
        for fleet in environment.fleets.values():
            named += [fleet.bucket, *fleet.buckets.values()]
        return list(dict.fromkeys(name for name in named if name is not None))
