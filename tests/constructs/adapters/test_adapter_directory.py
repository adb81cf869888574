import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from adapter_fleet.artifacts.packing import identity_of
from multi_adapter_inference import AdapterArtifact, BaseModel, LoraAdapter, LoraServing, MultiAdapterEndpoint
from tests.constructs.conftest import ChangeConfig, Components, MakeEndpoint, Warnings


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint, base_directory: Path) -> MultiAdapterEndpoint:
    return make_endpoint(
        base_model=BaseModel.from_directory(base_directory),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
    )


@pytest.fixture
def add(endpoint: MultiAdapterEndpoint, adapter_directory: Path) -> Callable[[], LoraAdapter]:
    """Return a function that adds the adapter in the directory."""
    return lambda: endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))


def archives(app: cdk.App) -> list[Path]:
    return sorted(Path(app.outdir).glob("asset.*.tar.gz"))


def test_its_archive_is_an_asset_under_its_identity(
    app: cdk.App,
    stack: cdk.Stack,
    add: Callable[[], LoraAdapter],
    adapter_directory: Path,
    components: Components,
) -> None:
    adapter = add()
    expected = identity_of(adapter_directory)
    specification = components()[adapter.component_name]["Properties"]["Specification"]
    assert specification["Container"]["ArtifactUrl"] == {
        "Fn::Sub": "s3://cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
        f"/lora-adapters/{expected}.tar.gz"
    }
    assert identity_of(Path(app.outdir) / f"asset.{expected}.tar.gz") == expected


def test_the_asset_manifest_uploads_the_archive_to_that_key(
    app: cdk.App, stack: cdk.Stack, add: Callable[[], LoraAdapter], adapter_directory: Path
) -> None:
    add()
    app.synth()
    manifest = json.loads((Path(app.outdir) / "Stack.assets.json").read_text())
    expected = identity_of(adapter_directory)
    file = manifest["files"][f"lora-adapters/{expected}.tar"]
    assert file["source"] == {"path": f"asset.{expected}.tar.gz", "packaging": "file"}
    (destination,) = file["destinations"].values()
    assert destination["objectKey"] == f"lora-adapters/{expected}.tar.gz"


def test_in_a_stage_the_manifest_finds_the_archive_too(
    tmp_path: Path, adapter_directory: Path, base_directory: Path
) -> None:
    app = cdk.App(outdir=str(tmp_path / "staged"))
    stage = cdk.Stage(app, "Prod")
    stack = cdk.Stack(stage, "Stack")
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack,
        "Llm",
        endpoint_name="llama",
        base_component_name="base",
        component_prefix="acme",
    )
    LoraAdapter(
        stack, "Triage", endpoint=endpoint, artifact=AdapterArtifact.from_directory(adapter_directory)
    )
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
    adapter_directory: Path,
    make_endpoint: MakeEndpoint,
    base_directory: Path,
    of_app: cdk.DefaultStackSynthesizer | None,
    of_stack: cdk.IStackSynthesizer | None,
    bucket_name: str,
) -> None:
    app = cdk.App(outdir=str(tmp_path / "own"), default_stack_synthesizer=of_app)
    stack = cdk.Stack(app, "Own", synthesizer=of_stack)
    endpoint = make_endpoint(stack, base_model=BaseModel.from_directory(base_directory))
    endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))
    app.synth()

    files = json.loads((Path(app.outdir) / "Own.assets.json").read_text())["files"].values()
    destinations = [destination for file in files for destination in file["destinations"].values()]
    assert all(destination["bucketName"].startswith(bucket_name) for destination in destinations)
    folders = [destination["objectKey"].partition("/")[0] for destination in destinations]
    assert {"base-models", "lora-adapters"} <= set(folders)
    Template.from_stack(stack).resource_count_is("AWS::CloudFormation::Stack", 0)


def test_a_nested_stack_uploads_with_the_stack_it_is_in(
    app: cdk.App, make_endpoint: MakeEndpoint, adapter_directory: Path
) -> None:
    nested = cdk.NestedStack(cdk.Stack(app, "Outer"), "Inner")
    endpoint = make_endpoint(nested)
    endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))
    app.synth()
    manifest = json.loads((Path(app.outdir) / "Outer.assets.json").read_text())
    assert f"lora-adapters/{identity_of(adapter_directory)}.tar" in manifest["files"]


def test_a_synthesizer_that_has_keys_at_deployment_only_is_an_error(
    app: cdk.App, make_endpoint: MakeEndpoint, adapter_directory: Path
) -> None:
    stack = cdk.Stack(app, "Legacy", synthesizer=cdk.LegacyStackSynthesizer())
    endpoint = make_endpoint(stack)
    with pytest.raises(
        ValueError, match="'Legacy/Llm' should be in a stack whose synthesizer knows the keys"
    ):
        endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))


def test_the_role_reads_every_archive_of_adapters_so_that_a_rollback_can_read_the_last(
    stack: cdk.Stack, add: Callable[[], LoraAdapter]
) -> None:
    add()
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    objects = [
        s["Resource"]
        for s in policy["Properties"]["PolicyDocument"]["Statement"]
        if s["Action"] == "s3:GetObject"
    ]
    assert "/lora-adapters/*" in str(objects)
    assert "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}" in str(objects)


def test_an_archive_is_packed_once_and_used_again_at_the_next_synth(
    app: cdk.App, add: Callable[[], LoraAdapter], adapter_directory: Path, tmp_path: Path
) -> None:
    add()
    archive = Path(app.outdir) / f"asset.{identity_of(adapter_directory)}.tar.gz"
    before = archive.stat()
    again = cdk.Stack(cdk.App(outdir=app.outdir), "Stack")
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        again, "Llm", endpoint_name="e", base_component_name="b", component_prefix="acme"
    )
    LoraAdapter(
        again, "Triage", endpoint=endpoint, artifact=AdapterArtifact.from_directory(adapter_directory)
    )
    assert (archive.stat().st_ino, archive.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_files_that_change_while_they_are_packed_are_an_error_and_leave_no_archive(
    app: cdk.App, add: Callable[[], LoraAdapter], change_config: ChangeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity_before_a_change(directory: Path) -> str:
        before = identity_of(directory)
        change_config(r=4)
        return before

    monkeypatch.setattr("multi_adapter_inference.adapters.artifact.identity_of", identity_before_a_change)
    own = archives(app)
    with pytest.raises(ValueError, match=r"the files of '.*triage' should stay as they are during synth"):
        add()
    assert archives(app) == own


def test_nothing_is_packed_for_a_stack_that_is_left_alone(tmp_path: Path, adapter_directory: Path) -> None:
    # What the CDK CLI says when another stack is deployed, or for `cdk list` and `cdk destroy`.
    app = cdk.App(outdir=str(tmp_path / "idle"), context={"aws:cdk:bundling-stacks": []})
    stack = cdk.Stack(app, "Stack")
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Llm", endpoint_name="e", base_component_name="b", component_prefix="acme"
    )
    LoraAdapter(
        stack, "Triage", endpoint=endpoint, artifact=AdapterArtifact.from_directory(adapter_directory)
    )
    app.synth()
    assert archives(app) == []


def test_times_and_places_of_the_files_do_not_change_the_template(
    add: Callable[[], LoraAdapter], components: Components, adapter_directory: Path, tmp_path: Path
) -> None:
    adapter = add()
    copy = Path(shutil.copytree(adapter_directory, tmp_path / "copy"))
    for file in copy.iterdir():
        os.utime(file, (0, 0))
    other = LoraAdapter(
        cdk.Stack.of(adapter),
        "Other",
        endpoint=adapter.endpoint,
        artifact=AdapterArtifact.from_directory(copy),
    )
    found = components()
    one, two = (found[a.component_name]["Properties"]["Specification"]["Container"] for a in (adapter, other))
    assert one == two


def test_a_rank_above_the_maximum_is_an_error_that_names_adapter_file_and_rank(
    add: Callable[[], LoraAdapter], change_config: ChangeConfig, adapter_directory: Path
) -> None:
    change_config(r=16)
    with pytest.raises(
        ValueError, match=r"adapter 'Stack/Llm/Triage' cannot be served:\n(.*\n)*.*lora-rank"
    ) as error:
        add()
    assert "adapter_config.json" in str(error.value)
    assert "16" in str(error.value)


def test_every_error_is_told_at_once(
    add: Callable[[], LoraAdapter], change_config: ChangeConfig, adapter_directory: Path
) -> None:
    change_config(r=16, use_dora=True)
    (adapter_directory / "model.py").write_text("import os")
    with pytest.raises(ValueError) as error:
        add()
    for rule in ("lora-rank", "lora-method", "file-code"):
        assert rule in str(error.value)


def test_a_directory_without_configuration_is_an_error(
    add: Callable[[], LoraAdapter], adapter_directory: Path
) -> None:
    (adapter_directory / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match=r"adapter_config\.json.*\[file-missing\]"):
        add()


def test_a_directory_that_is_not_there_is_an_error(endpoint: MultiAdapterEndpoint, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere"):
        endpoint.add_adapter("A", artifact=AdapterArtifact.from_directory(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("adapter_model.bin", "file-pickle"),
        ("training_args.pt", "file-pickle"),
        ("model.py", "file-code"),
    ],
)
def test_a_file_that_could_run_code_is_an_error(
    add: Callable[[], LoraAdapter], adapter_directory: Path, file: str, rule: str
) -> None:
    (adapter_directory / file).write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match=rf"{file}.*\[{rule}\]"):
        add()


def test_dora_is_an_error(add: Callable[[], LoraAdapter], change_config: ChangeConfig) -> None:
    change_config(use_dora=True)
    with pytest.raises(ValueError, match=r"use_dora.*\[lora-method\]"):
        add()


def test_a_truncated_safetensors_header_is_an_error(
    add: Callable[[], LoraAdapter], adapter_directory: Path
) -> None:
    weights = adapter_directory / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors.*\[weights-truncated\]"):
        add()


def test_an_adapter_of_another_base_is_warned_of(
    add: Callable[[], LoraAdapter], change_config: ChangeConfig, warnings: Warnings
) -> None:
    change_config(base_model_name_or_path="meta-llama/Llama-3.1-8B-Instruct")
    add()
    (warning,) = [w for w in warnings() if "multi-adapter-inference:base-model-name" in w]
    assert "meta-llama/Llama-3.1-8B-Instruct" in warning


def test_a_good_adapter_of_this_base_is_not_warned_of(
    add: Callable[[], LoraAdapter], warnings: Warnings
) -> None:
    add()
    assert [w for w in warnings() if "no-room" not in w] == []


def test_an_adapter_that_does_not_fit_the_base_is_an_error(
    make_endpoint: MakeEndpoint, base_directory: Path, adapter_directory: Path, tmp_path: Path
) -> None:
    wider = Path(shutil.copytree(base_directory, tmp_path / "wider"))
    config = json.loads((wider / "config.json").read_text())
    (wider / "config.json").write_text(json.dumps({**config, "hidden_size": 4096}))
    endpoint = make_endpoint(base_model=BaseModel.from_directory(wider))
    with pytest.raises(ValueError, match="base-model-module"):
        endpoint.add_adapter("A", artifact=AdapterArtifact.from_directory(adapter_directory))


def test_the_archive_of_a_base_model_is_the_same_from_any_folder(
    app: cdk.App, stack: cdk.Stack, make_endpoint: MakeEndpoint, base_directory: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(base_directory, tmp_path / "elsewhere"))
    for file in copy.iterdir():
        os.utime(file, (0, 0))
    make_endpoint(id="One", base_model=BaseModel.from_directory(base_directory))
    make_endpoint(id="Two", base_model=BaseModel.from_directory(copy))
    one, two = Template.from_stack(stack).find_resources("AWS::SageMaker::Model").values()
    container = one["Properties"]["PrimaryContainer"]
    assert container["ModelDataUrl"] == two["Properties"]["PrimaryContainer"]["ModelDataUrl"]
    (archive,) = archives(app)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as tar:
        assert tar.getnames() == sorted(path.name for path in base_directory.iterdir())
