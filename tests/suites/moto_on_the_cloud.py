"""A plugin of pytest that lets moto's own tests run on the embedded cloud, a fresh one for each test.

moto itself is not installed. Here is what its tests import of it; `mock_aws` does nothing.
"""

import contextlib
import datetime
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud

ACCOUNT = "123456789012"


def mock_aws(function: Callable[..., Any] | None = None) -> Any:
    """Return the decorated function as it is, or a context that does nothing."""
    return function or contextlib.nullcontext()


def vpc_config(security_groups: list[str], subnets: list[str]) -> types.SimpleNamespace:
    """Return moto's form of a model's network."""
    network = {"SecurityGroupIds": security_groups, "Subnets": subnets}
    return types.SimpleNamespace(response_object=network)


def alarm_arn(region: str, account_id: str, alarm_name: str) -> str:
    """Return the ARN of an alarm."""
    return f"arn:aws:cloudwatch:{region}:{account_id}:alarm:{alarm_name}"


_MODULES: dict[str, dict[str, object]] = {
    "moto": {"mock_aws": mock_aws},
    "moto.core": {"DEFAULT_ACCOUNT_ID": ACCOUNT},
    "moto.core.utils": {"utcnow": lambda: datetime.datetime.now(datetime.UTC).replace(tzinfo=None)},
    "moto.sagemaker.models": {"VpcConfig": vpc_config},
    # The cloud has the time of the machine.
    "freezegun": {"freeze_time": lambda _moment: lambda function: function},
    "moto.cloudwatch.utils": {"make_arn_for_alarm": alarm_arn},
}
for name, members in _MODULES.items():
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(members)


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start the cloud of a test."""
    with LocalCloud(account=ACCOUNT, settings={"endpoint_seconds": 0}) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield
