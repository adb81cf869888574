"""A deployment whose manifest comes with it, and one whose manifest is in S3."""

from __future__ import annotations

import pytest

from tests.adapter_fleet.fleet.requests.deployment import OBJECT, Deployment, manifest


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture
def watched(deployment: Deployment) -> Deployment:
    """A deployment of a manifest in S3, whose changes make generations."""
    deployment.bucket.put("live", manifest("a"))
    deployment.handler.on_event(deployment.event("Create", ManifestObject=OBJECT))
    return deployment
