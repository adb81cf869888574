"""The AWS account that commands work with: its fleet or endpoint of the options, its clock and its quotas."""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError

from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.sagemaker_port import SageMakerPort
from adapters_cli.output.errors import NoAnswerError, UsageError
from adapters_cli.product import PRODUCT, product_version

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

    from adapter_fleet.openai.bearer_auth import BearerAuth

_ENDPOINT_URL = "AWS_ENDPOINT_URL"
"""Address of all services; `AWS_ENDPOINT_URL_S3` is that of S3 alone."""

_APPLICATION = "AWS_SDK_UA_APP_ID"
"""What the environment wants clients to call themselves."""

_SESSION_LOCK = threading.Lock()


class Account:
    """The account and region of the environment, as every AWS client finds them.

    Nothing is imported, created or sent before it is used. Tests replace the clients and the clock.
    """

    command = "adapters"
    """What the clients call themselves in their requests, as CloudTrail shows it: `adapters-status`."""

    stack: str | None = None
    """The stack that `--stack` names."""

    fleet: str | None = None
    """The fleet of the stack that `--fleet` names."""

    endpoint: str | None = None
    """The endpoint that `--endpoint` names."""

    _region: str | None = None
    _profile: str | None = None

    def choose(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        stack: str | None = None,
        fleet: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        """Use what the options of a command name. Call it before anything is read."""
        self._region, self._profile = region or self._region, profile or self._profile
        self.stack, self.fleet = stack or self.stack, fleet or self.fleet
        self.endpoint = endpoint or self.endpoint

    @property
    def names_fleet(self) -> bool:
        """True if the options of a command name a fleet."""
        return (self.stack, self.fleet) != (None, None)

    @property
    def endpoint_alone(self) -> str | None:
        """The endpoint that `--endpoint` names. Raises UsageError if the options name a fleet, too."""
        if self.endpoint is not None and self.names_fleet:
            raise UsageError("--endpoint is for components of no fleet; give it, or --stack and --fleet")
        return self.endpoint

    @property
    def chosen_region(self) -> str | None:
        """The region that `choose` was given."""
        return self._region

    @cached_property
    def _session(self) -> "boto3.Session":
        # Imported here: it takes long, and `--help` does without.
        import boto3

        return boto3.Session(region_name=self._region, profile_name=self._profile)

    @cached_property
    def _config(self) -> "Config":
        from botocore.config import Config

        # Commands do not retry by themselves. Eight readers share a client.
        return Config(retries={"mode": "standard", "total_max_attempts": 6}, max_pool_connections=16)

    @property
    def region(self) -> str | None:
        """Region of the session."""
        return self._session.region_name

    def client(self, service: str, config: "Config | None" = None) -> Any:
        """Return a client. Raises NoAnswerError if an AWS_ENDPOINT_URL variable holds no address."""
        for name in sorted(os.environ):
            if name.startswith(_ENDPOINT_URL) and os.environ[name]:
                _check_address(name, os.environ[name])
        from botocore.config import Config

        library = Config(user_agent_extra=f"lib/{PRODUCT}#{product_version()}")
        config = (config or self._config).merge(library)
        if not os.environ.get(_APPLICATION):
            config = config.merge(Config(user_agent_appid=self.command))  # type: ignore[call-arg]
        try:
            # A session is not thread-safe.
            with _SESSION_LOCK:
                return self._session.client(service, config=config)  # type: ignore[call-overload]
        except ValueError as error:
            # A wrong address in a configuration file. Some of AWS's own errors are ValueErrors as well.
            if isinstance(error, BotoCoreError):
                raise
            raise NoAnswerError(str(error)) from None

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """Client that lists the resources of stacks."""
        client: CloudFormationClient = self.client("cloudformation")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """Client for manifests and archives."""
        client: S3Client = self.client("s3")
        return client

    @cached_property
    def service(self) -> SageMakerPort:
        """SageMaker's endpoints and components."""
        from botocore.config import Config

        from adapter_fleet.aws.sagemaker_service import SageMakerService

        # A command may read the tags of thousands of components. After a throttle botocore sends no faster
        # than the service allows.
        paced = self._config.merge(Config(retries={"mode": "adaptive", "total_max_attempts": 10}))
        return SageMakerService(
            sagemaker=self.client("sagemaker", paced),
            runtime=self.client("sagemaker-runtime"),
            s3=self.s3,
            cloudformation=self.cloudformation,
        )

    @property
    def runtime_url(self) -> str:
        """Address of SageMaker's runtime API. Raises NoRegionError without a region."""
        url: str = self.client("sagemaker-runtime").meta.endpoint_url
        return url.rstrip("/")

    def bearer_auth(self, lifetime: timedelta) -> "BearerAuth":
        """Return what signs bearer tokens with this account's credentials.

        Raises NoCredentialsError or NoRegionError without credentials or a region.
        """
        from adapter_fleet.openai.bearer_auth import BearerAuth

        return BearerAuth(self._session, lifetime=lifetime)

    @cached_property
    def machines(self) -> "SFNClient":
        """Client that starts the state machines of fleets."""
        client: SFNClient = self.client("stepfunctions")
        return client

    def registry(self, table: str) -> Registry:
        """Return the registry in a table."""
        return Registry(table, self.client("dynamodb"))

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def account_of(context: typer.Context) -> Account:
    """Return the account of a command's run."""
    account: Account = context.ensure_object(Account)
    if context.parent is not None:
        account.command = f"adapters-{context.info_name}"
    return account


def _check_address(name: str, value: str) -> None:
    """Raise NoAnswerError if a variable holds no address. botocore reads the port only when it sends."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise NoAnswerError(f"{name} should be an address such as 'https://host:4566', got {value!r}")


QUOTA_SERVICE = "sagemaker"


def find_quota(client: Any, matches: Callable[[str], bool]) -> dict[str, Any] | None:
    """Return the quota whose name matches: the account's own value, or else AWS's default one."""
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode=QUOTA_SERVICE):
            for quota in page["Quotas"]:
                if matches(quota["QuotaName"]):
                    return dict(quota)
    return None


def is_component_quota(name: str) -> bool:
    """Return True for the quota of components on one endpoint.

    [I] AWS publishes neither its name nor a number. ResourceLimitExceeded quotes such names.
    """
    words = name.lower()
    return "inference component" in words and "endpoint" in words
