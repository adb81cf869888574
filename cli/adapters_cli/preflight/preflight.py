"""Runs every check of a deployment."""

from collections.abc import Callable, Iterator, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.aws_errors import message_of
from adapter_fleet.manifest.manifest_adapter import ManifestError
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.output.errors import CommandError, error_text
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.checks.account_setup import (
    check_bootstrap,
    check_names,
    check_stack,
    check_topic,
)
from adapters_cli.preflight.checks.encryption import check_key
from adapters_cli.preflight.checks.instances import check_instance_type, check_quota
from adapters_cli.preflight.checks.model import check_memory, check_model
from adapters_cli.preflight.checks.network import check_security_groups, check_subnets
from adapters_cli.preflight.checks.region import (
    check_container,
    check_image,
    check_resource_type,
    check_service,
)
from adapters_cli.preflight.checks.storage import check_buckets, check_objects
from adapters_cli.preflight.deployment import Deployment

CHECKS: Sequence[tuple[str, Callable[[Deployment], Iterator[CheckOutcome]]]] = (
    ("service", check_service),
    ("resource-type", check_resource_type),
    ("bootstrap", check_bootstrap),
    ("stack", check_stack),
    ("names", check_names),
    ("image", check_image),
    ("container", check_container),
    ("instance-type", check_instance_type),
    ("quota", check_quota),
    ("bucket", check_buckets),
    ("object", check_objects),
    ("model", check_model),
    ("memory", check_memory),
    ("key", check_key),
    ("topic", check_topic),
    ("network", check_subnets),
    ("security-groups", check_security_groups),
)
"""Each check by its id, in the order of a deployment."""


def check_deployment(deployment: Deployment) -> list[CheckOutcome]:
    """Return the findings of all checks. They run at the same time, and only read."""
    checks = dict(CHECKS)
    found = read_each(checks, lambda name: _findings(name, checks[name], deployment))
    return [finding for findings in found.values() for finding in findings]


def _findings(
    name: str, check: Callable[[Deployment], Iterator[CheckOutcome]], deployment: Deployment
) -> list[CheckOutcome]:
    """Return the findings of a check, and what kept it from going on."""
    found: list[CheckOutcome] = []
    try:
        for finding in check(deployment):
            found.append(finding)
    except (BotoCoreError, ClientError, CommandError, ManifestError, OSError) as error:
        found.append(Check(name).not_checked(_reason(error)))
    return found


def _reason(error: Exception) -> str:
    """Return the text of an error. Some of AWS's have none of their own."""
    named = isinstance(error, ClientError) and not message_of(error)
    return str(error) if named else error_text(error)
