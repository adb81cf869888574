"""LiteLLM's real proxy in front of a fleet with releases, as docs/how-to/gateway.md sets it up."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import aws_cdk as cdk
import pytest
import urllib3
import yaml

from adapter_fleet.aws.adapter_routes import place_of
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import Releases
from tests.clients.litellm_proxy import CONFIG, KEYS, START, proxy
from tests.integration.by_hand import adapters, prompts, repeated, until
from tests.integration.fleet_stack import Fleet, FleetStack

pytestmark = pytest.mark.timeout(1800)

SETTINGS: Mapping[str, Any] = {"releases": Releases(drain=cdk.Duration.seconds(80))}
PROMPT = prompts()[0]


@dataclass
class Gateway:
    """A running proxy, and the fleet behind it."""

    url: str
    stack: FleetStack
    config: Mapping[str, Any]

    def ask(self, model: str, key: str = "sk-acme", path: str = "chat/completions", **more: Any) -> Any:
        """Return the answer of the proxy, whatever its status."""
        messages = [{"role": "user", "content": PROMPT["ticket"]}]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 60, **more}
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json"}
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
    folder = tmp_path_factory.mktemp("gateway")
    with LocalCloud(profile="kind") as cloud:
        stack = FleetStack(cloud, folder, name="Tenants")
        stack.create(
            {"Tenants": Fleet(adapters={"acme": "triage", "globex": "shout"}, settings=SETTINGS)}
        ).succeeded()
        (folder / "keys.py").write_text(KEYS)
        with proxy(folder, START, cloud.environment, 4000) as url:
            yield Gateway(url, stack, yaml.safe_load((folder / "config.yaml").read_text()))


def test_guide_shows_what_the_command_writes(gateway: Gateway) -> None:
    shown, written = yaml.safe_load(CONFIG), dict(gateway.config)
    assert [one["model_name"] for one in written["model_list"]] == ["acme", "globex"]
    (entry,), (own, _) = shown.pop("model_list"), written.pop("model_list")
    # The embedded cloud has an address.
    assert own["litellm_params"].keys() - {"sagemaker_base_url"} == entry["litellm_params"].keys()
    assert (own["model_name"], own["model_info"]) == (entry["model_name"], entry["model_info"])
    assert written.pop("environment_variables").keys() == shown.pop("environment_variables").keys()
    assert written == shown


def test_key_of_the_guide_opens_the_paths_that_it_lists(gateway: Gateway) -> None:
    closed = ("engines/acme/chat/completions", "interactions", "v1/embeddings", "bedrock/model/acme/invoke")
    found = {path: gateway.ask("acme", path=f"../{path}").status for path in closed}
    assert found == dict.fromkeys(closed, 403)


def test_key_reaches_its_own_adapter_alone(gateway: Gateway) -> None:
    assert (gateway.label("acme"), gateway.label("globex", "sk-globex")) == ("triage", "shout")
    deployment = gateway.ask("globex", "sk-globex").headers["x-litellm-model-id"]
    for refused in ("globex", deployment):
        assert gateway.label(refused) == "403"
        assert gateway.label("acme", fallbacks=[refused]) == "403"
    assert gateway.label("acme", "sk-nobody") == "401"


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
    wrong = []

    def call(own: list[str]) -> None:
        for user in own:
            label = gateway.label("acme", user=user)
            if label not in ("triage", "summary"):
                wrong.append(label)
            elif told[user][-1:] != [label]:
                told[user].append(label)

    with repeated(*(partial(call, users[start::4]) for start in range(4))):
        until(lambda: all(told.values()), "each user has asked", seconds=120)
        document = json.loads(
            gateway.stack.archives.manifest({"acme": "summary", "globex": "shout"}, local=True)
        )
        document["adapters"][0]["percent"] = 30
        fleet = Fleet(document=json.dumps(document), settings=SETTINGS)
        gateway.stack.update({"Tenants": fleet}).succeeded()
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
    assert wrong == []
    assert all(one in (["triage", "summary"], ["summary"]) for one in told.values())
