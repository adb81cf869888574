"""Checks of the KMS key of `[encryption]`: that it can be used, and what its policy has to allow."""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment

_SERVICE_ACTION = "kms:GenerateDataKey"
_USAGE = ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT")


def check_key(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look at the state of the key, and at its policy."""
    check, encryption = Check("key"), deployment.environment.encryption
    if encryption is None:
        yield check.ok("no key of the account is used")
        return
    key, region = encryption.key_arn, deployment.region
    if (of_key := key.split(":")[3]) != region:
        yield check.error(
            f"the key should be in {region}, got one in {of_key}", f"aws kms list-keys --region {region}"
        )
        return
    try:
        found = deployment.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
        yield check.error(f"there is no key {key}", f"aws kms list-keys --region {region}")
        return
    yield _unusable(check, key, found, region) or _policy_finding(check, deployment, key)


def _unusable(check: Check, key: str, found: Mapping[str, Any], region: str) -> CheckOutcome | None:
    state = found["KeyState"]
    if state == "PendingDeletion":
        remedy = f"aws kms cancel-key-deletion --key-id {key} --region {region}"
        return check.error(f"the key {key} should be enabled, got {state}", remedy)
    if state != "Enabled":
        remedy = f"aws kms enable-key --key-id {key} --region {region}"
        return check.error(f"the key {key} should be enabled, got {state}", remedy)
    usage = (found.get("KeyUsage"), found.get("KeySpec", _USAGE[1]))
    if usage != _USAGE:
        return check.error(
            f"the key {key} should be symmetric and encrypt, got {' and '.join(map(str, usage))}",
            f"aws kms create-key --region {region}",
        )
    return None


def _policy_finding(check: Check, deployment: Deployment, key: str) -> CheckOutcome:
    """Return an error if the key's policy lacks what the guide to security says."""
    policy = json.loads(deployment.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    statements = [
        statement for statement in _listed(policy.get("Statement")) if statement.get("Effect") == "Allow"
    ]
    region, account = deployment.region, deployment.account_id
    root = f"arn:{deployment.partition}:iam::{account}:root"
    who = {
        "CloudWatch Logs": _lets_service(statements, ("logs.amazonaws.com", f"logs.{region}.amazonaws.com")),
        "EventBridge": _lets_service(statements, ("events.amazonaws.com",)),
        "the roles of the account": any(
            {"*", root, account} & set(_principals(statement, "AWS")) and _allows(statement, "kms:Decrypt")
            for statement in statements
        ),
    }
    lacking = [name for name, allowed in who.items() if not allowed]
    if not lacking:
        return check.ok(f"{key} is enabled, and its policy lets the stack use it")
    return check.error(
        f"the policy of the key {key} does not let {' and '.join(lacking)} use it"
        " (the guide 'Security' has its statements)",
        _edit_policy(key, region),
    )


def _edit_policy(key: str, region: str) -> str:
    """Return the command that reads the policy of a key into a file, edits it and writes it."""
    options = f"--key-id {key} --policy-name default --region {region}"
    return (
        f"aws kms get-key-policy {options} --query Policy --output text > policy.json &&"
        f' "${{EDITOR:-vi}}" policy.json && aws kms put-key-policy {options} --policy file://policy.json'
    )


def _lets_service(statements: list[Any], services: tuple[str, ...]) -> bool:
    return any(
        {"*", *services} & set(_principals(statement, "Service")) and _allows(statement, _SERVICE_ACTION)
        for statement in statements
    )


def _principals(statement: Mapping[str, Any], kind: str) -> list[str]:
    principal = statement.get("Principal")
    return _listed(principal.get(kind)) if isinstance(principal, dict) else _listed(principal)


def _allows(statement: Mapping[str, Any], action: str) -> bool:
    patterns = (str(pattern).lower() for pattern in _listed(statement.get("Action")))
    return any(fnmatchcase(action.lower(), pattern) for pattern in patterns)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
