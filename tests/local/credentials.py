"""Users of a cloud that enforces IAM, and bearer tokens, made without the code of the product."""

import base64
import datetime
import json
import time
from collections.abc import Callable
from typing import Any

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PREFIX = "sagemaker-api-key-"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resources: str | list[str], **conditions: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": conditions} if conditions else {})


def make_keys(iam: Any, *statements: dict[str, Any]) -> tuple[str, str]:
    """Make a user with policy statements; return its key and its secret."""
    name = f"user-{time.monotonic_ns()}"
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def make_user(iam: Any, client: Callable[..., Any], *statements: dict[str, Any]) -> Callable[[str], Any]:
    """Make a user with policy statements; return what makes the user's clients."""
    key, secret = make_keys(iam, *statements)
    return lambda service: client(service, aws_access_key_id=key, aws_secret_access_key=secret)


class _SignerOfAnyTime(SigV4QueryAuth):
    def sign(self, request: Any, signed: datetime.datetime) -> None:
        """Do what `add_auth` does, at another time."""
        request.context["timestamp"] = f"{signed:%Y%m%dT%H%M%SZ}"
        self._modify_request_before_signing(request)  # type: ignore[attr-defined] # the stubs leave it out
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(  # type: ignore[attr-defined]
            request, self.signature(text, request)
        )


def signed_request(
    *keys: str,
    region: str = "us-east-1",
    service: str = "sagemaker",
    host: str = "sagemaker.amazonaws.com",
    action: str = "CallWithBearerToken",
    expires: int = 900,
    seconds_ago: float = 0,
    **more: str,
) -> str:
    """Return the presigned request of a token; the defaults are right.

    keys are the access key, the secret and the session token; none are the cloud's own.
    """
    request: Any = AWSRequest(
        method="POST", url=f"https://{host}/", headers={"host": host}, params={"Action": action, **more}
    )
    signed = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    credentials = Credentials(*(keys or ("000000000000", "test")))
    _SignerOfAnyTime(credentials, service, region, expires=expires).sign(request, signed)
    return f"{request.url.removeprefix('https://')}&Version=1"


def encoded(request: str) -> str:
    return PREFIX + base64.b64encode(request.encode()).decode()


def bearer_token(*keys: str, **options: Any) -> str:
    """Return a token; the arguments are those of `signed_request`."""
    return encoded(signed_request(*keys, **options))
