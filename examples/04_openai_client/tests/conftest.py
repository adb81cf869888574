"""A cloud that enforces IAM, so that a missing grant shows."""

from collections.abc import Mapping
from typing import Any

import pytest


@pytest.fixture(scope="session")
def local_cloud_options() -> Mapping[str, Any]:
    """Enforce IAM; the cloud then speaks TLS."""
    return {"iam": True}
