"""Who may use the admin paths."""

from __future__ import annotations

import httpx
import pytest

from local_sagemaker.admin import AdminClient
from local_sagemaker.http_guards.admin_guard import TOKEN_VARIABLE
from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, boto_client
from tests.local.stacks import functions


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/_local/settings"),
        ("GET", "/_local"),
        ("GET", "/%5Flocal/settings"),
        ("GET", "/_local%2Fsettings"),
        ("POST", "/_ministack/reset"),
        ("GET", "/_localstack/health"),
        ("GET", "/_ministack/cfn-response/one"),
        ("POST", "/_ministack/lambda-code/000000000000/us-east-1/one"),
    ],
)
def test_admin_path_is_refused_without_the_token(cloud: LocalCloud, method: str, path: str) -> None:
    answer = httpx.request(method, cloud.url + path)
    assert answer.status_code == 401
    assert f"the value of {TOKEN_VARIABLE} that local-sagemaker printed" in answer.json()["message"]


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", "Basic {}", "{}", "bearer {}x"])
def test_admin_path_is_refused_with_anything_but_the_token(cloud: LocalCloud, sent: str) -> None:
    headers = {"Authorization": sent.format(cloud.token)}
    assert httpx.get(f"{cloud.url}/_local/settings", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/_local/settings", "/_ministack/health"])
def test_admin_path_is_answered_with_the_token(cloud: LocalCloud, path: str) -> None:
    answer = httpx.get(cloud.url + path, headers={"Authorization": f"Bearer {cloud.token}"})
    assert (answer.status_code, type(answer.json())) == (200, dict)


def test_client_with_the_token_of_another_cloud_is_told_which_it_needs(cloud: LocalCloud) -> None:
    admin = AdminClient(cloud.url, "another")
    for call in (admin.settings, admin.clear_faults, lambda: admin.scale_waits(1)):
        with pytest.raises(PermissionError, match=TOKEN_VARIABLE):
            call()


@pytest.mark.integration
def test_no_function_and_no_client_inherits_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "of-another-cloud")
    with LocalCloud(settings=QUICK) as cloud:
        assert TOKEN_VARIABLE not in cloud.environment
        lambda_ = boto_client(cloud, "lambda")
        for function in functions(lambda_):
            arn = function("import os\ndef handler(event, context): return dict(os.environ)")
            said = lambda_.invoke(FunctionName=arn)["Payload"].read().decode()
            assert cloud.url in said
            assert cloud.token not in said
            assert TOKEN_VARIABLE not in said
