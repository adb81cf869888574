"""Stacks with an endpoint whose copies follow the load."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    BatchSize,
    IBaseComponent,
    LmiContainer,
    LmiVersion,
    MultiAdapterEndpoint,
)
from tests.integration.by_hand import ask, client, prompts, repeated, until, wait_for_service, write
from tests.integration.fleet_stack import FleetStack


class ScaledStack(FleetStack):
    """A stack whose endpoint has `auto_scale_copies` with these settings, and rolls copy by copy."""

    def __init__(
        self, cloud: LocalCloud, folder: Path, *, max_instances: int | None = None, **scaling: Any
    ) -> None:
        super().__init__(cloud, folder)
        self.max_instances = max_instances
        self.scaling = scaling
        self._components = client(cloud, "sagemaker")

    def _endpoint(self, stack: cdk.Stack) -> IBaseComponent:
        endpoint = super()._endpoint(stack)
        assert isinstance(endpoint, MultiAdapterEndpoint)
        endpoint.auto_scale_copies(**self.scaling)
        endpoint.roll_updates(batch_size=BatchSize.copies(1), wait=cdk.Duration.seconds(1))
        return endpoint

    def change_container(self, value: str) -> None:
        """Let the next deployment update the base model's component."""
        self.container = LmiContainer(version=LmiVersion.V19, environment={"OPTION_MAX_MODEL_LEN": value})

    def copies_of(self, base: str) -> tuple[int, int]:
        """Return the desired and the current number of copies."""
        config = self._components.describe_inference_component(InferenceComponentName=base)["RuntimeConfig"]
        return config["DesiredCopyCount"], config["CurrentCopyCount"]

    def scale(self, base: str, copies: int) -> None:
        """Scale a component by hand, as Application Auto Scaling does."""
        write(
            self._components.update_inference_component_runtime_config,
            InferenceComponentName=base,
            DesiredRuntimeConfig={"CopyCount": copies},
        )
        self.wait_for_copies(base, copies)
        wait_for_service(self.cloud, base)

    def wait_for_copies(self, base: str, copies: int, *, seconds: float = 60) -> float:
        """Wait until a component has this many copies; return how long that took."""
        started = time.monotonic()
        until(
            lambda: self.copies_of(base) == (copies, copies), f"{base} has {copies} copies", seconds=seconds
        )
        return time.monotonic() - started

    def executions(self, machine: str) -> int:
        """Return how many executions of a fleet's state machine there were."""
        return len(client(self.cloud, "stepfunctions").list_executions(stateMachineArn=machine)["executions"])

    def ringing(self) -> list[str]:
        """Return the alarms of the template that ring."""
        alarms = client(self.cloud, "cloudwatch")
        found = alarms.describe_alarms(AlarmNamePrefix=self.name, StateValue="ALARM")["MetricAlarms"]
        return [alarm["AlarmName"] for alarm in found]

    def callers(self, endpoint: str, adapters: Mapping[str, str], *, fleet: str = "Tenants") -> Callers:
        """Return callers of the adapters of a fleet, which have these labels."""
        prompt = prompts()[0]
        expected = {self.component(fleet, name): prompt["answers"][label] for name, label in adapters.items()}
        return Callers(self.cloud, endpoint, expected, prompt=prompt["prompt"], tokens=60)


class Callers:
    """They ask adapters, and know the answer of each.

    right, wrong, errors:
        What came: right answers by component, wrong ones, and refusals by what they say.
    """

    def __init__(
        self, cloud: LocalCloud, endpoint: str, expected: Mapping[str, str], *, prompt: str, tokens: int
    ) -> None:
        self._cloud, self._endpoint, self._expected = cloud, endpoint, expected
        self._prompt, self._tokens = prompt, tokens
        self.right: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.errors: Counter[str] = Counter()

    def __str__(self) -> str:
        return (
            f"{self.right.total()} right answers of {len(self.right)} adapters, {len(self.wrong)} wrong"
            f" answers, {self.errors.total()} errors {dict(self.errors)}"
        )

    def ask(self, component: str) -> bool:
        """Ask an adapter, note what comes, and return whether it was an answer."""
        try:
            text = ask(self._cloud, self._endpoint, component, self._prompt, tokens=self._tokens)
        except ClientError as error:
            words = (words for words in ("no capacity", "(404)") if words in str(error))
            self.errors[next(words, str(error)[:160])] += 1
            return False
        if text == self._expected[component]:
            self.right[component] += 1
        else:
            self.wrong.append(f"{component}: {text!r} instead of {self._expected[component]!r}")
        return True

    def ask_all(self, times: int = 1) -> int:
        """Ask every adapter so many times; return how many requests failed."""
        with ThreadPoolExecutor(3) as executor:
            return list(executor.map(self.ask, [*self._expected] * times)).count(False)

    def load(self, at_once: int, *, pause: float = 0) -> AbstractContextManager[None]:
        """Keep asking all adapters, several at a time, as long as the context lasts.

        Callers go on while there is no copy: their refused requests are what starts one.
        """

        def call(components: Iterator[str]) -> None:
            time.sleep(pause if self.ask(next(components)) else 0.05)

        every = [itertools.islice(itertools.cycle(self._expected), first, None) for first in range(at_once)]
        return repeated(*(partial(call, components) for components in every))

    def wait_for(self, answers: int) -> None:
        """Wait until so many answers were right."""
        until(lambda: self.right.total() >= answers, f"{answers} answers are right", seconds=120)
