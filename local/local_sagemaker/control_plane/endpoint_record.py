"""The record of an endpoint."""

from dataclasses import dataclass
from typing import Any


@dataclass(kw_only=True, eq=False)
class EndpointRecord:
    """An endpoint with the configuration in force, and how its last deployment was to go.

    failure_reason says why the last update was rolled back. instance_changes counts what the service does to
    the instances by itself: managed scaling, and rolling updates of base components.
    """

    name: str
    arn: str
    config: dict[str, Any]
    created: float
    modified: float
    status: str = "Creating"
    deployment: dict[str, Any] | None = None
    failure_reason: str | None = None
    instance_changes: int = 0

    @property
    def shown_status(self) -> str:
        """The EndpointStatus of the API."""
        return "Updating" if self.status == "InService" and self.instance_changes else self.status

    @property
    def role(self) -> str:
        """The execution role of the components."""
        role: str = self.config["ExecutionRoleArn"]
        return role

    def variant(self, name: str) -> dict[str, Any] | None:
        """A production variant by name."""
        variants: list[dict[str, Any]] = self.config["ProductionVariants"]
        return next((variant for variant in variants if variant["VariantName"] == name), None)
