"""The deployed endpoint as its callers see it, and what every adapter is expected to answer."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from examples.demo.workspace import TICKETS

_AT_ONCE = 8


class Endpoint:
    """Asks components.

    A version is a key of `answers` in prompts.json: what an adapter was trained to say.
    """

    def __init__(self, runtime: Any, name: str) -> None:
        self._runtime, self.name = runtime, name
        self.prompts: list[dict[str, Any]] = json.loads((TICKETS / "prompts.json").read_text())

    def ask(self, component: str, prompt: str) -> str:
        """Return what a component answers."""
        response = self._runtime.invoke_endpoint(
            EndpointName=self.name,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps({"inputs": prompt, "parameters": {"max_new_tokens": 60, "temperature": 0}}),
        )
        return str(json.loads(response["Body"].read())["generated_text"])

    def wrong(self, expected: Mapping[str, str]) -> list[str]:
        """Ask every component something; return what is wrong with the answers, one line a component.

        expected:
            Versions by component.
        """

        def problem(at: int, component: str, version: str) -> str | None:
            prompt = self.prompts[at % len(self.prompts)]
            try:
                answer = self.ask(component, prompt["prompt"])
            except ClientError as error:
                return f"{component}: {error}"
            right = answer == prompt["answers"][version]
            return None if right else f"{component}: got {answer!r}, which {version} does not say"

        with ThreadPoolExecutor(_AT_ONCE) as executor:
            found = executor.map(problem, range(len(expected)), expected.keys(), expected.values())
        return [line for line in found if line is not None]

    def gone(self, component: str) -> bool:
        """Tell whether there is no component of that name any more."""
        try:
            self.ask(component, self.prompts[0]["prompt"])
        except ClientError as error:
            return "not found" in str(error)
        return False
