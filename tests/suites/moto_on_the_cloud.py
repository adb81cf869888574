"""A plugin of pytest that lets moto's own tests run on the embedded cloud, a fresh one for each test.

moto itself is not installed. Its `mock_aws` does nothing, and a test that needs more of it is skipped.
"""

from __future__ import annotations

import datetime
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud

ACCOUNT = "123456789012"


class MockAws(ContextDecorator):
    """moto's decorator and context manager."""

    def __new__(cls, given: Callable[..., Any] | dict[str, Any] | None = None, **_: Any) -> Any:
        """Return a function that is decorated without arguments as it is."""
        return given if callable(given) else super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> MockAws:
        """Enter the context."""
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Part(types.ModuleType):
    """A module of moto, of which every name skips the test that calls it."""

    def __getattr__(self, name: str) -> Any:
        """Return what skips."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: pytest.skip(f"{self.__name__}.{name} is a part of moto itself")


class VpcConfig:
    """moto's own form of a model's network."""

    def __init__(self, security_group_ids: list[str], subnets: list[str]) -> None:
        self.response_object = {"SecurityGroupIds": security_group_ids, "Subnets": subnets}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of moto, which are not there."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Return the module's specification."""
        if name.partition(".")[0] != "moto":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return the module, with what its tests need."""
        module = Part(spec.name)
        vars(module).update(_MEMBERS.get(spec.name, {}))
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module as it is."""


_MEMBERS: dict[str, dict[str, object]] = {
    "moto": {"mock_aws": MockAws},
    "moto.core": {"DEFAULT_ACCOUNT_ID": ACCOUNT},
    "moto.core.utils": {"utcnow": lambda: datetime.datetime.now(datetime.UTC).replace(tzinfo=None)},
    "moto.cloudwatch.utils": {
        "make_arn_for_alarm": lambda region, account_id, alarm_name: (
            f"arn:aws:cloudwatch:{region}:{account_id}:alarm:{alarm_name}"
        )
    },
    "moto.sagemaker.models": {"VpcConfig": VpcConfig},
    "moto.applicationautoscaling.exceptions": {"AWSValidationException": Exception},
}
sys.meta_path.insert(0, Finder())


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start the cloud of a test."""
    with LocalCloud(account=ACCOUNT, settings={"endpoint_seconds": 0}) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield
