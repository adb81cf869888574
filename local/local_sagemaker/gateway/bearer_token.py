"""The bearer tokens of the OpenAI path: a presigned request in Base64, with the keys of the caller.

[V developer guide, realtime-endpoints-openai-compatible; sagemaker-core, token_generator.py] A token is
`sagemaker-api-key-` and, in Base64, `sagemaker.amazonaws.com/?Action=CallWithBearerToken&X-Amz-…&Version=1`.
The request is a POST without a body, presigned for 1 second to 12 hours. `Version` is added after signing.

[I] The words of the refusals are those of Amazon Bedrock, which takes the same tokens with another prefix.
"""

import base64
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from ministack.core import iam_evaluator, sigv4

from local_sagemaker.errors import ApiError
from local_sagemaker.ministack_patches.internals import expect_names

PREFIX = "sagemaker-api-key-"

_HOST = "sagemaker.amazonaws.com"
_FIXED = {
    "Action": "CallWithBearerToken",
    "Version": "1",
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-SignedHeaders": "host",
}
_SESSION_TOKEN = "X-Amz-Security-Token"
_NAMES = {*_FIXED, "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"}
_SIGNATURE = re.compile("[0-9a-f]{64}")
_LONGEST_SECONDS = 12 * 3600
# [I] The service's clock may be behind the caller's by as much as for other signatures.
_CLOCK_SKEW = datetime.timedelta(minutes=5)


def check_internals() -> None:
    """Raise UnknownMinistackError if ministack's functions for signatures are not there."""
    expect_names(sigv4, "parse_query_signature", "header_signature_failure")
    expect_names(iam_evaluator, "resolve_credential", "CredentialResolutionError")


@dataclass(frozen=True)
class BearerToken:
    """A token that has the form of one; `verify` checks its signature.

    query is the query of the presigned request, as parse_qs returns it.
    """

    query: Mapping[str, list[str]]
    access_key: str
    region: str
    signed: datetime.datetime
    expires: datetime.datetime

    @classmethod
    def parse(cls, authorization: str | None) -> "BearerToken":
        """Return the token of an Authorization header; ApiError if it has none, or one without the form."""
        if not authorization:
            raise _refusal("Authorization header is missing")
        scheme, _, text = authorization.partition(" ")
        # [T] A request with a signature of its own, instead of a token, is answered with 403.
        if scheme.lower() != "bearer" or not text.startswith(PREFIX):
            raise _refusal("Invalid API Key format: Must start with pre-defined prefix")
        try:
            return cls._of_request(base64.b64decode(text.removeprefix(PREFIX), validate=True).decode())
        except (ValueError, OverflowError) as error:
            raise _invalid() from error

    @classmethod
    def _of_request(cls, request: str) -> "BearerToken":
        """Return the token of a presigned request.

        ValueError if it is not for bearer tokens, OverflowError if it would expire after the year 9999.
        """
        address, _, text = request.partition("?")
        query = parse_qs(text, keep_blank_values=True, strict_parsing=True)
        values = {name: found[0] for name, found in query.items() if len(found) == 1}
        if address != f"{_HOST}/" or len(values) != len(query) or values.keys() - {_SESSION_TOKEN} != _NAMES:
            raise ValueError(request)
        access_key, date, region, service, end = values["X-Amz-Credential"].split("/")
        signed = datetime.datetime.strptime(f"{values['X-Amz-Date']}+0000", "%Y%m%dT%H%M%SZ%z")
        seconds = int(values["X-Amz-Expires"])
        if any(values[name] != value for name, value in _FIXED.items()) or not (
            (service, end) == ("sagemaker", "aws4_request")
            and date == f"{signed:%Y%m%d}"
            and 1 <= seconds <= _LONGEST_SECONDS
            and _SIGNATURE.fullmatch(values["X-Amz-Signature"])
        ):
            raise ValueError(request)
        return cls(query, access_key, region, signed, signed + datetime.timedelta(seconds=seconds))

    def verify(self, account: str) -> None:
        """Check the time and the signature; ApiError if either is wrong.

        account is the account of the access key.
        """
        now = datetime.datetime.now(datetime.UTC)
        if now > self.expires:
            raise _expired()
        session_token = self.query.get(_SESSION_TOKEN, [""])[0]
        credential = iam_evaluator.resolve_credential(self.access_key, account, session_token)
        if isinstance(credential, iam_evaluator.CredentialResolutionError):
            # [V] A token lives no longer than the credentials that signed it.
            raise _expired() if credential.code == "ExpiredTokenException" else _invalid()
        signed_query = {name: values for name, values in self.query.items() if name != "Version"}
        failure = sigv4.header_signature_failure(
            sigv4.parse_query_signature(signed_query),
            credential.secret_access_key,
            "POST",
            "/",
            signed_query,
            {"host": _HOST},
            b"",
            presigned=True,
        )
        if failure is not None or self.signed > now + _CLOCK_SKEW:
            raise _invalid()


def _invalid() -> ApiError:
    return _refusal("Authentication failed: Please make sure your API Key is valid.")


def _expired() -> ApiError:
    return _refusal("Bearer Token has expired")


def _refusal(message: str) -> ApiError:
    return ApiError("AccessDeniedException", message, status=403)
