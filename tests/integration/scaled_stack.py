"""Stacks with an endpoint whose copies follow the load."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    BatchSize,
    IMultiAdapterEndpoint,
    LmiContainer,
    LmiVersion,
    MultiAdapterEndpoint,
)
from tests.integration.by_hand import client, prompts, write
from tests.integration.fleet_stack import FleetStack


class ScaledStack(FleetStack):
    """A stack whose endpoint has `auto_scale_copies` with these settings, and rolls copy by copy."""

    def __init__(self, cloud: LocalCloud, folder: Path, **scaling: Any) -> None:
        super().__init__(cloud, folder)
        self.scaling = scaling
        self._components = client(cloud, "sagemaker")

    def _endpoint(self, stack: cdk.Stack) -> IMultiAdapterEndpoint:
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
        deadline = time.monotonic() + 30
        while self._status_of(base) != "InService":
            assert time.monotonic() < deadline, f"{base} is {self._status_of(base)}"
            time.sleep(0.05)

    def _status_of(self, base: str) -> str:
        described = self._components.describe_inference_component(InferenceComponentName=base)
        return str(described["InferenceComponentStatus"])

    def wait_until_steady(self, base: str, *, seconds: float = 60) -> None:
        """Wait until no change of a component is in progress."""
        deadline = time.monotonic() + seconds
        while True:
            described = self._components.describe_inference_component(InferenceComponentName=base)
            if described["InferenceComponentStatus"] == "InService":
                return
            assert time.monotonic() < deadline, f"{base} is {described['InferenceComponentStatus']}"
            time.sleep(0.05)

    def wait_for_copies(self, base: str, copies: int, *, seconds: float = 60) -> float:
        """Wait until a component has this many copies; return how long that took."""
        started = time.monotonic()
        while self.copies_of(base) != (copies, copies):
            assert time.monotonic() - started < seconds, f"{base} has {self.copies_of(base)} copies"
            time.sleep(0.05)
        return time.monotonic() - started

    def run_passes(self, machine: str, *, seconds: float = 60) -> None:
        """Start a fleet's passes as an alarm that scales the base model does.

        Wait until they end, or until they only look whether the alarm scales again.
        """
        machines: Any = client(self.cloud, "stepfunctions")
        execution = machines.start_execution(
            stateMachineArn=machine,
            input=json.dumps({"trigger": "scaling", "requested_at": "2026-01-01T00:00:00Z"}),
        )["executionArn"]
        deadline = time.monotonic() + seconds
        while (status := machines.describe_execution(executionArn=execution)["status"]) == "RUNNING":
            events = machines.get_execution_history(executionArn=execution, reverseOrder=True)["events"]
            left = (event.get("stateExitedEventDetails") for event in events)
            if any(json.loads(state["output"])["wait_seconds"] > 60 for state in left if state):
                return
            assert time.monotonic() < deadline, "the passes do not end"
            time.sleep(0.1)
        assert status == "SUCCEEDED"

    def executions(self, machine: str) -> int:
        """Return how many executions of a fleet's state machine there were."""
        return len(client(self.cloud, "stepfunctions").list_executions(stateMachineArn=machine)["executions"])

    @contextmanager
    def load(self, endpoint: str, adapters: Mapping[str, str], *, callers: int = 6) -> Iterator[Load]:
        """Keep asking a fleet's adapters, several at a time, as long as the context lasts.

        Callers go on while there is no copy: their refused requests are what starts one.
        """
        load, ended = Load(), threading.Event()
        runtime = client(self.cloud, "sagemaker-runtime")
        prompt = prompts()[0]
        expected = {self.component("Tenants", name): label for name, label in adapters.items()}
        body = {"inputs": prompt["prompt"], "parameters": {"max_new_tokens": 60, "temperature": 0}}

        def call(number: int) -> None:
            names = itertools.islice(itertools.cycle(expected), number, None)
            while not ended.is_set():
                name = next(names)
                try:
                    answer = runtime.invoke_endpoint(
                        EndpointName=endpoint,
                        InferenceComponentName=name,
                        ContentType="application/json",
                        Body=json.dumps(body),
                    )
                except ClientError as error:
                    if "no capacity" not in str(error):
                        raise
                    time.sleep(0.05)
                    continue
                text = json.loads(answer["Body"].read())["generated_text"]
                load.answers += 1
                if text != prompt["answers"][expected[name]]:
                    load.wrong.append(f"{name} answers {text!r}")

        with ThreadPoolExecutor(callers) as executor:
            calls = [executor.submit(call, number) for number in range(callers)]
            try:
                yield load
            finally:
                ended.set()
        load.wrong += [str(error) for one in calls if (error := one.exception()) is not None]


@dataclass
class Load:
    """How many answers there were, and those that were wrong."""

    answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def wait_for(self, answers: int, *, seconds: float = 30) -> None:
        """Wait until there are so many answers."""
        deadline = time.monotonic() + seconds
        while self.answers < answers:
            assert time.monotonic() < deadline, f"{self.answers} answers; {self.wrong}"
            time.sleep(0.05)
