"""Every page with commands, from top to bottom on the embedded cloud, where the stack `Tenants` is deployed.

`make qa SUITE=docs` runs it. A block of Python has to name this test in its mark, as in
`docs/guides/embedded-cloud.md`: the other ones declare constructs, which `test_snippets.py` runs.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT, Page, pages
from tests.docs.page_run import ON_THE_CLOUD, PageRun, Shell, runs
from tests.integration.by_hand import TICKETS, V1, V2, client, prompts

pytestmark = [pytest.mark.documents, pytest.mark.integration, pytest.mark.timeout(1200)]

BUCKET = "my-adapters"
_NOW = {"acme": "summary", "globex": "shout", "initech": "triage", "umbrella": "summary"}
"""The example whose files each tenant's adapter has."""
_NEXT = {"acme": "summary", "globex": "shout", "initech": "summary", "hooli": "triage"}


class DeployedTenants:
    """A deployed fleet of four tenants. `acme` has an earlier version to go back to."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        shell = Shell(cloud, folder)
        for bucket in (BUCKET, "my-models"):
            client(cloud, "s3").create_bucket(Bucket=bucket)
        config = (TICKETS / "base/config.json").read_bytes()
        client(cloud, "s3").put_object(Bucket="my-models", Key="own-8b/config.json", Body=config)
        _copy(_NOW, folder / "now")
        _copy(_NEXT, folder / "next")
        shutil.copytree(V2 / "summary", folder / "newer" / "acme")
        publish = f"s3://{BUCKET}/prod --manifest"
        stored = f"s3://{BUCKET}/fleets/tenants.yaml"
        shell.run("cdk bootstrap")
        shell.run(f"adapters publish now {publish} {stored}")
        # The reference stacks are not in the package.
        app = f"env PYTHONPATH={ROOT} {shlex.quote(sys.executable)} {ROOT / 'tests/docs/tenants/app.py'}"
        shell.run(f"cdk deploy --app {shlex.quote(app)} --output cdk.out --require-approval never")
        _create_stray(cloud)
        shell.run(f"adapters publish newer {publish} {stored}")
        shell.run("sleep 2; adapters status --wait --stack Tenants")
        shell.run(f"adapters publish next {publish} tenants.yaml")
        self._manifest = (folder / "tenants.yaml").read_text()

    def write_files(self, folder: Path) -> None:
        """Write the files that the commands of pages read."""
        _copy(_NEXT, folder / "adapters")
        _copy({"acme": "summary", "globex": "summary"}, folder / "out")
        (folder / "tenants.yaml").write_text(self._manifest)
        (folder / "adapters.yaml").write_text(self._manifest)
        items = [
            {"prompt": each["prompt"], "reference": each["answers"]["summary"]} for each in prompts()[:5]
        ]
        text = "".join(f"{json.dumps(item)}\n" for item in items)
        (folder / "evaluation").mkdir()
        for path in (folder / "test.jsonl", folder / "evaluation/test.jsonl"):
            path.write_text(text)
        (folder / "acceptance").mkdir()
        (folder / "acceptance/test_acme.py").write_text("def test_nothing() -> None:\n    pass\n")


def _copy(labels: dict[str, str], folder: Path) -> None:
    for name, label in labels.items():
        shutil.copytree(V1 / label, folder / name)


def _create_stray(cloud: LocalCloud) -> None:
    """Create `llm-trial`, an adapter of no fleet."""
    sagemaker = client(cloud, "sagemaker")
    acme = sagemaker.describe_inference_component(InferenceComponentName="llm-acme")
    sagemaker.create_inference_component(
        InferenceComponentName="llm-trial",
        EndpointName=acme["EndpointName"],
        VariantName=acme["VariantName"],
        Specification={
            "BaseInferenceComponentName": acme["Specification"]["BaseInferenceComponentName"],
            "Container": {"ArtifactUrl": acme["Specification"]["Container"]["ArtifactUrl"]},
        },
    )


PAGES = [page for page in pages() if any(runs(ON_THE_CLOUD, block) for block in page.blocks)]


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedTenants]:
    with LocalCloud() as cloud:
        yield DeployedTenants(cloud, tmp_path_factory.mktemp("tenants"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs_from_top_to_bottom(page: Page, tenants: DeployedTenants, tmp_path: Path) -> None:
    run = PageRun(tenants.cloud, tmp_path, page.path)
    tenants.write_files(tmp_path)
    run.run()
