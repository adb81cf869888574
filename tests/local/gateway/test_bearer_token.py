"""Bearer tokens: their form, and what no token may do. `test_iam.py` has the checks over HTTP."""

import datetime
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ministack.services import sts

from local_sagemaker.errors import ApiError
from local_sagemaker.gateway.bearer_token import BearerToken
from tests.local.credentials import PREFIX, bearer_token, encoded, signed_request

NO_PREFIX = "Invalid API Key format: Must start with pre-defined prefix"
ACCOUNT = "000000000000"
PARTS = dict(parse_qsl(signed_request(expires=43_200).partition("?")[2]))
INVALID = "Authentication failed: Please make sure your API Key is valid."


def changed(old: str, new: str) -> str:
    """Return a token whose request has another text in the place of one that it has."""
    request = signed_request()
    assert old in request
    return encoded(request.replace(old, new))


def test_token_says_its_key_its_region_and_its_time() -> None:
    token = BearerToken.parse(f"bearer {bearer_token('key', 'secret', region='eu-west-1', expires=43_200)}")
    assert (token.access_key, token.region) == ("key", "eu-west-1")
    assert token.expires - token.signed == datetime.timedelta(hours=12)
    assert abs(datetime.datetime.now(datetime.UTC) - token.signed) < datetime.timedelta(seconds=30)


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host",
        "Bearer sk-of-openai",
        f"Basic {PREFIX}",
        "Bearer",
        "Bearer bedrock-api-key-AAAA",
    ],
)
def test_anything_but_a_bearer_token_is_refused(authorization: str) -> None:
    assert refusal(authorization) == NO_PREFIX
    assert refusal("") == "Authorization header is missing"


@pytest.mark.parametrize(
    "make",
    [
        lambda: PREFIX,
        lambda: f"{PREFIX}no Base64!",
        lambda: f"{PREFIX}gICA",  # its bytes are no UTF-8
        lambda: encoded("sagemaker.amazonaws.com/"),
        lambda: encoded("sagemaker.amazonaws.com/?Action=CallWithBearerToken&Version=1"),
        lambda: encoded(signed_request().removesuffix("&Version=1")),
        lambda: encoded(signed_request() + "&Version=1"),
        lambda: encoded(f"https://{signed_request()}"),
        lambda: bearer_token(service="bedrock"),
        lambda: bearer_token(host="sagemaker.us-east-1.amazonaws.com"),
        lambda: bearer_token(action="DescribeEndpoint"),
        lambda: bearer_token(expires=0),
        lambda: bearer_token(expires=43_201),
        lambda: bearer_token(EndpointName="other"),
        lambda: changed("Version=1", "Version=2"),
        lambda: changed("SignedHeaders=host", "SignedHeaders=host%3Bdate"),
        lambda: changed("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        lambda: changed("aws4_request", "aws4"),
        lambda: changed("X-Amz-Expires=900", "X-Amz-Expires=long"),
        lambda: changed("X-Amz-Date=2", "X-Amz-Date=1"),
        lambda: changed("X-Amz-Date=", "X-Amz-Date=99"),
        lambda: changed("X-Amz-Signature=", "X-Amz-Signature=0"),
    ],
)
def test_token_of_another_form_or_for_anything_else_is_refused(make: Callable[[], str]) -> None:
    assert refusal(f"Bearer {make()}") == INVALID


def request_of(parts: Mapping[str, str]) -> str:
    """Return the presigned request of a token, with other parts in the place of its own."""
    return f"sagemaker.amazonaws.com/?{urlencode({**PARTS, **parts})}"


LAST_SECOND = {
    "X-Amz-Date": "99991231T235959Z",
    "X-Amz-Credential": f"{ACCOUNT}/99991231/us-east-1/sagemaker/aws4_request",
    "X-Amz-Expires": "43200",
}
ANY_PARTS = st.fixed_dictionaries({}, optional={name: st.text() for name in PARTS})


@given(st.text() | ANY_PARTS.map(request_of))
@example(request_of({}))
@example(request_of(LAST_SECOND))
@example(request_of({"X-Amz-Signature": "\u00e9" * 64}))
@example(request_of({"X-Amz-Signature": ""}))
def test_any_token_is_taken_or_refused_and_nothing_else(request_text: str) -> None:
    status = 200
    try:
        BearerToken.parse(f"Bearer {encoded(request_text)}").verify(ACCOUNT)
    except ApiError as error:
        status = error.status
    assert status == (200 if request_text == request_of({}) else 403)


def test_token_lives_as_long_as_the_credentials_that_signed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = {
        "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Caller/chat",
        "UserId": "Caller:chat",
        "SecretAccessKey": "secret",
        "SessionToken": "session",
    }
    token = BearerToken.parse(f"Bearer {bearer_token('ASIACALLER', 'secret', 'session')}")
    monkeypatch.setitem(sts._sessions, "ASIACALLER", session | {"Expiration": time.time() + 60})
    token.verify(ACCOUNT)
    for keys in (
        ("ASIACALLER", "guessed", "session"),
        ("ASIACALLER", "secret"),
        ("ASIACALLER", "secret", "another"),
        ("AKIAUNKNOWN", "secret"),
        (ACCOUNT, "guessed"),
    ):
        with pytest.raises(ApiError, match=INVALID):
            BearerToken.parse(f"Bearer {bearer_token(*keys)}").verify(ACCOUNT)
    expired = BearerToken.parse(f"Bearer {bearer_token(seconds_ago=3, expires=1)}")
    monkeypatch.setitem(sts._sessions, "ASIACALLER", session | {"Expiration": time.time() - 1})
    for too_old in (token, expired):
        with pytest.raises(ApiError, match="Bearer Token has expired"):
            too_old.verify(ACCOUNT)
    with pytest.raises(ApiError, match=INVALID):
        BearerToken.parse(f"Bearer {bearer_token(seconds_ago=-600)}").verify(ACCOUNT)


def refusal(authorization: str) -> str:
    with pytest.raises(ApiError) as refused:
        BearerToken.parse(authorization)
    assert (refused.value.code, refused.value.status) == ("AccessDeniedException", 403)
    return refused.value.message
