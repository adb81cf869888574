"""The clients: each one's package, environment and script."""

from __future__ import annotations

from dataclasses import dataclass

from tests.clients.environments import Environment


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client that others wrote.

    name:
        What its users call it.
    package:
        What it is on PyPI.
    environment:
        The file in `requirements` that pins it.
    script:
        The module beside this file that makes its calls.
    calls:
        How many those are, so that a script that ends early is noticed.
    """

    name: str
    package: str
    environment: Environment
    script: str
    calls: int

    @property
    def version(self) -> str:
        """The version that the file in `requirements` pins."""
        return self.environment.version(self.package)


CLIENTS = [
    Client(name="AWS CLI", package="awscli", environment=Environment("aws-cli"), script="aws_cli", calls=85),
    Client(
        name="`aws cloudformation deploy`",
        package="awscli",
        environment=Environment("aws-cli"),
        script="cloudformation_deploy",
        calls=11,
    ),
    Client(
        name="boto3's waiters and paginators",
        package="boto3",
        environment=Environment("boto3"),
        script="boto3_waiters",
        calls=34,
    ),
    Client(
        name="SageMaker Python SDK 2",
        package="sagemaker",
        environment=Environment("sagemaker-2"),
        script="sagemaker_2",
        calls=20,
    ),
    Client(
        name="SageMaker Python SDK 3",
        package="sagemaker-core",
        environment=Environment("sagemaker-3"),
        script="sagemaker_3",
        calls=29,
    ),
    Client(
        name="LangChain",
        package="langchain-aws",
        environment=Environment("langchain-aws"),
        script="langchain_aws",
        calls=14,
    ),
    Client(name="LiteLLM", package="litellm", environment=Environment("litellm"), script="litellm", calls=25),
    Client(name="OpenAI", package="openai", environment=Environment("openai"), script="openai", calls=11),
]
