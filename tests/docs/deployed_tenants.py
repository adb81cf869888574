"""The stack `Tenants` that pages name, its bucket `my-adapters`, and the files that their commands read."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT
from tests.docs.page_run import Shell
from tests.integration.by_hand import TICKETS, V1, V2, client, prompts

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
