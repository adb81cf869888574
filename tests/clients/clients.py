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
    """

    name: str
    package: str
    environment: Environment
    script: str

    @property
    def version(self) -> str:
        """The version that the file in `requirements` pins."""
        return self.environment.version(self.package)


CLIENTS = [
    Client(name="AWS CLI", package="awscli", environment=Environment("aws-cli"), script="aws_cli"),
    Client(
        name="`aws cloudformation deploy`",
        package="awscli",
        environment=Environment("aws-cli"),
        script="cloudformation_deploy",
    ),
    Client(
        name="boto3's waiters and paginators",
        package="boto3",
        environment=Environment("boto3"),
        script="boto3_waiters",
    ),
    Client(
        name="SageMaker Python SDK 2",
        package="sagemaker",
        environment=Environment("sagemaker-2"),
        script="sagemaker_2",
    ),
    Client(
        name="SageMaker Python SDK 3",
        package="sagemaker-core",
        environment=Environment("sagemaker-3"),
        script="sagemaker_3",
    ),
    Client(
        name="LangChain",
        package="langchain-aws",
        environment=Environment("langchain-aws"),
        script="langchain_aws",
    ),
    Client(name="LiteLLM", package="litellm", environment=Environment("litellm"), script="litellm"),
    Client(name="OpenAI", package="openai", environment=Environment("openai"), script="openai"),
]
