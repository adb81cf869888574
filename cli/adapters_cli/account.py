"""What commands reach outside of themselves: an AWS account, and the clock."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.sagemaker_port import Service, ServiceError
from adapters_cli.text import complain

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

_ENDPOINT_URL = "AWS_ENDPOINT_URL"
"""Of all services; with a service's name behind it, of that one."""

COULD_NOT_ASK = 4
"""Exit code of a command that got no answer: no region, credentials, network or permission, or no fleet."""


class CommandError(Exception):
    """A command cannot do what it was asked; the text says why, in a line for each thing that is wrong."""

    code = 1
    """What the command ends with."""


class UsageError(CommandError):
    """The options do not say what is meant."""

    code = 2


class NoAnswerError(CommandError):
    """Nobody could be asked, or the answer is not understood."""

    code = COULD_NOT_ASK


class NoFleetError(NoAnswerError):
    """There is no fleet where the options say."""


class Account:
    """The account and region of the environment, as for every AWS client. Nothing is asked before use."""

    @cached_property
    def _session(self) -> "boto3.Session":
        # It takes a while to import, and `--help` does without.
        import boto3

        return boto3.Session()

    @cached_property
    def _config(self) -> "Config":
        from botocore.config import Config

        # Nobody else tries again what a command asks. Eight readers ask at the same time.
        return Config(retries={"mode": "standard", "total_max_attempts": 6}, max_pool_connections=16)

    @property
    def region(self) -> str | None:
        """The region that is asked."""
        return self._session.region_name

    def client(self, service: str, config: "Config | None" = None) -> Any:
        """Return a client; NoAnswerError where the environment names no address that can be asked."""
        for name in sorted(os.environ):
            if name.startswith(_ENDPOINT_URL) and os.environ[name]:
                _check_address(name, os.environ[name])
        try:
            return self._session.client(service, config=config or self._config)  # type: ignore[call-overload]
        except ValueError as error:
            # As for an address in a configuration file. Some of AWS's own errors are a ValueError as well.
            if isinstance(error, BotoCoreError):
                raise
            raise NoAnswerError(str(error)) from None

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """Knows which tables a stack has."""
        client: CloudFormationClient = self.client("cloudformation")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """Has manifests and archives."""
        client: S3Client = self.client("s3")
        return client

    @cached_property
    def service(self) -> Service:
        """Has endpoints and components."""
        from adapter_fleet.aws.sagemaker_service import SageMakerService

        return SageMakerService(
            sagemaker=self.client("sagemaker"),
            runtime=self.client("sagemaker-runtime"),
            s3=self.s3,
        )

    @cached_property
    def machines(self) -> "SFNClient":
        """Runs the state machines of fleets."""
        client: SFNClient = self.client("stepfunctions")
        return client

    def registry(self, table: str) -> Registry:
        """Return the registry in a table."""
        from adapter_fleet.aws.dynamodb_registry import DynamoDbRegistry

        return DynamoDbRegistry(table, self.client("dynamodb"))

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def account_of(context: typer.Context) -> Account:
    """Return the account that the command is for."""
    account: Account = context.ensure_object(Account)
    return account


@contextmanager
def errors_told() -> Iterator[None]:
    """End the command with the words of an error, in place of a traceback.

    With COULD_NOT_ASK for those of AWS and of a registry, with a CommandError's own code, with UsageError's
    for a file that cannot be read or written, and with 1 for a value that breaks a rule.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on, as with `| head`: no error to tell
    except CommandError as error:
        complain(str(error))
        raise typer.Exit(error.code) from None
    except (BotoCoreError, ClientError, ServiceError, OSError, LookupError, ValueError) as error:
        complain(explained(error))
        raise typer.Exit(_code(error)) from None


@contextmanager
def options_meant() -> Iterator[None]:
    """Make a UsageError of what refuses the value of an option."""
    try:
        yield
    except BotoCoreError:
        raise  # some are a ValueError as well, such as that of a region
    except ValueError as error:
        raise UsageError(str(error)) from None


def _code(error: Exception) -> int:
    if isinstance(error, BotoCoreError):
        return COULD_NOT_ASK  # some are a ValueError as well, such as that of a region
    if isinstance(error, OSError) and error.filename is not None:
        return UsageError.code
    return CommandError.code if isinstance(error, ValueError) else COULD_NOT_ASK


def _check_address(name: str, value: str) -> None:
    """Raise NoAnswerError where a variable holds no address. botocore reads the port when it sends only."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise NoAnswerError(f"{name} should be an address such as 'https://host:4566', got {value!r}")


def explained(error: Exception) -> str:
    """Return an error's words: for one of AWS, its message and its code."""
    if isinstance(error, NoRegionError):
        unread = "; AWS_REGION is set, and boto3 does not read it" if os.environ.get("AWS_REGION") else ""
        return f"no region is given: set AWS_DEFAULT_REGION, or 'region' in the profile{unread}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, KeyError) or not str(error):
        return f"{type(error).__name__}: {error}"  # its words are no sentence
    if not isinstance(error, ClientError):
        return str(error)
    details = error.response.get("Error", {})
    return f"{details.get('Message', '')} ({details.get('Code', 'unknown error')})"
