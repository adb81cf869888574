"""Endpoint configurations: the instances and the execution role of an endpoint."""

import operator
from typing import Any

from local_sagemaker.control_plane.capacity import scales_instances
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.control_plane.unchanging_resources import UnchangingResources
from local_sagemaker.errors import validation_exception

# [V MetricsConfig] The model has no limits.
_FREQUENCIES = (10, 30, 60, 120, 180, 240, 300)


class EndpointConfigs(UnchangingResources):
    """CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs and DeleteEndpointConfig."""

    def __init__(self, context: Context, tags: Tags):
        noun = "endpoint configuration"
        super().__init__(context, tags, "EndpointConfig", arn_kind="endpoint-config", noun=noun)

    def _check(self, request: dict[str, Any]) -> None:
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        for name, variant in zip(names, request["ProductionVariants"], strict=True):
            if names.count(name) > 1:
                # [T mlflow #6486] Refused. [I] No source has the words.
                raise validation_exception(f"There are several production variants with the name {name}.")
            self._check_variant(variant)
            self._check_managed_scaling(variant)
        _check_frequency(request.get("MetricsConfig", {}))
        if "ExecutionRoleArn" not in request:
            raise validation_exception(
                "ExecutionRoleArn should be given, since the production variants have no ModelName."
            )

    @staticmethod
    def _check_variant(variant: dict[str, Any]) -> None:
        name = variant["VariantName"]
        if "ModelName" in variant:
            raise validation_exception(
                f"Production variant {name} has a ModelName; the embedded cloud serves inference "
                "components only."
            )
        # [V developer guide, "Deploy to multiple instance types"] Pools replace the type.
        if ("InstanceType" in variant) == ("InstancePools" in variant):
            raise validation_exception(
                f"Production variant {name} should have an InstanceType or InstancePools, and not both."
            )
        if "InitialInstanceCount" not in variant:
            raise validation_exception(f"Production variant {name} should have an InitialInstanceCount.")

    @staticmethod
    def _check_managed_scaling(variant: dict[str, Any]) -> None:
        """Refuse counts that contradict each other. [I] No source has the words."""
        if not scales_instances(variant):
            return
        scaling, name = variant["ManagedInstanceScaling"], variant["VariantName"]
        initial = variant["InitialInstanceCount"]
        least, most = scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount", initial)
        if least > most:
            raise validation_exception(
                f"MinInstanceCount of production variant {name} should be at most MaxInstanceCount, {most}, "
                f"got {least}."
            )
        if not least <= initial <= most:
            raise validation_exception(
                f"InitialInstanceCount of production variant {name} should be from MinInstanceCount, "
                f"{least}, to MaxInstanceCount, {most}, got {initial}."
            )


def _check_frequency(metrics: dict[str, Any]) -> None:
    seconds = metrics.get("MetricPublishFrequencyInSeconds", _FREQUENCIES[0])
    if seconds not in _FREQUENCIES:
        raise validation_exception(
            f"MetricPublishFrequencyInSeconds should be one of {', '.join(map(str, _FREQUENCIES))}, got"
            f" {seconds}."
        )


def in_force(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose variants have the instance type of their first pool, where they have pools.

    [V InstancePool] Instances of the pool with the lowest number come first. Here there are always some.
    """
    priority = operator.itemgetter("Priority")
    variants = [
        variant
        if "InstanceType" in variant
        else {**variant, "InstanceType": min(variant["InstancePools"], key=priority)["InstanceType"]}
        for variant in config["ProductionVariants"]
    ]
    return {**config, "ProductionVariants": variants}
