"""LiteLLM's real proxy in front of a fleet with releases, as `adapters routes` configures it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
import urllib3
import yaml

from adapter_fleet.aws.adapter_routes import place_of
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import Releases
from tests.clients.environments import ROOT, Environment
from tests.integration.by_hand import adapters, prompts, until
from tests.integration.fleet_stack import Fleet, FleetStack

pytestmark = pytest.mark.timeout(1800)

SETTINGS: Mapping[str, Any] = {"releases": Releases(drain=cdk.Duration.seconds(80))}
KEYS = "tests.clients.litellm_keys.user_api_key_auth"
PROMPT = prompts()[0]
HEADER = "X-Amzn-SageMaker-Inference-Component"


@dataclass
class Gateway:
    """A running proxy, and the fleet behind it."""

    url: str
    stack: FleetStack
    table: str

    def ask(
        self,
        model: str,
        key: str = "sk-acme",
        headers: Mapping[str, str] | None = None,
        path: str = "chat/completions",
        **more: Any,
    ) -> Any:
        """Return the answer of the proxy, whatever its status."""
        messages = [{"role": "user", "content": PROMPT["ticket"]}]
        body = {"model": model, "input" if path == "responses" else "messages": messages, "temperature": 0}
        body |= {"max_output_tokens" if path == "responses" else "max_tokens": 60} | more
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})}
        address = f"{self.url}/v1/{path}"
        return urllib3.request("POST", address, body=json.dumps(body), headers=sent, preload_content=False)

    def label(self, model: str, key: str = "sk-acme", **more: Any) -> str:
        """Return which adapter answers, or the status of a refusal."""
        answer = self.ask(model, key, **more)
        if answer.status != 200:
            return str(answer.status)
        text: str = json.loads(answer.data)["choices"][0]["message"]["content"]
        return next((label for label, said in PROMPT["answers"].items() if said == text), text)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    environment, folder = Environment("litellm-proxy"), tmp_path_factory.mktemp("gateway")
    environment.install()
    with LocalCloud(profile="kind") as cloud:
        stack = FleetStack(cloud, folder, name="gateway")
        created = stack.create(
            {"Tenants": Fleet(adapters={"acme": "triage", "globex": "shout"}, settings=SETTINGS)}
        )
        assert created.status == "CREATE_COMPLETE", created.reason
        written = adapters(cloud, "routes", "--to", "litellm", "--stack", stack.name)
        assert written.exit_code == 0, written.output
        config = yaml.safe_load(written.stdout)
        config["litellm_settings"] |= {"enable_post_custom_auth_checks": True}
        config["general_settings"] = {"custom_auth": KEYS, "custom_auth_run_common_checks": True}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        with _proxy(environment, cloud, folder) as url:
            yield Gateway(url=url, stack=stack, table=created.outputs["TenantsTable"])


def adapters_of(gateway: Gateway) -> dict[str, str]:
    """Return the components by adapter."""
    listed = adapters(gateway.stack.cloud, "status", "--stack", gateway.stack.name, "--json")
    return {one["name"]: one["component"] for one in json.loads(listed.stdout)["adapters"]}


@contextmanager
def _proxy(environment: Environment, cloud: LocalCloud, folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    aws = {name: value for name, value in cloud.environment.items() if name.startswith("AWS_")}
    with (folder / "proxy.log").open("w") as log:
        process = subprocess.Popen(
            [
                environment.python.with_name("litellm"),
                "--config",
                folder / "config.yaml",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            env={
                **aws,
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "PYTHONPATH": f"{ROOT / 'lambda'}:{ROOT}",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(16)}",
                "NO_PROXY": "127.0.0.1",
            },
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(url, process), "the proxy answers", seconds=180)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the proxy has ended"
    try:
        return urllib3.request("GET", f"{url}/health/liveliness", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def test_key_reaches_its_own_adapter_alone(gateway: Gateway) -> None:
    assert (gateway.label("acme"), gateway.label("globex", "sk-globex")) == ("triage", "shout")
    deployment = gateway.ask("globex", "sk-globex").headers["x-litellm-model-id"]
    for refused in ("globex", deployment):
        assert gateway.label(refused) == "403"
        assert gateway.label("acme", fallbacks=[refused]) == "403"
    assert gateway.label("acme", "sk-nobody") == "401"


@pytest.mark.parametrize("path", ["chat/completions", "messages", "responses"])
def test_what_a_caller_sends_beside_reaches_no_other_adapter(gateway: Gateway, path: str) -> None:
    info = {"model_info": {"adapter": "globex"}}
    component = adapters_of(gateway)["globex"]
    assert "shipping" in gateway.ask("acme", path=path).data.decode()
    for smuggled in (
        {"model_id": "globex"},
        {"model_id": component},
        {"metadata": info, "model_id": component},
        {"litellm_metadata": info, "model_id": component},
        info,
        {"headers": {HEADER: component}},
        {"extra_headers": {HEADER: component}},
        {"extra_body": {"model": component}},
        {"hf_model_name": component},
    ):
        answer = gateway.ask("acme", path=path, **smuggled)
        text = answer.data.decode()
        assert "ATTENTION" not in text, smuggled
        assert "shipping" in text or answer.status in (400, 403), (smuggled, text)


def test_answer_is_streamed_as_it_comes(gateway: Gateway) -> None:
    began, times = time.monotonic(), []
    answer = gateway.ask("acme", stream=True)
    pieces = []
    for line in answer:
        if line.startswith(b"data: {"):
            times.append(time.monotonic() - began)
            pieces.append(json.loads(line[6:])["choices"][0]["delta"].get("content") or "")
    assert "".join(pieces) == PROMPT["answers"]["triage"]
    assert len(times) > 3
    assert times[-1] > times[0]


def test_release_by_shares_loses_no_answer(gateway: Gateway) -> None:
    users = [f"user-{number}" for number in range(40)]
    told: dict[str, list[str]] = {user: [] for user in users}
    stop, wrong = threading.Event(), []

    def call(own: list[str]) -> None:
        while not stop.is_set():
            for user in own:
                label = gateway.label("acme", user=user)
                if label not in ("triage", "summary"):
                    wrong.append(label)
                elif told[user][-1:] != [label]:
                    told[user].append(label)

    threads = [threading.Thread(target=call, args=(users[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(told.values()), "each user has asked", seconds=120)
        document = json.loads(
            gateway.stack.archives.manifest({"acme": "summary", "globex": "shout"}, local=True)
        )
        document["adapters"][0]["percent"] = 30
        released = gateway.stack.update({"Tenants": Fleet(document=json.dumps(document), settings=SETTINGS)})
        assert released.status == "UPDATE_COMPLETE", released.reason
        chosen = {user for user in users if place_of("acme", user) < 30}
        until(
            lambda: {user for user in users if "summary" in told[user]} == chosen,
            "a share has moved",
            seconds=60,
        )
        time.sleep(5)
        assert {user for user in users if "summary" in told[user]} == chosen
        promoted = adapters(gateway.stack.cloud, "promote", "acme", "--stack", gateway.stack.name)
        assert promoted.exit_code == 0, promoted.output
        until(lambda: all("summary" in one for one in told.values()), "all have moved", seconds=60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert all(one in (["triage", "summary"], ["summary"]) for one in told.values())
