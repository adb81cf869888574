"""What the integration tests share: one running embedded cloud, and one with IAM enforcement on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    """An embedded cloud in which everything goes well."""
    with LocalCloud(profile="kind") as running:
        yield running


@pytest.fixture(scope="session")
def guarded() -> Iterator[LocalCloud]:
    """An embedded cloud that enforces IAM, over TLS."""
    with LocalCloud(profile="kind", iam=True) as running:
        yield running
