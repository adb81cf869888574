"""What the tests of the embedded cloud share: a world in memory, one running cloud without delays."""

import functools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from local_sagemaker.server import LocalCloud
from tests.local.credentials import make_user
from tests.local.engine import COMMAND
from tests.local.stacks import Bucket, Stack
from tests.local.world import World

Client = Callable[..., Any]
ChangeSettings = Callable[..., None]
MakeUser = Callable[..., Callable[[str], Any]]

QUICK = {
    "component_create_seconds": 0,
    "component_update_seconds": 0,
    "component_delete_seconds": 0,
    "endpoint_seconds": 0,
    "engine_command": COMMAND,
}


@pytest.fixture
def world() -> Iterator[World]:
    """Everything goes well there."""
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(settings=QUICK) as running:
        yield running


@pytest.fixture
def settings(cloud: LocalCloud) -> Iterator[Callable[..., Any]]:
    """Changes settings of the running cloud for one test."""
    before = cloud.admin.settings()
    yield cloud.admin.change_settings
    cloud.admin.change_settings(**before)
    cloud.admin.clear_faults()


@pytest.fixture(scope="session")
def client(cloud: LocalCloud) -> Callable[..., Any]:
    """Makes boto3 clients of the running cloud."""
    return lambda service, **credentials: boto_client(cloud, service, **credentials)


def boto_client(cloud: LocalCloud, service: str, **credentials: Any) -> Any:
    once = Config(retries={"total_max_attempts": 1}, max_pool_connections=64)
    return cloud.client(service, config=once, **credentials)


@pytest.fixture(scope="session")
def bucket(client: Client) -> Bucket:
    """A bucket with artifacts for the engine of the tests."""
    return Bucket(client("s3"))


@pytest.fixture
def stack(client: Client) -> Iterator[Stack]:
    """A stack that is deleted after the test; its name may begin the names of what is in it."""
    made = Stack(client("cloudformation"), f"stack-{uuid.uuid4().hex[:8]}")
    yield made
    made.delete()


@pytest.fixture(scope="session")
def guarded() -> Iterator[LocalCloud]:
    """A cloud that enforces IAM."""
    with LocalCloud(iam=True, settings=QUICK) as running:
        yield running


@pytest.fixture
def user(guarded: LocalCloud) -> Callable[..., Callable[[str], Any]]:
    """Makes users with policy statements; each is what makes the user's clients."""
    client = functools.partial(boto_client, guarded)
    return functools.partial(make_user, client("iam"), client)
