import re
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    IBaseComponent,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    MultiAdapterEndpoint,
)
from multi_adapter_inference.models.artifact_source import may_hold
from tests.constructs.conftest import ChangeConfig, MakeEndpoint, imported_endpoint, warnings_of
from tests.constructs.resources import Resources


@pytest.fixture
def endpoint(stack: cdk.Stack) -> IBaseComponent:
    return imported_endpoint(stack)


@pytest.fixture
def artifact(bucket: s3.IBucket) -> AdapterArtifact:
    return AdapterArtifact.from_bucket(bucket, "adapters/ectsum/v1.tar.gz")


def test_the_name_is_prefix_adapter_and_a_hash(
    stack: cdk.Stack, endpoint: IBaseComponent, artifact: AdapterArtifact
) -> None:
    def name(id: str, **settings: Any) -> str:
        return LoraAdapter(stack, id, endpoint=endpoint, artifact=artifact, **settings).component_name

    assert re.fullmatch("acme-Ectsum-[0-9a-f]{8}", name("Ectsum"))
    assert re.fullmatch("acme-earnings-[0-9a-f]{8}", name("Named", adapter_name="earnings"))
    assert name("Pinned", component_name="earnings-summaries") == "earnings-summaries"


def name_and_logical_id(
    *,
    base_component_name: str = "base",
    component_prefix: str = "acme",
    component_name: str | None = None,
    key: str = "v1.tar.gz",
    component_per_version: bool = False,
) -> tuple[str, str]:
    """Return the name and the logical id of an adapter in an app of its own."""
    stack = cdk.Stack(cdk.App(), "Stack")
    adapter = LoraAdapter(
        stack,
        "Ectsum",
        endpoint=imported_endpoint(
            stack, base_component_name=base_component_name, component_prefix=component_prefix
        ),
        artifact=AdapterArtifact.from_uri(f"s3://models/{key}"),
        component_name=component_name,
        component_per_version=component_per_version,
    )
    resource = cast("cdk.CfnElement", adapter.node.default_child)
    return adapter.component_name, str(stack.resolve(resource.logical_id))


def test_another_version_is_an_update_in_place_unless_each_has_a_component_of_its_own() -> None:
    assert name_and_logical_id(key="v1.tar.gz") == name_and_logical_id(key="v2.tar.gz")
    name, logical_id = name_and_logical_id(key="v1.tar.gz", component_per_version=True)
    assert (name, logical_id) == name_and_logical_id(key="v1.tar.gz", component_per_version=True)
    other_name, other_logical_id = name_and_logical_id(key="v2.tar.gz", component_per_version=True)
    assert name != other_name
    assert logical_id != other_logical_id


@pytest.mark.parametrize("setting", ["base_component_name", "component_prefix", "component_name"])
def test_another_base_or_name_changes_the_logical_id_so_that_it_is_a_replacement(setting: str) -> None:
    one: dict[str, Any] = {setting: "one"}
    another: dict[str, Any] = {setting: "another"}
    name, logical_id = name_and_logical_id(**one)
    other_name, other_logical_id = name_and_logical_id(**another)
    assert name != other_name
    assert logical_id != other_logical_id


def version_name(stack: cdk.Stack, endpoint: IBaseComponent, id: str, artifact: AdapterArtifact) -> str:
    """Return the name of an adapter whose versions have components of their own."""
    adapter = LoraAdapter(
        stack, id, endpoint=endpoint, adapter_name="x", artifact=artifact, component_per_version=True
    )
    return adapter.component_name


def test_key_that_is_known_at_deployment_only_has_no_versions_to_tell_apart(
    stack: cdk.Stack, endpoint: IBaseComponent, bucket: s3.IBucket
) -> None:
    parameter = cdk.CfnParameter(stack, "Parameter").value_as_string
    for name, artifact in {
        "Whole": AdapterArtifact.from_uri(parameter),
        "Part": AdapterArtifact.from_bucket(bucket, f"adapters/{parameter}.tar.gz"),
    }.items():
        message = rf"'Stack/{name}': 'artifact' should have a key that synth knows .*, got '.*Token\["
        with pytest.raises(ValueError, match=message):
            version_name(stack, endpoint, name, artifact)


def test_other_files_in_a_directory_are_another_version(
    stack: cdk.Stack, endpoint: IBaseComponent, adapter_directory: Path, change_config: ChangeConfig
) -> None:
    artifact = AdapterArtifact.from_directory(adapter_directory)
    before = version_name(stack, endpoint, "A", artifact)
    change_config(lora_dropout=0.5)
    assert before != version_name(stack, endpoint, "B", artifact)


def test_pinned_name_and_a_component_per_version_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="'component_name' should be left out with 'component_per_version'"):
        name_and_logical_id(component_name="a", component_per_version=True)


def test_an_endpoint_known_at_deployment_only_gives_names_that_stay() -> None:
    def name(tokens_before: int) -> str:
        stack = cdk.Stack(cdk.App(), "Stack")
        for _ in range(tokens_before):
            cdk.Fn.import_value("Other")
        endpoint = imported_endpoint(
            stack,
            endpoint_name=cdk.Fn.import_value("Endpoint"),
            base_component_name=cdk.Fn.import_value("Base"),
        )
        artifact = AdapterArtifact.from_uri("s3://models/a.tar.gz")
        return LoraAdapter(stack, "A", endpoint=endpoint, artifact=artifact).component_name

    assert name(tokens_before=0) == name(tokens_before=3)


@pytest.mark.parametrize(
    ("prefix", "id", "settings", "given"),
    [
        ("acme", "tri_age", {}, "'component_prefix' 'acme' and 'id' 'tri_age'"),
        ("acme", "Triage", {"component_name": "tri_age"}, "'component_name' 'tri_age'"),
        (cdk.Aws.STACK_NAME, "My_bad!", {}, "'component_prefix' '<token>' and 'id' 'My_bad!'"),
    ],
    ids=["id", "component_name", "id after a token"],
)
def test_an_error_in_a_name_tells_where_and_what_was_given(
    stack: cdk.Stack, artifact: AdapterArtifact, prefix: str, id: str, settings: dict[str, Any], given: str
) -> None:
    endpoint = imported_endpoint(stack, component_prefix=prefix)
    said = rf"'Stack/{id}': 'component_name' should be letters, .* made of {given}$"
    with pytest.raises(ValueError, match=said):
        LoraAdapter(stack, id, endpoint=endpoint, artifact=artifact, **settings)


def test_the_names_of_what_is_imported_are_checked(stack: cdk.Stack, endpoint: IBaseComponent) -> None:
    with pytest.raises(ValueError, match=r"^'Stack/Theirs': .* should be letters, .* got 'no good!'"):
        LoraAdapter.from_component_name(stack, "Theirs", "no good!", endpoint=endpoint)
    with pytest.raises(ValueError, match=r"^'Stack/Their-Llm': .* made of 'base_component_name' 'ba_se'$"):
        imported_endpoint(stack, "Their-Llm", base_component_name="ba_se")


def test_an_id_that_the_endpoint_uses_itself_is_an_error(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, artifact: AdapterArtifact
) -> None:
    vpc = ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-1", availability_zones=["a"], private_subnet_ids=["subnet-a"]
    )
    endpoint = make_endpoint(id="InVpc", vpc=vpc)
    for child in list(endpoint.node.children):
        with pytest.raises(ValueError, match=f"'Stack/InVpc' keeps for its own parts, got '{child.node.id}'"):
            endpoint.add_adapter(child.node.id, artifact=artifact)


def test_grant_invoke_is_on_the_endpoint_and_this_adapter_alone(
    stack: cdk.Stack, endpoint: IBaseComponent, artifact: AdapterArtifact
) -> None:
    adapter = LoraAdapter(stack, "Ectsum", endpoint=endpoint, artifact=artifact)
    caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    adapter.grant_invoke(caller).assert_success()
    assert Resources.of(stack).statements() == [
        {
            "Effect": "Allow",
            "Action": ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"],
            "Resource": stack.resolve([endpoint.endpoint_arn, adapter.component_arn]),
        }
    ]


def test_metrics_are_those_of_the_component_with_their_official_names(
    endpoint: IBaseComponent,
) -> None:
    for method, official in {
        "invocations": ("Invocations", "Sum"),
        "client_errors": ("Invocation4XXErrors", "Sum"),
        "server_errors": ("Invocation5XXErrors", "Sum"),
        "model_errors": ("InvocationModelErrors", "Sum"),
        "model_latency": ("ModelLatency", "Average"),
        "overhead_latency": ("OverheadLatency", "Average"),
    }.items():
        metric = getattr(endpoint, f"metric_{method}")()
        assert (metric.namespace, metric.metric_name, metric.statistic) == ("AWS/SageMaker", *official)
        assert metric.dimensions == {"InferenceComponentName": "base"}
    # Any other one can be had by name.
    namespace = "/aws/sagemaker/InferenceComponents"
    metric = endpoint.metric("GPUMemoryUtilizationNormalized", namespace=namespace, statistic="Maximum")
    assert (metric.namespace, metric.statistic) == (namespace, "Maximum")


class TestArtifactInABucket:
    @pytest.mark.parametrize(("version", "count"), [(LmiVersion.V17, 0), (LmiVersion.V18, 1)])
    def test_an_archive_that_could_bring_code_is_warned_of_once_an_endpoint(
        self, make_endpoint: MakeEndpoint, bucket: s3.IBucket, version: LmiVersion, count: int
    ) -> None:
        endpoint: MultiAdapterEndpoint = make_endpoint(
            container=LmiContainer(version=version), artifact_sources=[ArtifactSource(bucket=bucket)]
        )
        for name in ("One", "Two"):
            endpoint.add_adapter(name, artifact=AdapterArtifact.from_bucket(bucket, f"{name}.tar.gz"))
        warnings = warnings_of(endpoint)
        assert sum("multi-adapter-inference:archives-in-s3-not-checked" in w for w in warnings) == count

    @pytest.mark.parametrize("prefix", ["acme", "acme/", "acme//"])
    def test_a_source_is_a_folder_so_that_it_takes_no_siblings(self, bucket: s3.IBucket, prefix: str) -> None:
        source = ArtifactSource(bucket=bucket, prefix=prefix)
        assert source.prefix == "acme/"
        assert may_hold([source], "models", "acme/a.tar.gz")
        assert not may_hold([source], "models", "acme-eu/a.tar.gz")
        assert not may_hold([source], "others", "acme/a.tar.gz")
        with pytest.raises(ValueError, match=r"'prefix' should be a folder .*, got '/acme'"):
            ArtifactSource(bucket=bucket, prefix="/acme")

    def test_a_source_known_at_deployment_only_may_hold_anything(self, bucket: s3.IBucket) -> None:
        source = ArtifactSource(bucket=bucket, prefix=cdk.Aws.REGION)
        assert source.prefix == cdk.Aws.REGION
        assert may_hold([source], "models", "acme/a.tar.gz")

    def test_outside_every_source_it_is_an_error(self, stack: cdk.Stack, bucket: s3.IBucket) -> None:
        sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
        endpoint = imported_endpoint(stack, artifact_sources=sources)
        artifact = AdapterArtifact.from_bucket(bucket, "other/a.tar.gz")
        message = r"'artifact_sources' \(s3://models/adapters/\), got 's3://models/other/a\.tar\.gz'"
        with pytest.raises(ValueError, match=message):
            LoraAdapter(stack, "A", endpoint=endpoint, artifact=artifact)

    def test_another_suffix_than_tar_gz_is_an_error(self, bucket: s3.IBucket) -> None:
        with pytest.raises(ValueError, match=r"should be a '\.tar\.gz', got 's3://models/a\.zip'"):
            AdapterArtifact.from_bucket(bucket, "a.zip")

    @pytest.mark.parametrize("uri", ["https://models/a.tar.gz", "s3://models", "s3:///a.tar.gz"])
    def test_what_is_no_s3_uri_is_an_error(self, uri: str) -> None:
        with pytest.raises(ValueError, match="'uri' should be 's3://<bucket>/<key>', got"):
            AdapterArtifact.from_uri(uri)

    def test_a_uri_known_at_deployment_only_is_not_checked(
        self, stack: cdk.Stack, endpoint: IBaseComponent
    ) -> None:
        uri = cdk.CfnParameter(stack, "Uri").value_as_string
        LoraAdapter(stack, "A", endpoint=endpoint, artifact=AdapterArtifact.from_uri(uri))
        adapter = Resources.of(stack).only("AWS::SageMaker::InferenceComponent")
        assert adapter["Specification"]["Container"]["ArtifactUrl"] == {"Ref": "Uri"}


@pytest.mark.parametrize("setting", ["adapter_name", "component_name"])
def test_an_adapters_name_that_a_parameter_may_change_is_warned_of(
    stack: cdk.Stack, endpoint: IBaseComponent, artifact: AdapterArtifact, setting: str
) -> None:
    named: dict[str, Any] = {setting: cdk.CfnParameter(stack, "Name").value_as_string}
    # Such a name is not checked.
    adapter = LoraAdapter(stack, "Triage", endpoint=endpoint, artifact=artifact, **named)
    (warning,) = [text for text in warnings_of(adapter) if "cannot-change" in text]
    assert warning.startswith(f"'{setting}' comes from 'Name', whose value may change")
