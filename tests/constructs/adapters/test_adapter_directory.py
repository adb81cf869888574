import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from adapter_rules.archives.packing import identity_of
from multi_adapter_inference import AdapterArtifact, BaseModel, LoraAdapter, LoraServing
from tests.constructs.conftest import ChangeConfig, MakeEndpoint, imported_endpoint, warnings_of

Add = Callable[..., LoraAdapter]


@pytest.fixture
def add(stack: cdk.Stack, adapter_directory: Path) -> Add:
    """Return a function that adds the adapter in the directory to an endpoint of another app."""

    def add_adapter(to: cdk.Stack = stack) -> LoraAdapter:
        endpoint = imported_endpoint(to, lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8))
        artifact = AdapterArtifact.from_directory(adapter_directory)
        return LoraAdapter(to, "Triage", endpoint=endpoint, artifact=artifact)

    return add_adapter


def archives(app: cdk.App) -> list[Path]:
    return sorted(Path(app.outdir).glob("asset.*.tar.gz"))


def uploads(app: cdk.App, stack: str) -> dict[str, dict[str, Any]]:
    """Return the files that the deployment of a stack uploads, by the hashes that the CDK knows them by."""
    files = json.loads((Path(app.outdir) / f"{stack}.assets.json").read_text())["files"]
    return dict(files)


def test_its_archive_is_an_asset_under_its_identity(
    app: cdk.App, stack: cdk.Stack, add: Add, adapter_directory: Path
) -> None:
    add()
    expected = identity_of(adapter_directory)
    (adapter,) = Template.from_stack(stack).find_resources("AWS::SageMaker::InferenceComponent").values()
    assert adapter["Properties"]["Specification"]["Container"]["ArtifactUrl"] == {
        "Fn::Sub": "s3://cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
        f"/lora-adapters/{expected}.tar.gz"
    }
    assert identity_of(Path(app.outdir) / f"asset.{expected}.tar.gz") == expected
    file = uploads(app, "Stack")[f"lora-adapters/{expected}.tar"]
    assert file["source"] == {"path": f"asset.{expected}.tar.gz", "packaging": "file"}
    (destination,) = file["destinations"].values()
    assert destination["objectKey"] == f"lora-adapters/{expected}.tar.gz"


def test_in_a_stage_the_manifest_finds_the_archive_too(tmp_path: Path, add: Add) -> None:
    app = cdk.App(outdir=str(tmp_path / "staged"))
    add(cdk.Stack(cdk.Stage(app, "Prod"), "Stack"))
    app.synth()
    (manifest,) = Path(app.outdir).rglob("*.assets.json")
    paths = [file["source"]["path"] for file in json.loads(manifest.read_text())["files"].values()]
    assert all((manifest.parent / path).is_file() for path in paths)


@pytest.mark.parametrize(
    ("of_app", "of_stack", "bucket_name"),
    [
        (None, cdk.DefaultStackSynthesizer(qualifier="acme"), "cdk-acme-assets-"),
        (None, cdk.DefaultStackSynthesizer(file_assets_bucket_name="own"), "own"),
        (None, cdk.CliCredentialsStackSynthesizer(), "cdk-hnb659fds-assets-"),
        (cdk.DefaultStackSynthesizer(qualifier="acme"), None, "cdk-acme-assets-"),
    ],
    ids=["qualifier", "bucket", "credentials of the CLI", "of the app"],
)
def test_a_stack_may_have_a_synthesizer_of_its_own(
    tmp_path: Path,
    add: Add,
    of_app: cdk.DefaultStackSynthesizer | None,
    of_stack: cdk.IStackSynthesizer | None,
    bucket_name: str,
) -> None:
    app = cdk.App(outdir=str(tmp_path / "own"), default_stack_synthesizer=of_app)
    stack = cdk.Stack(app, "Own", synthesizer=of_stack)
    add(stack)
    app.synth()
    files = uploads(app, "Own").values()
    destinations = [destination for file in files for destination in file["destinations"].values()]
    assert all(destination["bucketName"].startswith(bucket_name) for destination in destinations)
    assert "lora-adapters" in {destination["objectKey"].partition("/")[0] for destination in destinations}
    Template.from_stack(stack).resource_count_is("AWS::CloudFormation::Stack", 0)


def test_a_nested_stack_uploads_with_the_stack_it_is_in(
    app: cdk.App, add: Add, adapter_directory: Path
) -> None:
    add(cdk.NestedStack(cdk.Stack(app, "Outer"), "Inner"))
    app.synth()
    assert f"lora-adapters/{identity_of(adapter_directory)}.tar" in uploads(app, "Outer")


def test_a_synthesizer_that_has_keys_at_deployment_only_is_an_error(
    app: cdk.App, make_endpoint: MakeEndpoint, adapter_directory: Path
) -> None:
    stack = cdk.Stack(app, "Legacy", synthesizer=cdk.LegacyStackSynthesizer())
    endpoint = make_endpoint(stack)
    with pytest.raises(ValueError, match="the synthesizer of the stack 'Legacy' should know the keys"):
        endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))


def test_an_archive_is_packed_once_and_used_again_at_the_next_synth(
    app: cdk.App, add: Add, adapter_directory: Path
) -> None:
    add()
    archive = Path(app.outdir) / f"asset.{identity_of(adapter_directory)}.tar.gz"
    before = archive.stat()
    add(cdk.Stack(cdk.App(outdir=app.outdir), "Stack"))
    assert (archive.stat().st_ino, archive.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_files_that_change_while_they_are_packed_are_an_error_and_leave_no_archive(
    app: cdk.App, add: Add, change_config: ChangeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity_before_a_change(directory: Path) -> str:
        before = identity_of(directory)
        change_config(r=4)
        return before

    monkeypatch.setattr("multi_adapter_inference.adapters.artifact.identity_of", identity_before_a_change)
    with pytest.raises(ValueError, match=r"the files of '.*triage' should stay as they are during synth"):
        add()
    assert archives(app) == []


def test_nothing_is_packed_for_a_stack_that_is_left_alone(tmp_path: Path, add: Add) -> None:
    # What the CDK CLI says when another stack is deployed, or for `cdk list` and `cdk destroy`.
    app = cdk.App(outdir=str(tmp_path / "idle"), context={"aws:cdk:bundling-stacks": []})
    add(cdk.Stack(app, "Stack"))
    app.synth()
    assert archives(app) == []


def test_every_error_is_told_at_once_with_adapter_file_and_rule(
    add: Add, change_config: ChangeConfig, adapter_directory: Path
) -> None:
    change_config(r=16, use_dora=True)
    (adapter_directory / "model.py").write_text("import os")
    with pytest.raises(ValueError, match=r"^adapter 'Stack/Triage' cannot be served:\n") as error:
        add()
    for text in ("adapter_config.json", "16", "lora-rank", "lora-method", "file-code"):
        assert text in str(error.value)


def test_an_adapter_of_another_base_is_warned_of(
    make_endpoint: MakeEndpoint,
    base_directory: Path,
    adapter_directory: Path,
    change_config: ChangeConfig,
) -> None:
    endpoint = make_endpoint(base_model=BaseModel.from_directory(base_directory))
    artifact = AdapterArtifact.from_directory(adapter_directory)
    assert warnings_of(endpoint.add_adapter("Good", artifact=artifact)) == []
    change_config(base_model_name_or_path="meta-llama/Llama-3.1-8B-Instruct")
    (warning,) = warnings_of(endpoint.add_adapter("Other", artifact=artifact))
    assert "meta-llama/Llama-3.1-8B-Instruct" in warning
    assert "multi-adapter-inference:base-model-name" in warning
