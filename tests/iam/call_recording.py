"""Records the permissions that calls use, and the statements of the caller's policies that give them.

With a recording, the functions act as their roles even where IAM is not enforced. Nothing is denied then: a
permission that no statement gives is recorded without one.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ministack
import ministack.app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, responses, router
from ministack.services import iam as ministack_iam
from ministack.services import lambda_svc, tagging

from local_sagemaker.gateway import iam
from local_sagemaker.ministack_patches.internals import expect, replace_everywhere

# [V botocore] How a client with `user_agent_appid` names its application.
_APPLICATION = re.compile(r"\bapp/(\S+)")
_DENIED = 403


def record_calls(path: Path) -> None:
    """Append a line of JSON to a file for each new kind of permission that a call uses.

    Its members: `principal` is the name of a role or user, and is missing for the root user. `policies` are a
    role's inline policies. `application` is what the client calls itself. `action` and `resource` are the
    permission, the first of its kind. `grants` are pairs of a statement's resource and its conditions.
    """
    for module, name in (
        (ministack.app, "_routing_params"),
        (iam_actions, "extract_iam_action"),
        (iam_actions, "dynamodb_resource_arns"),
        (iam_actions, "dynamodb_service_context"),
        (iam_actions, "dynamodb_transaction_checks"),
        (iam_actions, "s3_additional_checks"),
        (iam_actions, "s3_service_context"),
        (iam_evaluator, "EvalContext"),
        (iam_evaluator, "_first_match"),
        (iam_evaluator, "_resource_matches"),
        (iam_evaluator, "resolve_principal"),
        (lambda_runtime, "execution_credentials"),
        (lambda_svc, "execution_credentials"),
        (tagging, "resource_tags"),
    ):
        expect(hasattr(module, name), f"{module.__name__}.{name} exists")
    recording = _Recording(path)
    for service, handler in ministack.app.SERVICE_HANDLERS.items():
        ministack.app.SERVICE_HANDLERS[service] = functools.partial(_handle, recording, service, handler)
    known = iam.authorize

    def authorize(
        headers: Mapping[str, str],
        query: Mapping[str, Any],
        action: str,
        arn: str,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        known(headers, query, action, arn, context)
        caller, name = _caller(headers, query), f"sagemaker:{action}"
        if caller is not None:
            recording.add(caller, name, arn, _grants(caller.principal, name, arn, dict(context or {})))

    iam.authorize = authorize
    if not ministack.app.AUTH:
        replace_everywhere(ministack, lambda_runtime.execution_credentials, _role_credentials)


async def _handle(
    recording: "_Recording",
    service: str,
    handler: Any,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, Any],
) -> Any:
    caller = _caller(headers, query)
    if caller is None:
        return await handler(method, path, headers, body, query)
    # Before the call, which may make the object that was missing, or change tags.
    used = [
        (action, arn, _grants(caller.principal, action, arn, context))
        for action, arn, context in _permissions(service, method, path, headers, body, query)
    ]
    answer = await handler(method, path, headers, body, query)
    if answer[0] != _DENIED:
        for action, arn, grants in used:
            recording.add(caller, action, arn, grants)
    return answer


def _permissions(
    service: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, Any],
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the permissions that ministack checks for a call: action, ARN and condition keys."""
    account, region = responses.get_account_id(), responses.get_region()
    parameters = ministack.app._routing_params(method, path, headers, body, query)
    action = iam_actions.extract_iam_action(service, method, path, headers, body, parameters)
    if action is None:
        return
    context: dict[str, Any] = iam_actions.request_tag_context(service, action, body, parameters)
    arn = iam_actions.extract_resource_arn(service, method, path, headers, body, parameters, region, account)
    if service == "dynamodb":
        context |= iam_actions.dynamodb_service_context(body)
        items = iam_actions.dynamodb_transaction_checks(action, body, region, account)
        arns = iam_actions.dynamodb_resource_arns(body, region, account) or [arn]
        for one, of in items or [(action, each) for each in arns]:
            yield one, of, context
        return
    if service == "s3":
        context |= iam_actions.s3_service_context(action, query, path, headers)
        for one, of in iam_actions.s3_additional_checks(method, path, headers, body, parameters):
            yield one, of, {}
    if service == "sagemaker":
        operation = action.partition(":")[2]
        context = iam.request_context(operation, body)
        for one, of in iam.further_permissions(operation, body, region=region, account=account):
            yield f"sagemaker:{one}", of, context
    yield action, arn, context


@dataclass(frozen=True)
class _Caller:
    """Who calls: ministack's principal, and what a recording says of it."""

    principal: Any
    names: dict[str, Any]


def _caller(headers: Mapping[str, str], query: Mapping[str, Any]) -> _Caller | None:
    """Return who calls; None for the root user without the name of an application, and for no one."""
    found = _APPLICATION.search(headers.get("user-agent", ""))
    names: dict[str, Any] = {"application": found[1] if found else ""}
    key = router.extract_access_key_id(headers, query)
    principal = iam_evaluator.resolve_principal(key, responses.get_account_id())
    if isinstance(principal, iam_evaluator.AuthError) or (principal.policies is None and not found):
        return None
    return _Caller(principal, names if principal.policies is None else names | _names(principal.arn))


class _Recording:
    def __init__(self, path: Path):
        self._path = path
        self._known: set[str] = set()

    def add(self, caller: _Caller, action: str, arn: str, grants: list[list[Any]]) -> None:
        """Record a permission that a call used, unless one of its kind is there."""
        kind = json.dumps([caller.names, action, _shape(arn), grants], sort_keys=True)
        if kind not in self._known:
            self._known.add(kind)
            line = caller.names | {"action": action, "resource": arn, "grants": grants}
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def _names(principal: str) -> dict[str, Any]:
    """The name of a role or user, and the names of a role's policies."""
    kind, name = principal.rpartition(":")[2].split("/")[:2]
    role = ministack_iam._roles.get_scoped(principal.split(":")[4], None, name)
    assumed = kind == "assumed-role" and role is not None
    return {"principal": name, "policies": sorted(role.get("InlinePolicies") or {}) if assumed else []}


def _grants(principal: Any, action: str, arn: str, context: dict[str, Any]) -> list[list[Any]]:
    """The statements that give a permission: for each, a matching resource and its conditions."""
    statements = [statement for policy in principal.policies or [] for statement in policy]
    keys = {name.lower(): value for name, value in context.items()}
    keys.setdefault("aws:tagkeys", None)
    for name, value in (tagging.resource_tags(arn) or {}).items() if statements else ():
        keys.setdefault(f"aws:resourcetag/{name}".lower(), value)
    evaluated = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=arn,
        region=responses.get_region(),
        service_context=keys,
        principal_keys=principal.keys,
    )
    return [
        [resource, statement.conditions]
        for statement in statements
        if iam_evaluator._first_match(evaluated, [statement], "Allow")
        for resource in statement.resources
        if iam_evaluator._resource_matches(arn, [resource], [])
    ]


def _shape(arn: str) -> str:
    """What an ARN is about, without names."""
    resource = arn.split(":", 5)[-1]
    if arn.startswith("arn:aws:s3:"):
        return "object" if "/" in resource else "bucket"
    return re.split("[:/]", resource)[0]


def _role_credentials(config: Mapping[str, Any]) -> dict[str, str]:
    """The credentials of a function, as ministack makes them when it enforces IAM."""
    credentials = iam.role_session(str(config["Role"]), str(config["FunctionName"]))
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.session_token or "",
    }
