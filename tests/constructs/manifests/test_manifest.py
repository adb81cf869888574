import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.archives.packing import identity_of, pack
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    AdapterProbe,
    ArtifactSource,
    BaseModel,
    FleetAdapter,
    IBaseComponent,
    LoraServing,
    SmokeTest,
)
from multi_adapter_inference.manifests.manifest import BoundManifest
from tests.constructs.conftest import (
    ChangeConfig,
    MakeEndpoint,
    WriteManifest,
    imported_endpoint,
    warnings_of,
)

DIGEST = "ab" * 32
KEY = f"adapters/sha256-{DIGEST}.tar.gz"
A_TEXT, A_NUMBER = cdk.Aws.REGION, cdk.Token.as_number({"Ref": "Number"})

Bind = Callable[..., BoundManifest]


@pytest.fixture
def endpoint(stack: cdk.Stack, bucket: s3.IBucket) -> IBaseComponent:
    return imported_endpoint(
        stack,
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
    )


@pytest.fixture
def bind(stack: cdk.Stack, endpoint: IBaseComponent) -> Bind:
    """Return a function that checks and stages a manifest, as a fleet on an endpoint does."""

    def bind_to(manifest: AdapterManifest, to: IBaseComponent = endpoint) -> BoundManifest:
        return manifest._bind(stack, to, "acme", None, False)

    return bind_to


@pytest.fixture
def compiled(app: cdk.App) -> Callable[[BoundManifest], Manifest]:
    """Return a function that reads the manifest that the deployment uploads."""

    def read(bound: BoundManifest) -> Manifest:
        properties = bound.properties["Manifest"]
        assert properties["Key"] == f"adapter-manifests/{properties['Digest']}.json"
        file = Path(app.outdir) / f"asset.{properties['Digest']}.json"
        return Manifest.parse(file.read_bytes(), where="compiled", folder=None)

    return read


def test_a_file_becomes_an_asset_named_by_its_content(
    bind: Bind, write_manifest: WriteManifest, compiled: Callable[[BoundManifest], Manifest], app: cdk.App
) -> None:
    path = write_manifest({"name": "ectsum", "rank": 4}, {"name": "triage"})
    manifest = compiled(bind(AdapterManifest.from_file(path)))
    assert [(adapter.name, adapter.rank) for adapter in manifest.adapters] == [
        ("ectsum", 4),
        ("triage", None),
    ]
    app.synth()
    files = json.loads((Path(app.outdir) / "Stack.assets.json").read_text())["files"]
    (staged,) = [file for key, file in files.items() if key.startswith("adapter-manifests/")]
    assert staged["source"]["path"] == f"asset.{manifest.digest}.json"


def test_a_file_that_is_not_there_is_an_error(bind: Bind, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'path' should be a readable manifest, got '.*nowhere\.yaml'"):
        bind(AdapterManifest.from_file(tmp_path / "nowhere.yaml"))


def test_a_bucket_of_the_app_is_named_by_an_alias(
    stack: cdk.Stack, bind: Bind, write_manifest: WriteManifest
) -> None:
    own = s3.Bucket(stack, "Own")
    endpoint = imported_endpoint(stack, "Own-Llm", artifact_sources=[ArtifactSource(bucket=own)])
    path = write_manifest({"name": "ectsum", "artifact": {"bucket": "own", "key": KEY}})
    bound = bind(AdapterManifest.from_file(path, buckets={"own": own}), endpoint)
    assert bound.properties["Buckets"] == {"own": own.bucket_name}


def test_every_error_is_told_at_once_with_file_line_adapter_and_rule(
    stack: cdk.Stack, endpoint: IBaseComponent, write_manifest: WriteManifest
) -> None:
    path = write_manifest(
        {"name": "ectsum", "rank": 16},
        {"name": "x" * 63},
        {"name": "elsewhere", "artifact": f"s3://others/{KEY}"},
        {"name": "unknown", "artifact": {"bucket": "own", "key": KEY}},
        {"name": "local", "artifact": "./nothing"},
    )
    with pytest.raises(ValueError, match=r"^'Stack/Tenants': the manifest cannot be deployed:") as error:
        AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(path))
    lines = str(error.value).splitlines()[1:]
    rules = ["lora-rank", "component-name", "bucket-known", "artifact-source", "artifact-place"]
    assert [line.rpartition("[")[2].partition("]")[0] for line in lines] == rules
    for line, name in zip(lines, ("ectsum", "x" * 63, "unknown", "elsewhere", "local"), strict=True):
        assert line.startswith(f"  - {path}:")
        assert f"adapter {name!r}" in line


def test_error_of_very_many_adapters_lists_the_first_and_counts_the_others(
    stack: cdk.Stack, endpoint: IBaseComponent, write_manifest: WriteManifest
) -> None:
    path = write_manifest(*({"name": f"t{number}", "rank": 128} for number in range(300)))
    with pytest.raises(ValueError, match="cannot be deployed") as error:
        AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(path))
    lines = str(error.value).splitlines()[1:]
    assert (len(lines), lines[-1]) == (21, "  and 280 more")


def test_a_manifest_for_another_base_model_is_an_error(
    make_endpoint: MakeEndpoint, bind: Bind, bucket: s3.IBucket, write_manifest: WriteManifest
) -> None:
    endpoint = make_endpoint(
        id="Known",
        base_model=BaseModel.from_bucket(bucket, "llama/", name="meta-llama/Llama-3.1-8B-Instruct"),
        artifact_sources=[ArtifactSource(bucket=bucket)],
    )
    with pytest.raises(ValueError, match=r"got 'Qwen/Qwen3-8B' \[manifest-base-model\]"):
        bind(AdapterManifest.from_file(write_manifest(base_model="Qwen/Qwen3-8B")), endpoint)


def test_a_directory_and_its_archive_are_checked_packed_and_named_by_their_identity(
    app: cdk.App,
    bind: Bind,
    write_manifest: WriteManifest,
    adapter_directory: Path,
    tmp_path: Path,
    compiled: Callable[[BoundManifest], Manifest],
) -> None:
    packed = pack(adapter_directory, tmp_path / "triage.tar.gz")
    entries = (
        {"name": f"local{n}", "artifact": path} for n, path in enumerate(["./triage", "./triage.tar.gz"])
    )
    bound = bind(AdapterManifest.from_file(write_manifest(*entries)))
    assert {adapter.known_digest for adapter in compiled(bound).adapters} == {packed.identity}
    assert list(bound.properties["Archives"]) == [packed.identity]
    (archive,) = Path(app.outdir).glob("asset.*.tar.gz")
    assert archive.name == f"asset.{packed.identity}.tar.gz"
    assert identity_of(archive) == packed.identity


def test_more_than_50_local_adapters_are_an_error_that_names_the_command(
    bind: Bind, write_manifest: WriteManifest, adapter_directory: Path, tmp_path: Path
) -> None:
    for number in range(51):
        shutil.copytree(adapter_directory, tmp_path / f"copy{number}")
    path = write_manifest(*({"name": f"t{n}", "artifact": f"./copy{n}"} for n in range(51)))
    with pytest.raises(ValueError, match=r"at most 50 .* got 51: .*'adapters publish'"):
        bind(AdapterManifest.from_file(path))


def test_warnings_about_local_adapters_and_shared_probes_are_those_of_the_fleet(
    stack: cdk.Stack,
    make_endpoint: MakeEndpoint,
    base_directory: Path,
    bind: Bind,
    write_manifest: WriteManifest,
    change_config: ChangeConfig,
) -> None:
    change_config(base_model_name_or_path="meta-llama/Llama-3.1-8B-Instruct")
    endpoint = make_endpoint(id="Known", base_model=BaseModel.from_directory(base_directory))
    probe = {"prompt": "Who?", "answer": "I am"}
    entries = ({"name": name, "artifact": "./triage", "probe": probe} for name in ("acme", "beta"))
    bind(AdapterManifest.from_file(write_manifest(*entries)), endpoint)
    of_base, of_probe = warnings_of(stack)
    assert "adapter 'acme' and 1 more: " in of_base
    assert "multi-adapter-inference:base-model-name" in of_base
    assert "adapter 'beta': probe.answer" in of_probe
    assert "multi-adapter-inference:probe-shared" in of_probe


def test_adapters_in_code_are_staged_as_those_of_a_file(
    bind: Bind,
    write_manifest: WriteManifest,
    adapter_directory: Path,
    compiled: Callable[[BoundManifest], Manifest],
) -> None:
    uri = "s3://models/adapters/v3.tar.gz"
    file = write_manifest(
        {
            "name": "old",
            "artifact": uri,
            "digest": f"sha256:{DIGEST}",
            "rank": 4,
            "tags": {"tier": "gold"},
            "smoke": {"prompt": "Hello", "max_tokens": 3, "expect": "[a-z]+"},
            "probe": {"prompt": "Who?", "answer": "I am", "max_tokens": 4},
        },
        {"name": "local", "artifact": "./triage", "component": "by-hand", "smoke": False},
        {"name": "plain", "artifact": f"s3://models/{KEY}", "smoke": {"body": {"inputs": "Hello"}}},
    )
    listed = [
        FleetAdapter(
            name="old",
            artifact=AdapterArtifact.from_uri(uri),
            digest=f"sha256:{DIGEST}",
            rank=4,
            tags={"tier": "gold"},
            smoke=SmokeTest(prompt="Hello", max_tokens=3, expect="[a-z]+"),
            probe=AdapterProbe(prompt="Who?", answer="I am", max_tokens=4),
        ),
        FleetAdapter(
            name="local",
            artifact=AdapterArtifact.from_directory(adapter_directory),
            component_name="by-hand",
            smoke=False,
        ),
        FleetAdapter(
            name="plain",
            artifact=AdapterArtifact.from_uri(f"s3://models/{KEY}"),
            smoke=SmokeTest(body={"inputs": "Hello"}),
        ),
    ]
    of_code = compiled(bind(AdapterManifest.from_adapters(listed)))
    assert of_code.to_json() == compiled(bind(AdapterManifest.from_file(file))).to_json()


def test_a_listed_adapter_in_a_bucket_of_the_app_needs_no_alias(stack: cdk.Stack, bind: Bind) -> None:
    own = s3.Bucket(stack, "Own")
    endpoint = imported_endpoint(stack, "Own-Llm", artifact_sources=[ArtifactSource(bucket=own)])
    listed = FleetAdapter(name="ectsum", artifact=AdapterArtifact.from_bucket(own, KEY))
    bound = bind(AdapterManifest.from_adapters([listed]), endpoint)
    assert list(bound.properties["Buckets"].values()) == [own.bucket_name]


@pytest.mark.parametrize(
    "token",
    [{"artifact": AdapterArtifact.from_uri(A_TEXT)}, {"tags": {"tier": A_TEXT}}],
    ids=["uri", "tags"],
)
def test_any_other_token_is_an_error_that_names_the_adapter(
    bind: Bind, bucket: s3.IBucket, token: dict[str, Any]
) -> None:
    artifact = AdapterArtifact.from_bucket(bucket, KEY)
    listed = FleetAdapter(**{"name": "ectsum", "artifact": artifact, **token})
    with pytest.raises(ValueError, match=r"adapter 'ectsum'.*token"):
        bind(AdapterManifest.from_adapters([listed]))


def test_a_manifest_in_a_bucket_is_an_error_where_no_role_could_read_an_adapter(
    stack: cdk.Stack, bind: Bind, bucket: s3.IBucket
) -> None:
    endpoint = imported_endpoint(stack, "Other", artifact_sources=[])
    with pytest.raises(ValueError, match=r"^'Stack/Other' should have 'artifact_s"):
        bind(AdapterManifest.from_bucket(bucket, "adapters.yaml"), endpoint)


def test_a_manifest_in_a_bucket_is_told_by_its_key_alone(stack: cdk.Stack, bind: Bind) -> None:
    own = s3.Bucket(stack, "Own")
    bound = bind(AdapterManifest.from_bucket(own, "fleets/tenants.yaml", buckets={"adapters": own}))
    assert bound.properties == {
        "ManifestObject": {"Bucket": own.bucket_name, "Key": "fleets/tenants.yaml"},
        "Buckets": {"adapters": own.bucket_name},
        "Archives": {},
    }


@pytest.mark.parametrize("key", ["/a.yaml", "fleets/", "fleets/*.yaml", "${aws:username}.yaml"])
def test_a_key_that_is_none_or_stands_for_several_is_an_error(bucket: s3.IBucket, key: str) -> None:
    with pytest.raises(
        ValueError, match=f"'key' should be that of one object, .* got {re.escape(repr(key))}"
    ):
        AdapterManifest.from_bucket(bucket, key)


def test_a_key_may_be_known_at_deployment_only(bind: Bind, bucket: s3.IBucket) -> None:
    bound = bind(AdapterManifest.from_bucket(bucket, A_TEXT))
    assert bound.properties["ManifestObject"]["Key"] == A_TEXT
    # The interval is whole minutes.
    with pytest.raises(ValueError, match="'reread_every' should be at least a minute"):
        AdapterManifest.from_bucket(bucket, "live.yaml", reread_every=cdk.Duration.seconds(30))


def test_a_smoke_test_that_cannot_be_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^SmokeTest: one of prompt, body should be given, got prompt"):
        SmokeTest(prompt="a", body={})
    with pytest.raises(ValueError, match=r"^SmokeTest: 'body' should be known at synth, got a token"):
        SmokeTest(body={"max_new_tokens": A_NUMBER})


def test_a_probe_that_could_not_be_asked_is_an_error() -> None:
    with pytest.raises(ValueError, match="'answer' should have at most 200 characters, got 201"):
        AdapterProbe(prompt="a", answer="b" * 201)
    with pytest.raises(ValueError, match="'answer' should be known at synth, got a token"):
        AdapterProbe(prompt="a", answer=A_TEXT)
