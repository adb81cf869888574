import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from adapter_fleet.artifacts.packing import identity_of, pack
from adapter_fleet.manifest.desired import Probe
from adapter_fleet.manifest.manifest import Manifest
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    AdapterProbe,
    ArtifactSource,
    BaseModel,
    FleetAdapter,
    LoraServing,
    MultiAdapterEndpoint,
    SmokeTest,
)
from tests.constructs.conftest import (
    ChangeConfig,
    FleetProperties,
    MakeEndpoint,
    MakeFleet,
    Resources,
    Warnings,
    WriteManifest,
)

DIGEST = "ab" * 32
KEY = f"adapters/sha256-{DIGEST}.tar.gz"


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint, bucket: s3.IBucket, base_directory: Path) -> MultiAdapterEndpoint:
    return make_endpoint(
        base_model=BaseModel.from_directory(base_directory),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
    )


@pytest.fixture
def fleet(stack: cdk.Stack, endpoint: MultiAdapterEndpoint) -> MakeFleet:
    """Return a function that makes a fleet of a manifest."""

    def make(manifest: AdapterManifest, id: str = "Tenants", **settings: Any) -> AdapterFleet:
        return AdapterFleet(stack, id, endpoint=endpoint, manifest=manifest, **settings)

    return make


@pytest.fixture
def compiled(app: cdk.App, fleet_properties: FleetProperties) -> Callable[[], Manifest]:
    """Return a function that synthesizes the app and reads the manifest that it uploads."""

    def read() -> Manifest:
        properties = fleet_properties()["Manifest"]
        assert properties["Key"] == f"adapter-manifests/{properties['Digest']}.json"
        file = Path(app.outdir) / f"asset.{properties['Digest']}.json"
        return Manifest.parse(file.read_bytes(), where="compiled", folder=None)

    return read


def archives(app: cdk.App) -> list[str]:
    return sorted(path.name for path in Path(app.outdir).glob("asset.*.tar.gz"))


def test_a_file_becomes_an_asset_named_by_its_content(
    fleet: MakeFleet, write_manifest: WriteManifest, compiled: Callable[[], Manifest], app: cdk.App
) -> None:
    fleet(AdapterManifest.from_file(write_manifest({"name": "ectsum", "rank": 4}, {"name": "triage"})))
    manifest = compiled()
    assert [(adapter.name, adapter.rank) for adapter in manifest.adapters] == [
        ("ectsum", 4),
        ("triage", None),
    ]
    app.synth()
    files = json.loads((Path(app.outdir) / "Stack.assets.json").read_text())["files"]
    (staged,) = [file for key, file in files.items() if key.startswith("adapter-manifests/")]
    assert staged["source"]["path"] == f"asset.{manifest.digest}.json"


def test_where_the_file_lies_and_how_it_is_written_makes_no_difference(
    stack: cdk.Stack, fleet: MakeFleet, write_manifest: WriteManifest, tmp_path: Path, resources: Resources
) -> None:
    fleet(AdapterManifest.from_file(write_manifest()), "One", component_prefix="one")
    (tmp_path / "elsewhere").mkdir()
    other = write_manifest(name="elsewhere/adapters.json")
    other.write_text(json.dumps(json.loads(other.read_text())))
    fleet(AdapterManifest.from_file(other), "Two", component_prefix="two")
    one, two = (found["Properties"]["Manifest"] for found in resources("Custom::AdapterFleet"))
    assert one == two


def test_a_file_that_is_not_there_is_an_error(fleet: MakeFleet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'path' should be a readable manifest, got '.*nowhere\.yaml'"):
        fleet(AdapterManifest.from_file(tmp_path / "nowhere.yaml"))


def test_a_bucket_of_the_app_is_named_by_an_alias(
    stack: cdk.Stack,
    make_endpoint: MakeEndpoint,
    write_manifest: WriteManifest,
    fleet_properties: FleetProperties,
) -> None:
    own = s3.Bucket(stack, "Own")
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=own, prefix="adapters/")])
    path = write_manifest({"name": "ectsum", "artifact": {"bucket": "own", "key": KEY}})
    AdapterFleet(
        stack,
        "Tenants",
        endpoint=endpoint,
        manifest=AdapterManifest.from_file(path, buckets={"own": own}),
    )
    assert fleet_properties()["Buckets"] == {"own": stack.resolve(own.bucket_name)}


def test_every_error_is_told_at_once_with_file_line_adapter_and_rule(
    fleet: MakeFleet, write_manifest: WriteManifest, tmp_path: Path
) -> None:
    path = write_manifest(
        {"name": "ectsum", "rank": 16},
        {"name": "x" * 63},
        {"name": "elsewhere", "artifact": f"s3://others/{KEY}"},
        {"name": "unknown", "artifact": {"bucket": "own", "key": KEY}},
        {"name": "local", "artifact": "./nothing"},
    )
    with pytest.raises(ValueError, match=r"^'Stack/Tenants': the manifest cannot be deployed:") as error:
        fleet(AdapterManifest.from_file(path))
    lines = str(error.value).splitlines()[1:]
    rules = ["lora-rank", "component-name", "bucket-known", "artifact-source", "artifact-place"]
    assert [line.rpartition("[")[2].rstrip("]") for line in lines] == rules
    for line, name in zip(lines, ("ectsum", "x" * 63, "unknown", "elsewhere", "local"), strict=True):
        assert line.startswith(f"  - {path}:")
        assert f"adapter {name!r}" in line


def test_a_document_that_is_none_is_an_error_with_file_and_line(fleet: MakeFleet, tmp_path: Path) -> None:
    path = tmp_path / "adapters.yaml"
    path.write_text("adapters:\n  - name: a\n    artifact: [")
    with pytest.raises(ValueError, match=rf"{path}:\d+: .*\[manifest-readable\]"):
        fleet(AdapterManifest.from_file(path))


def test_a_limit_below_a_declared_rank_is_an_error(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket, write_manifest: WriteManifest
) -> None:
    endpoint = make_endpoint(
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        artifact_sources=[ArtifactSource(bucket=bucket)],
    )
    with pytest.raises(ValueError, match=r"adapter 'ectsum'.*16 \[lora-rank\]"):
        AdapterFleet(
            stack,
            "Tenants",
            endpoint=endpoint,
            manifest=AdapterManifest.from_file(write_manifest({"name": "ectsum", "rank": 16})),
        )


def test_a_manifest_for_another_base_model_is_an_error(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket, write_manifest: WriteManifest
) -> None:
    endpoint = make_endpoint(
        base_model=BaseModel.from_bucket(bucket, "llama/", name="meta-llama/Llama-3.1-8B-Instruct"),
        artifact_sources=[ArtifactSource(bucket=bucket)],
    )
    with pytest.raises(ValueError, match=r"got 'Qwen/Qwen3-8B' \[manifest-base-model\]"):
        AdapterFleet(
            stack,
            "Tenants",
            endpoint=endpoint,
            manifest=AdapterManifest.from_file(write_manifest(base_model="Qwen/Qwen3-8B")),
        )


def test_a_directory_of_the_manifests_folder_is_checked_packed_and_named_by_its_identity(
    app: cdk.App,
    stack: cdk.Stack,
    fleet: MakeFleet,
    write_manifest: WriteManifest,
    adapter_directory: Path,
    compiled: Callable[[], Manifest],
    fleet_properties: FleetProperties,
) -> None:
    fleet(AdapterManifest.from_file(write_manifest({"name": "local", "artifact": "./triage"})))
    expected = identity_of(adapter_directory)
    (adapter,) = compiled().adapters
    assert adapter.known_digest == expected
    assert f"asset.{expected}.tar.gz" in archives(app)
    (uri,) = fleet_properties()["Archives"].items()
    assert uri == (
        expected,
        {
            "Fn::Sub": "s3://cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
            f"/lora-adapters/{expected}.tar.gz"
        },
    )


def test_an_archive_of_this_machine_keeps_its_content(
    app: cdk.App,
    fleet: MakeFleet,
    write_manifest: WriteManifest,
    adapter_directory: Path,
    tmp_path: Path,
    fleet_properties: FleetProperties,
) -> None:
    packed = pack(adapter_directory, tmp_path / "triage.tar.gz")
    fleet(AdapterManifest.from_file(write_manifest({"name": "local", "artifact": "./triage.tar.gz"})))
    assert list(fleet_properties()["Archives"]) == [packed.identity]
    assert identity_of(Path(app.outdir) / f"asset.{packed.identity}.tar.gz") == packed.identity


def test_what_is_wrong_with_a_directory_is_told_once_for_all_adapters_that_use_it(
    fleet: MakeFleet, write_manifest: WriteManifest, change_config: ChangeConfig
) -> None:
    change_config(r=16)
    path = write_manifest(*({"name": f"tenant{n}", "artifact": "./triage"} for n in range(3)))
    with pytest.raises(ValueError) as error:
        fleet(AdapterManifest.from_file(path))
    ranks = [line for line in str(error.value).splitlines() if "[lora-rank]" in line]
    assert len(ranks) == 1
    assert "adapter 'tenant0' and 2 more: " in ranks[0]
    assert "adapter_config.json" in ranks[0]


def test_one_directory_of_a_hundred_adapters_is_packed_once(
    app: cdk.App,
    fleet: MakeFleet,
    write_manifest: WriteManifest,
    monkeypatch: pytest.MonkeyPatch,
    compiled: Callable[[], Manifest],
) -> None:
    seen = []

    def counted(directory: Path) -> str:
        seen.append(directory)
        return identity_of(directory)

    monkeypatch.setattr("adapter_fleet.artifacts.packing.identity_of", counted)
    before = archives(app)
    fleet(
        AdapterManifest.from_file(
            write_manifest(*({"name": f"tenant{n}", "artifact": "./triage"} for n in range(100)))
        )
    )
    assert len(seen) == 1
    assert len(archives(app)) == len(before) + 1
    assert len(compiled().adapters) == 100


@pytest.fixture(autouse=True)
def adapter_in_folder(adapter_directory: Path) -> None:
    """Put `./triage` beside every manifest."""


def test_more_than_50_local_adapters_are_an_error_that_names_the_command(
    fleet: MakeFleet, write_manifest: WriteManifest, adapter_directory: Path, tmp_path: Path
) -> None:
    for number in range(51):
        shutil.copytree(adapter_directory, tmp_path / f"copy{number}")
    path = write_manifest(*({"name": f"t{n}", "artifact": f"./copy{n}"} for n in range(51)))
    with pytest.raises(ValueError, match=r"at most 50 .* got 51: .*'adapters publish'"):
        fleet(AdapterManifest.from_file(path))


def test_a_digest_that_is_another_one_is_an_error(fleet: MakeFleet, write_manifest: WriteManifest) -> None:
    path = write_manifest({"name": "local", "artifact": "./triage", "digest": f"sha256:{DIGEST}"})
    with pytest.raises(ValueError, match=rf"adapter 'local': .*{DIGEST}.*\[digest-agrees\]"):
        fleet(AdapterManifest.from_file(path))


def test_a_warning_about_a_local_adapter_is_one_of_the_fleet(
    fleet: MakeFleet, write_manifest: WriteManifest, change_config: ChangeConfig, warnings: Warnings
) -> None:
    change_config(base_model_name_or_path="meta-llama/Llama-3.1-8B-Instruct")
    fleet(AdapterManifest.from_file(write_manifest({"name": "local", "artifact": "./triage"})))
    (warning,) = [w for w in warnings() if "multi-adapter-inference:base-model-name" in w]
    assert "adapter 'local'" in warning


def test_probe_that_two_versions_answer_is_a_warning_of_the_fleet(
    fleet: MakeFleet, write_manifest: WriteManifest, warnings: Warnings
) -> None:
    probe = {"prompt": "Who?", "answer": "I am"}
    entries = (
        {"name": name, "artifact": f"s3://models/adapters/sha256-{n:064x}.tar.gz", "probe": probe}
        for n, name in enumerate(("acme", "beta"))
    )
    fleet(AdapterManifest.from_file(write_manifest(*entries)))
    (warning,) = [w for w in warnings() if "multi-adapter-inference:probe-shared" in w]
    assert "adapter 'beta': probe.answer" in warning


def test_adapters_may_be_listed_in_code(
    stack: cdk.Stack,
    fleet: MakeFleet,
    bucket: s3.IBucket,
    adapter_directory: Path,
    compiled: Callable[[], Manifest],
) -> None:
    smoke = SmokeTest(prompt="Hello", expect="[a-z]+")
    probe = AdapterProbe(prompt="Who?", answer="I am", max_tokens=4)
    fleet(
        AdapterManifest.from_adapters(
            [
                FleetAdapter(
                    name="ectsum",
                    artifact=AdapterArtifact.from_bucket(bucket, KEY),
                    rank=4,
                    tags={"tier": "gold"},
                    smoke=smoke,
                    probe=probe,
                ),
                FleetAdapter(
                    name="local",
                    artifact=AdapterArtifact.from_directory(adapter_directory),
                    component_name="triage-by-hand",
                ),
                FleetAdapter(
                    name="old",
                    artifact=AdapterArtifact.from_uri("s3://models/adapters/v3.tar.gz"),
                    digest=DIGEST,
                    smoke=False,
                ),
            ]
        )
    )
    ectsum, local, old = compiled().adapters
    assert (ectsum.rank, ectsum.tags, ectsum.smoke) == (4, {"tier": "gold"}, smoke.request())
    assert ectsum.probe == Probe(prompt="Who?", answer="I am", max_tokens=4)
    assert local.probe is None
    assert (local.component, local.known_digest) == ("triage-by-hand", identity_of(adapter_directory))
    assert (old.known_digest, old.smoke) == (DIGEST, False)


def test_adapters_in_code_are_staged_as_those_of_a_file(
    fleet: MakeFleet, compiled: Callable[[], Manifest]
) -> None:
    uri = "s3://models/adapters/v3.tar.gz"
    declared = {
        "name": "old",
        "artifact": uri,
        "digest": f"sha256:{DIGEST}",
        "rank": 4,
        "tags": {"tier": "gold"},
        "smoke": {"prompt": "Hello", "max_tokens": 3, "expect": "[a-z]+"},
        "probe": {"prompt": "Who?", "answer": "I am"},
        "component": "by-hand",
    }
    listed = FleetAdapter(
        name="old",
        artifact=AdapterArtifact.from_uri(uri),
        digest=DIGEST,
        rank=4,
        tags={"tier": "gold"},
        smoke=SmokeTest(prompt="Hello", max_tokens=3, expect="[a-z]+"),
        probe=AdapterProbe(prompt="Who?", answer="I am"),
        component_name="by-hand",
    )
    fleet(AdapterManifest.from_adapters([listed]))
    text = json.dumps({"adapters": [declared]}).encode()
    assert compiled().to_json() == Manifest.parse(text, where="fleet.json", folder=None).to_json()


def test_a_token_for_the_base_model_is_an_error(stack: cdk.Stack) -> None:
    name = cdk.CfnParameter(stack, "BaseModel").value_as_string
    with pytest.raises(ValueError, match="'base_model' should be known at synth, got a token"):
        AdapterManifest.from_adapters([], base_model=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": 5}, "'name' should be a text, got 5"),
        (
            {"artifact": "s3://a/b.tar.gz"},
            "'artifact' should be AdapterArtifact, got 's3://a/b.tar.gz'",
        ),
        ({"smoke": True}, "'smoke' should be SmokeTest .* got True"),
        ({"smoke": "hello"}, "'smoke' should be SmokeTest .* got 'hello'"),
    ],
)
def test_a_listed_adapter_that_cannot_be_is_an_error(
    bucket: s3.IBucket, settings: dict[str, Any], message: str
) -> None:
    good = {"name": "a", "artifact": AdapterArtifact.from_bucket(bucket, KEY)}
    with pytest.raises(ValueError, match=f"(^|: ){message}"):
        FleetAdapter(**{**good, **settings})


def test_something_else_than_adapters_in_the_list_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"'adapters' should be Sequence.FleetAdapter., got 'acme' at index 0"
    ):
        AdapterManifest.from_adapters(["acme"])  # type: ignore[list-item]


def test_a_listed_adapter_in_a_bucket_of_the_app_needs_no_alias(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, fleet_properties: FleetProperties
) -> None:
    own = s3.Bucket(stack, "Own")
    AdapterFleet(
        stack,
        "Tenants",
        endpoint=make_endpoint(artifact_sources=[ArtifactSource(bucket=own)]),
        manifest=AdapterManifest.from_adapters(
            [FleetAdapter(name="ectsum", artifact=AdapterArtifact.from_bucket(own, KEY))]
        ),
    )
    assert list(fleet_properties()["Buckets"].values()) == [stack.resolve(own.bucket_name)]


@pytest.mark.parametrize("where", ["key", "uri", "rank", "tags"])
def test_any_other_token_is_an_error_that_names_the_adapter(
    stack: cdk.Stack, fleet: MakeFleet, bucket: s3.IBucket, where: str
) -> None:
    token = cdk.CfnParameter(stack, "Parameter").value_as_string
    artifact = {
        "key": lambda: AdapterArtifact.from_bucket(bucket, f"{token}.tar.gz"),
        "uri": lambda: AdapterArtifact.from_uri(token),
    }.get(where, lambda: AdapterArtifact.from_bucket(bucket, KEY))()
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    traits: Any = {"tags": {"tags": {"tier": token}}, "rank": {"rank": number}}.get(where, {})
    with pytest.raises(ValueError, match=r"adapter 'ectsum'.*token"):
        fleet(AdapterManifest.from_adapters([FleetAdapter(name="ectsum", artifact=artifact, **traits)]))


def test_a_manifest_in_a_bucket_is_an_error_where_no_role_could_read_an_adapter(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    with pytest.raises(ValueError, match=r"^'Stack/Tenants': 'Stack/Llm' should have 'artifact_s"):
        AdapterFleet(
            stack,
            "Tenants",
            endpoint=make_endpoint(),
            manifest=AdapterManifest.from_bucket(bucket, "adapters.yaml"),
        )


def test_a_manifest_in_a_bucket_is_told_by_its_key_alone(
    stack: cdk.Stack, fleet: MakeFleet, fleet_properties: FleetProperties
) -> None:
    own = s3.Bucket(stack, "Own")
    fleet(AdapterManifest.from_bucket(own, "fleets/tenants.yaml", buckets={"adapters": own}))
    properties = fleet_properties()
    assert properties["ManifestObject"] == {
        "Bucket": stack.resolve(own.bucket_name),
        "Key": "fleets/tenants.yaml",
    }
    assert properties["Buckets"] == {"adapters": stack.resolve(own.bucket_name)}
    assert "Manifest" not in properties


@pytest.mark.parametrize("key", ["/a.yaml", "fleets/", "fleets/*.yaml", "a?.yaml", "${aws:username}.yaml"])
def test_a_key_that_is_none_or_stands_for_several_is_an_error(bucket: s3.IBucket, key: str) -> None:
    with pytest.raises(
        ValueError, match=f"'key' should be that of one object, .* got {re.escape(repr(key))}"
    ):
        AdapterManifest.from_bucket(bucket, key)


def test_a_key_may_be_known_at_deployment_only(
    stack: cdk.Stack, fleet: MakeFleet, bucket: s3.IBucket, fleet_properties: FleetProperties
) -> None:
    fleet(AdapterManifest.from_bucket(bucket, cdk.CfnParameter(stack, "Key").value_as_string))
    assert fleet_properties()["ManifestObject"]["Key"] == {"Ref": "Key"}


def test_an_endpoint_of_elsewhere_takes_archives_from_any_bucket(
    stack: cdk.Stack, write_manifest: WriteManifest, fleet_properties: FleetProperties
) -> None:
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Llm", endpoint_name="llama", base_component_name="base", component_prefix="acme"
    )
    AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(write_manifest()))
    assert fleet_properties()["BaseComponentName"] == "base"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "one of prompt, body should be given, got none"),
        ({"prompt": "a", "body": {}}, "one of prompt, body should be given, got prompt and body"),
        ({"prompt": "a", "max_tokens": 0}, "'max_tokens' should be above 0, got 0"),
        ({"prompt": "a", "max_tokens": 1.5}, r"'max_tokens' should be a whole number, got 1\.5"),
        ({"prompt": ""}, "'prompt' should not be empty, got ''"),
        ({"prompt": 5}, "'prompt' should be a text, got 5"),
        ({"body": "{}"}, "'body' should be Mapping.*, got '{}'"),
        ({"body": {"inputs": b"a"}}, "'body' should be plain data: .*bytes"),
        ({"body": {}, "max_tokens": 5}, "'max_tokens' should be given with prompt only, got 5"),
        ({"prompt": "a", "expect": "("}, r"'expect' should be a regular expression \(.*\), got '\('"),
    ],
)
def test_a_smoke_test_that_cannot_be_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(^|: ){message}"):
        SmokeTest(**settings)


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("prompt", lambda text, _: {"prompt": f"Say {text}"}),
        ("body", lambda text, _: {"body": {"inputs": [text]}}),
        ("body", lambda _, number: {"body": {"parameters": {"max_new_tokens": number}}}),
        ("expect", lambda text, _: {"prompt": "a", "expect": text}),
        ("max_tokens", lambda _, number: {"prompt": "a", "max_tokens": number}),
    ],
)
def test_a_smoke_test_that_a_parameter_says_is_an_error(
    stack: cdk.Stack, setting: str, settings: Callable[..., Any]
) -> None:
    text = cdk.CfnParameter(stack, "Text").value_as_string
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    with pytest.raises(ValueError, match=f"^SmokeTest: '{setting}' should be known at synth, got a token$"):
        SmokeTest(**settings(text, number))


@pytest.mark.parametrize("smoke", [SmokeTest(prompt="a"), SmokeTest(body={"inputs": "a"}, expect="b")])
def test_a_smoke_test_asks_the_same_in_a_manifest_as_for_the_whole_fleet(
    fleet: MakeFleet, bucket: s3.IBucket, compiled: Callable[[], Manifest], smoke: SmokeTest
) -> None:
    artifact = AdapterArtifact.from_bucket(bucket, KEY)
    fleet(AdapterManifest.from_adapters([FleetAdapter(name="a", artifact=artifact, smoke=smoke)]))
    assert compiled().adapters[0].smoke == smoke.request()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "", "answer": "a"}, "'prompt' should not be empty, got ''"),
        ({"prompt": "a", "answer": "b" * 201}, "'answer' should have at most 200 characters, got 201"),
        ({"prompt": "a", "answer": "b", "max_tokens": 0}, "'max_tokens' should be above 0, got 0"),
    ],
)
def test_a_probe_that_could_not_be_asked_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdapterProbe(**settings)


def test_a_probe_cannot_be_a_token() -> None:
    with pytest.raises(ValueError, match="'answer' should be known at synth, got a token"):
        AdapterProbe(prompt="a", answer=cdk.Aws.REGION)
