"""The clients: each one's package, environment and script."""

from __future__ import annotations

from dataclasses import dataclass

from tests.clients.environments import Environment


@dataclass(frozen=True)
class Client:
    """A client that others wrote.

    name:
        What its users call it.
    package:
        What it is on PyPI.
    pins:
        The file in `requirements` that pins it.
    script:
        The module beside this file that makes its calls.
    calls:
        How many those are, so that a script that ends early is noticed.
    """

    name: str
    package: str
    pins: str
    script: str
    calls: int

    @property
    def environment(self) -> Environment:
        """The environment of the script."""
        return Environment(self.pins)

    @property
    def version(self) -> str:
        """The version that the file in `requirements` pins."""
        return self.environment.version(self.package)


CLIENTS = [
    Client("AWS CLI", "awscli", "aws-cli", "aws_cli", 26),
    Client("SageMaker Python SDK 2", "sagemaker", "sagemaker-2", "sagemaker_2", 17),
    Client("SageMaker Python SDK 3", "sagemaker-core", "sagemaker-3", "sagemaker_3", 20),
    Client("LiteLLM", "litellm", "litellm", "litellm", 19),
    Client("OpenAI", "openai", "openai", "openai", 11),
]
