"""IAM for SageMaker: actions and resources of calls, tags in conditions, roles that the service assumes."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import boto3
import ministack.app
from botocore.config import Config
from ministack.core import iam_actions, iam_evaluator, router
from ministack.services import iam, sts, tagging

from local_sagemaker.errors import ApiError, HostingError
from local_sagemaker.ministack_patches.internals import expect, expect_names, replaces

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_SERVICE = "sagemaker"
_SERVICE_PRINCIPAL = "sagemaker.amazonaws.com"

# Kinds of resources by the noun in the names of operations and request members, the longest noun first.
_RESOURCES = (
    ("InferenceComponent", "inference-component"),
    ("EndpointConfig", "endpoint-config"),
    ("Endpoint", "endpoint"),
    ("Model", "model"),
)

# The second resource of an operation: kind, and request member [V service authorization reference: the
# required resource types of each action].
_FURTHER_RESOURCES = {
    "CreateInferenceComponent": ("endpoint", "EndpointName"),
    "CreateEndpoint": ("endpoint-config", "EndpointConfigName"),
    "UpdateEndpoint": ("endpoint-config", "EndpointConfigName"),
}

TaggedResources = Callable[[], Iterable[tuple[str, dict[str, str]]]]


@dataclass(frozen=True)
class Credentials:
    """Keys for calls of the emulated APIs."""

    access_key: str
    secret_key: str
    session_token: str | None = None


def install(tagged_resources: TaggedResources) -> None:
    """Add SageMaker's actions and ARNs to ministack, which otherwise enforces nothing for SageMaker."""
    expect(_SERVICE not in iam_actions.SERVICE_TO_IAM_NAMESPACE, "IAM does not know SageMaker")
    expect_names(iam_actions, "_BOTOCORE_SERVICE_MAP", "request_tag_context")
    expect_names(tagging, "_RESOURCE_TAG_COLLECTORS")
    expect_names(iam_evaluator, "enforce", "_action_matches", "_service_principal_matches")
    expect_names(iam, "_roles")
    expect_names(sts, "register_session")
    iam_actions.SERVICE_TO_IAM_NAMESPACE[_SERVICE] = _SERVICE
    iam_actions._BOTOCORE_SERVICE_MAP[_SERVICE] = [_SERVICE, "sagemaker-runtime"]

    @replaces(iam_actions, "extract_resource_arn")
    def extract_for_sagemaker(extract: Any, service: str, *call: Any) -> Any:
        if service != _SERVICE:
            return extract(service, *call)
        _method, path, headers, body, _query, region, account = call
        return resource_arn(path, headers.get("x-amz-target", ""), body, region=region, account=account)

    # A generator, since ministack stops at the resource that it needs, and there may be a thousand.
    tagging._RESOURCE_TAG_COLLECTORS[_SERVICE] = lambda: (
        (arn, [{"Key": key, "Value": value} for key, value in tags.items()])
        for arn, tags in tagged_resources()
    )


def resource_arn(path: str, target: str, body: bytes, *, region: str, account: str) -> str:
    """The ARN of the resource of a call, "*" for listings."""

    def arn(kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{region}:{account}:{kind}/{name.lower()}"

    invoked = re.match(r"/endpoints/([^/]+)/", path)
    if invoked:
        return arn("endpoint", unquote(invoked[1]))
    request = _request(body)
    if "ResourceArn" in request:
        return str(request["ResourceArn"])
    operation = target.rpartition(".")[2]
    for noun, kind in _RESOURCES:
        if noun in operation and isinstance(request.get(f"{noun}Name"), str):
            return arn(kind, request[f"{noun}Name"])
    return "*"


def further_permissions(
    operation: str, body: bytes, *, region: str, account: str
) -> Iterator[tuple[str, str]]:
    """Yield the further permissions that a call needs: pairs of action and ARN."""
    request = _request(body)
    kind, member = _FURTHER_RESOURCES.get(operation, ("", ""))
    if isinstance(request.get(member), str):
        yield operation, f"arn:aws:sagemaker:{region}:{account}:{kind}/{request[member].lower()}"
    if operation.startswith("Create") and request.get("Tags"):
        # [V service authorization reference] AddTags is a dependent action of each Create... that takes tags.
        yield "AddTags", resource_arn("", operation, body, region=region, account=account)


def _request(body: bytes) -> dict[str, Any]:
    """The request of a body; empty if it is no JSON object, which the operation refuses later."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def request_context(operation: str, body: bytes) -> dict[str, Any]:
    """The condition keys of a control-plane request: aws:RequestTag/... and aws:TagKeys."""
    context: dict[str, Any] = iam_actions.request_tag_context(_SERVICE, f"{_SERVICE}:{operation}", body, {})
    # [V service authorization reference] The call that adds the tags.
    return context | {"sagemaker:TaggingAction": operation}


def authorize(
    headers: Mapping[str, str],
    query: Mapping[str, Any],
    action: str,
    arn: str,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Check a permission that ministack has not checked; ApiError if it is denied.

    context has the condition keys of the request.
    """
    if not ministack.app.AUTH:
        return
    denied = iam_evaluator.enforce(
        router.extract_access_key_id(headers, query),
        f"{_SERVICE}:{action}",
        _SERVICE,
        router.extract_region(headers, query),
        resource_arn=arn,
        service_context=dict(context or {}),
    )
    if denied is None:
        return
    if isinstance(denied, iam_evaluator.AuthError):
        raise ApiError(denied.code, denied.message, status=403)
    why = (
        "with an explicit deny in an identity-based policy"
        if denied.decision == "Deny"
        else f"because no identity-based policy allows the {_SERVICE}:{action} action"
    )
    raise ApiError(
        "AccessDeniedException",
        f"User: {denied.principal_arn} is not authorized to perform: {_SERVICE}:{action} on resource: "
        f"{arn} {why}",
        status=403,
    )


def assume(role_arn: str, account: str) -> Credentials:
    """Credentials of a role that SageMaker assumes; HostingError if the role does not trust SageMaker.

    Without IAM enforcement, these are the account's own keys.
    """
    if not ministack.app.AUTH:
        return Credentials(account, "test")
    role_account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(role_account, None, name)
    if role is None or not _trusts_sagemaker(role["AssumeRolePolicyDocument"]):
        # [T] The sentence as users quote it.
        raise HostingError(
            f'Could not assume role "{role_arn}". Please ensure that the role exists and that its trust '
            'relationship policy allows the action "sts:AssumeRole" for the service principal '
            f'"{_SERVICE_PRINCIPAL}".'
        )
    return role_session(role_arn, "SageMaker")


def role_session(role_arn: str, name: str) -> Credentials:
    """The credentials of a session of a role, always the same ones."""
    digest = hashlib.sha256(f"{role_arn}:{name}".encode()).hexdigest()
    credentials = Credentials(f"ASIA{digest[:16].upper()}", f"secret-{digest}", f"token-{digest}")
    role = role_arn.rpartition("/")[2]
    sts.register_session(
        credentials.access_key,
        {
            "Arn": f"arn:aws:sts::{role_arn.split(':')[4]}:assumed-role/{role}/{name}",
            "UserId": f"{role}:{name}",
            "SecretAccessKey": credentials.secret_key,
            "SessionToken": credentials.session_token,
        },
    )
    return credentials


def _trusts_sagemaker(document: str | dict[str, Any]) -> bool:
    policy = json.loads(document) if isinstance(document, str) else document
    for statement in _as_list(policy["Statement"]):
        assumes = iam_evaluator._action_matches(
            "sts:AssumeRole", _as_list(statement.get("Action", [])), _as_list(statement.get("NotAction", []))
        )
        trusted = iam_evaluator._service_principal_matches(statement.get("Principal"), _SERVICE_PRINCIPAL)
        if statement["Effect"] == "Allow" and assumes and trusted:
            return True
    return False


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class S3Access:
    """S3 clients of one account and region, one for each role. Thread-safe."""

    def __init__(self, endpoint_url: str, account: str, region: str):
        self._endpoint_url = endpoint_url
        self._account = account
        self._session = boto3.session.Session(region_name=region)
        self._clients: dict[Credentials, S3Client] = {}
        # boto3's clients are thread-safe, its sessions are not.
        self._lock = threading.Lock()

    def as_role(self, role: str) -> "S3Client":
        """A client that acts as a role; HostingError if the role does not trust SageMaker."""
        credentials = assume(role, self._account)
        with self._lock:
            if credentials not in self._clients:
                self._clients[credentials] = self._session.client(
                    "s3",
                    endpoint_url=self._endpoint_url,
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.session_token,
                    config=Config(s3={"addressing_style": "path"}),
                )
            return self._clients[credentials]
