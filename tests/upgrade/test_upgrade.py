"""An earlier commit's app, deployed and then updated by this one (`make qa SUITE=upgrade FROM=<commit>`)."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import ask, client

HERE = Path(__file__).parents[2]
STACK = "MultiAdapterInference-local"
PREFIX_CACHING = ("OPTION_ENABLE_PREFIX_CACHING", "SM_VLLM_NO_ENABLE_PREFIX_CACHING")
ROOTS = ("constructs", "lambda", "rules", "cli", "local", ".")


@dataclass(frozen=True)
class Checkout:
    """A tree of the repository, whose app is deployed by the CDK's own command line."""

    folder: Path

    def deploy(self, cloud: LocalCloud, home: Path) -> None:
        path = os.pathsep.join(str(self.folder / root) for root in ROOTS)
        command = ["cdk", "deploy", "-c", "environment=local", "--require-approval", "never"]
        subprocess.run(
            [*command, "--output", home / "out"],
            cwd=self.folder,
            env={**cloud.environment, "HOME": str(home), "PYTHONPATH": path},
            check=True,
        )


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What is on the embedded cloud: each component by name, its times and what it answers."""

    endpoint: tuple[str, str, Any]
    base: str
    base_model: str
    base_container: dict[str, Any]
    components: dict[str, tuple[Any, Any, str]]
    answers: dict[str, str]
    summary: str

    @classmethod
    def on(cls, cloud: LocalCloud) -> Deployed:
        (stack,) = client(cloud, "cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        sagemaker = client(cloud, "sagemaker")
        (endpoint,) = sagemaker.list_endpoints()["Endpoints"]
        described = sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"])
        components = {
            item["InferenceComponentName"]: (
                item["CreationTime"],
                item["LastModifiedTime"],
                item["InferenceComponentStatus"],
            )
            for page in sagemaker.get_paginator("list_inference_components").paginate()
            for item in page["InferenceComponents"]
        }
        prompt = "ticket: the invoice is wrong"
        answers = {name: ask(cloud, endpoint["EndpointName"], name, prompt, tokens=8) for name in components}
        base = outputs["BaseComponentName"]
        specification = sagemaker.describe_inference_component(InferenceComponentName=base)["Specification"]
        model = sagemaker.describe_model(ModelName=specification["ModelName"])
        return cls(
            base=base,
            base_model=specification["ModelName"],
            base_container=model["PrimaryContainer"],
            endpoint=(described["EndpointArn"], described["EndpointConfigName"], described["CreationTime"]),
            components=components,
            answers=answers,
            summary=outputs["TenantsSummary"],
        )


def unpacked(commit: str, folder: Path) -> Path:
    """Put the files of a commit into a folder; return the folder."""
    archive = subprocess.run(["git", "archive", commit], cwd=HERE, stdout=subprocess.PIPE, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(unpacked(os.environ["FROM"], tmp_path_factory.mktemp("earlier")))


@pytest.fixture(scope="module")
def later(earlier: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """This tree with the environment files of the earlier one, as a team keeps its own."""
    folder, unneeded = tmp_path_factory.mktemp("later"), shutil.ignore_patterns(".*", "build", "node_modules")
    shutil.copytree(HERE, folder, ignore=unneeded, dirs_exist_ok=True)
    shutil.rmtree(folder / "environments")
    shutil.copytree(earlier.folder / "environments", folder / "environments")
    return Checkout(folder)


@pytest.fixture(scope="module")
def before_and_after(
    earlier: Checkout, later: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployed, Deployed]]:
    home = tmp_path_factory.mktemp("home")
    with LocalCloud(profile="kind") as cloud:
        region = cloud.environment["AWS_DEFAULT_REGION"]
        subprocess.run(
            ["cdk", "bootstrap", f"aws://000000000000/{region}"],
            cwd=home,
            env={**cloud.environment, "HOME": str(home)},
            check=True,
        )
        earlier.deploy(cloud, home)
        before = Deployed.on(cloud)
        later.deploy(cloud, home)
        yield before, Deployed.on(cloud)


@pytest.mark.parametrize("what", ["endpoint", "answers", "summary"])
def test_endpoint_answers_and_report_of_the_fleet_stay(
    before_and_after: tuple[Deployed, Deployed], what: str
) -> None:
    before, after = before_and_after
    assert len(set(after.answers.values())) > 2
    assert getattr(after, what) == getattr(before, what)


def test_no_adapter_is_replaced_or_written(before_and_after: tuple[Deployed, Deployed]) -> None:
    before, after = before_and_after
    assert len(after.components) > 100
    assert after.components.keys() == before.components.keys()
    adapters = before.components.keys() - {before.base}
    assert {name: after.components[name] for name in adapters} == {
        name: before.components[name] for name in adapters
    }


def test_base_is_not_replaced_and_updated_only_for_another_model(
    before_and_after: tuple[Deployed, Deployed],
) -> None:
    # A container that gets another variable is another model: prefix caching, which was on once.
    before, after = before_and_after
    created, modified, status = before.components[before.base]
    now = after.components[after.base]
    assert (now[0], now[2]) == (created, status)
    assert (now[1] == modified) is (after.base_model == before.base_model)


def test_model_of_the_base_differs_by_prefix_caching_at_most(
    before_and_after: tuple[Deployed, Deployed],
) -> None:
    before, after = (without_prefix_caching(deployed.base_container) for deployed in before_and_after)
    assert after == before


def without_prefix_caching(container: dict[str, Any]) -> dict[str, Any]:
    variables = container["Environment"].items()
    return container | {
        "Environment": {name: value for name, value in variables if name not in PREFIX_CACHING}
    }
