"""The `openai` client talks to the adapter that its role may call, and to no other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.local_fleet import LocalFleet

CLIENT = Path(__file__).resolve().parents[1] / "client.py"
QUESTION = "Grace from Lima wants a refund for the keyboard. Thank you."


@pytest.fixture(scope="module")
def service(local_fleet: LocalFleet) -> dict[str, str]:
    """The environment of a process that has the service's role."""
    cloud = local_fleet.cloud
    role = local_fleet.outputs["ServiceRole"]
    keys = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        **cloud.environment,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
        # boto3 has a variable of its own for the certificate authority; other clients have this one.
        "SSL_CERT_FILE": cloud.environment["AWS_CA_BUNDLE"],
    }


def ask(fleet: LocalFleet, name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the client with the address that `adapters describe` shows."""
    model = fleet.outputs[f"{name}Model"]
    found = run(fleet.cloud.environment, "-m", "adapters_cli", "describe", "-c", model, "--json")
    return run(environment, str(CLIENT), json.loads(found.stdout)["base_url"], model, QUESTION)


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_client_streams_the_answer_of_the_adapter(local_fleet: LocalFleet, service: dict[str, str]) -> None:
    done = ask(local_fleet, "Summary", service)
    assert done.stdout.strip() == "Customer Grace from Lima has a billing problem with the keyboard.", (
        done.stderr
    )


def test_adapter_that_was_not_granted_refuses(local_fleet: LocalFleet, service: dict[str, str]) -> None:
    done = ask(local_fleet, "Shout", service)
    assert done.returncode != 0
    assert "PermissionDeniedError" in done.stderr
