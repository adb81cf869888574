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
    component:
        How its users name a component, for the guide.
    """

    name: str
    package: str
    pins: str
    script: str
    calls: int
    component: str

    @property
    def environment(self) -> Environment:
        """The environment of the script."""
        return Environment(self.pins)

    @property
    def version(self) -> str:
        """The version that the file in `requirements` pins."""
        return self.environment.version(self.package)


CLIENTS = [
    Client("AWS CLI", "awscli", "aws-cli", "aws_cli", 26, "`--inference-component-name`"),
    Client("SageMaker SDK 2", "sagemaker", "sagemaker-2", "sagemaker_2", 17, "`component_name=`"),
    Client(
        "SageMaker SDK 3", "sagemaker-core", "sagemaker-3", "sagemaker_3", 20, "`inference_component_name=`"
    ),
    Client("LiteLLM", "litellm", "litellm", "litellm", 19, "`model_id=`, or `openai/` as OpenAI"),
    Client("OpenAI", "openai", "openai", "openai", 11, "`base_url=` and `model=` of `adapters describe`"),
]
