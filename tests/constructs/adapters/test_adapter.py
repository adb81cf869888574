import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    MultiAdapterEndpoint,
)
from tests.constructs.conftest import ChangeConfig, Components, MakeEndpoint, Warnings


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> MultiAdapterEndpoint:
    return make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])


@pytest.fixture
def artifact(bucket: s3.IBucket) -> AdapterArtifact:
    return AdapterArtifact.from_bucket(bucket, "adapters/ectsum/v1.tar.gz")


def test_an_adapter_says_its_base_and_its_archive_and_nothing_else(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact, components: Components
) -> None:
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact)
    assert components()[adapter.component_name]["Properties"] == {
        "InferenceComponentName": adapter.component_name,
        "EndpointName": stack.resolve(endpoint.endpoint_name),
        "Specification": {
            "BaseInferenceComponentName": endpoint.base_component_name,
            "Container": {"ArtifactUrl": "s3://models/adapters/ectsum/v1.tar.gz"},
        },
    }


def test_an_adapter_is_created_after_the_base_and_the_rights_and_so_deleted_before(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact, components: Components
) -> None:
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact)
    found = components()
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    assert set(found[adapter.component_name]["DependsOn"]) == {
        found[endpoint.base_component_name]["LogicalId"],
        policy,
    }


def test_an_adapter_in_another_stack_follows_the_endpoints_stack(
    app: cdk.App, stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    other = cdk.Stack(app, "Other")
    LoraAdapter(other, "Ectsum", endpoint=endpoint, artifact=artifact)
    app.synth()
    assert other.dependencies == [stack]


def test_the_name_is_prefix_adapter_and_a_hash(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    assert re.fullmatch(
        "acme-Ectsum-[0-9a-f]{8}", endpoint.add_adapter("Ectsum", artifact=artifact).component_name
    )


def test_the_name_may_differ_from_the_constructs_id(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact, adapter_name="earnings")
    assert adapter.component_name.startswith("acme-earnings-")


def synthesize(
    *,
    base_component_name: str = "base",
    component_prefix: str = "acme",
    component_name: str | None = None,
    key: str = "v1.tar.gz",
    component_per_version: bool = False,
) -> tuple[str, str]:
    """Return the name and the logical id of an adapter in an app of its own."""
    stack = cdk.Stack(cdk.App(), "Stack")
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack,
        "Endpoint",
        endpoint_name="llama",
        base_component_name=base_component_name,
        component_prefix=component_prefix,
    )
    artifact = AdapterArtifact.from_uri(f"s3://models/{key}")
    adapter = LoraAdapter(
        stack,
        "Ectsum",
        endpoint=endpoint,
        artifact=artifact,
        component_name=component_name,
        component_per_version=component_per_version,
    )
    (logical_id,) = Template.from_stack(stack).find_resources("AWS::SageMaker::InferenceComponent")
    return adapter.component_name, logical_id


def test_another_version_keeps_name_and_logical_id_so_that_it_is_an_update_in_place() -> None:
    assert synthesize(key="v1.tar.gz") == synthesize(key="v2.tar.gz")


def test_each_version_may_have_a_component_of_its_own() -> None:
    name, logical_id = synthesize(key="v1.tar.gz", component_per_version=True)
    assert (name, logical_id) == synthesize(key="v1.tar.gz", component_per_version=True)
    other_name, other_logical_id = synthesize(key="v2.tar.gz", component_per_version=True)
    assert name != other_name
    assert logical_id != other_logical_id


@pytest.mark.parametrize("whole", [False, True])
def test_key_that_is_known_at_deployment_only_has_no_versions_to_tell_apart(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, bucket: s3.IBucket, whole: bool
) -> None:
    parameter = cdk.CfnParameter(stack, "Parameter").value_as_string
    artifact = (
        AdapterArtifact.from_uri(parameter)
        if whole
        else AdapterArtifact.from_bucket(bucket, f"adapters/{parameter}.tar.gz")
    )
    with pytest.raises(
        ValueError, match=r"'Stack/Llm/A': 'artifact' should have a key that synth knows .*, got '.*Token\["
    ):
        endpoint.add_adapter("A", artifact=artifact, component_per_version=True)


def test_bucket_of_a_version_may_be_known_at_deployment_only(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    bucket = s3.Bucket(stack, "Own")
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket)])
    names = [
        endpoint.add_adapter(
            version,
            adapter_name="x",
            artifact=AdapterArtifact.from_bucket(bucket, f"{version}.tar.gz"),
            component_per_version=True,
        ).component_name
        for version in ("v1", "v2")
    ]
    assert names[0] != names[1]


def test_other_files_in_a_directory_are_another_version(
    endpoint: MultiAdapterEndpoint, adapter_directory: Path, change_config: ChangeConfig
) -> None:
    artifact = AdapterArtifact.from_directory(adapter_directory)
    before = endpoint.add_adapter("A", adapter_name="x", artifact=artifact, component_per_version=True)
    change_config(lora_dropout=0.5)
    after = endpoint.add_adapter("B", adapter_name="x", artifact=artifact, component_per_version=True)
    assert before.component_name != after.component_name


def test_pinned_name_and_a_component_per_version_exclude_each_other(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    with pytest.raises(ValueError, match="'component_name' should be left out with 'component_per_version'"):
        endpoint.add_adapter("A", artifact=artifact, component_name="a", component_per_version=True)


def test_another_base_changes_name_and_logical_id_so_that_it_is_a_replacement() -> None:
    name, logical_id = synthesize(base_component_name="one")
    other_name, other_logical_id = synthesize(base_component_name="another")
    assert name != other_name
    assert logical_id != other_logical_id


@pytest.mark.parametrize("setting", ["component_prefix", "component_name"])
def test_another_name_changes_the_logical_id_so_that_it_is_a_replacement(setting: str) -> None:
    one: dict[str, Any] = {setting: "one"}
    another: dict[str, Any] = {setting: "another"}
    name, logical_id = synthesize(**one)
    other_name, other_logical_id = synthesize(**another)
    assert name != other_name
    assert logical_id != other_logical_id


def test_an_endpoint_known_at_deployment_only_gives_names_that_stay() -> None:
    def name(tokens_before: int) -> str:
        stack = cdk.Stack(cdk.App(), "Stack")
        for _ in range(tokens_before):
            cdk.Fn.import_value("Other")
        endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
            stack,
            "Endpoint",
            endpoint_name=cdk.Fn.import_value("Endpoint"),
            base_component_name=cdk.Fn.import_value("Base"),
            component_prefix="acme",
        )
        artifact = AdapterArtifact.from_uri("s3://models/a.tar.gz")
        return LoraAdapter(stack, "A", endpoint=endpoint, artifact=artifact).component_name

    assert name(tokens_before=0) == name(tokens_before=3)


def test_a_prefix_known_at_deployment_only_begins_the_name(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint(component_prefix=cdk.CfnParameter(stack, "Prefix").value_as_string)
    (base,) = Template.from_stack(stack).find_resources("AWS::SageMaker::InferenceComponent").values()
    prefix, rest = base["Properties"]["InferenceComponentName"]["Fn::Join"][1]
    assert prefix == {"Ref": "Prefix"}
    assert rest.startswith("-base-")
    assert stack.resolve(endpoint.base_component_name) == base["Properties"]["InferenceComponentName"]


def test_a_pinned_name_is_used_as_it_is(endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact) -> None:
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact, component_name="earnings-summaries")
    assert adapter.component_name == "earnings-summaries"


def test_a_name_over_63_characters_is_an_error_and_not_cut(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    with pytest.raises(ValueError, match="'component_name' should have at most 63 characters, got 64"):
        endpoint.add_adapter("x" * 50, artifact=artifact)


def test_a_name_with_an_underscore_is_an_error(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    with pytest.raises(ValueError, match=r"should be letters, digits and hyphens .* got 'acme-ect_sum-"):
        endpoint.add_adapter("ect_sum", artifact=artifact)


@pytest.mark.parametrize(
    ("id", "settings", "given"),
    [
        ("tri_age", {}, "'component_prefix' 'acme' and 'id' 'tri_age'"),
        ("Triage", {"adapter_name": "tri_age"}, "'component_prefix' 'acme' and 'adapter_name' 'tri_age'"),
        ("Triage", {"component_name": "tri_age"}, "'component_name' 'tri_age'"),
    ],
    ids=["id", "adapter_name", "component_name"],
)
def test_an_error_in_a_name_tells_where_and_what_was_given(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact, id: str, settings: dict[str, Any], given: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"'Stack/Llm/{id}': 'component_name' should be .* made of {given}$"
    ):
        endpoint.add_adapter(id, artifact=artifact, **settings)


def test_the_known_part_of_a_name_is_checked_where_the_prefix_is_a_token(
    make_endpoint: MakeEndpoint, artifact: AdapterArtifact, bucket: s3.IBucket
) -> None:
    endpoint = make_endpoint(
        component_prefix=cdk.Aws.STACK_NAME, artifact_sources=[ArtifactSource(bucket=bucket)]
    )
    parts = "made of 'component_prefix' '<token>' and 'id' 'My_bad!'"
    with pytest.raises(ValueError, match=f"'component_name' should be letters, .* {parts}$"):
        endpoint.add_adapter("My_bad!", artifact=artifact)


def test_the_names_of_what_is_imported_are_checked(stack: cdk.Stack, endpoint: MultiAdapterEndpoint) -> None:
    with pytest.raises(ValueError, match=r"^'Stack/Theirs': .* should be letters, .* got 'no good!'"):
        LoraAdapter.from_component_name(stack, "Theirs", "no good!", endpoint=endpoint)
    with pytest.raises(ValueError, match=r"^'Stack/Their-Llm': .* made of 'base_component_name' 'ba_se'$"):
        MultiAdapterEndpoint.from_endpoint_attributes(
            stack, "Their-Llm", endpoint_name="llm", base_component_name="ba_se", component_prefix="acme"
        )


def test_an_id_that_the_endpoint_uses_itself_is_an_error(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, artifact: AdapterArtifact
) -> None:
    endpoint = make_endpoint(id="InVpc", vpc=ec2.Vpc(stack, "Vpc", max_azs=1), component_prefix="vpc")
    for child in list(endpoint.node.children):
        with pytest.raises(ValueError, match=f"'Stack/InVpc' keeps for its own parts, got '{child.node.id}'"):
            endpoint.add_adapter(child.node.id, artifact=artifact)


def test_an_id_that_the_endpoint_would_use_in_a_vpc_is_an_error_without_one(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    with pytest.raises(ValueError, match=r"none of AlarmPolicy, .*SecurityGroup, .*, got 'SecurityGroup'"):
        endpoint.add_adapter("SecurityGroup", artifact=artifact)


def test_two_adapters_of_one_id_are_an_error(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    endpoint.add_adapter("Ectsum", artifact=artifact)
    with pytest.raises(ValueError, match="got 'Ectsum' for 'Stack/Llm/Ectsum' and for another one"):
        endpoint.add_adapter("Ectsum", artifact=artifact, adapter_name="other")


def test_two_adapters_of_one_name_are_an_error_that_names_both(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    endpoint.add_adapter("First", artifact=artifact, adapter_name="ectsum")
    with pytest.raises(
        ValueError, match=r"got 'acme-ectsum-.*' for 'Stack/Llm/First' and 'Stack/Llm/Second'"
    ):
        endpoint.add_adapter("Second", artifact=artifact, adapter_name="ectsum")


def test_two_names_that_differ_in_case_only_are_an_error(
    endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    endpoint.add_adapter("First", artifact=artifact, component_name="Ectsum")
    with pytest.raises(ValueError, match="got 'eCTSum' for 'Stack/Llm/First' and 'Stack/Llm/Second'"):
        endpoint.add_adapter("Second", artifact=artifact, component_name="eCTSum")


def test_two_stacks_of_one_account_and_region_may_not_pin_the_same_name(
    app: cdk.App, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    environment = cdk.Environment(account="123456789012", region="eu-west-1")
    one, other = (cdk.Stack(app, name, env=environment) for name in ("One", "Other"))
    uri = AdapterArtifact.from_uri("s3://models/adapters/a.tar.gz")
    LoraAdapter(one, "A", endpoint=endpoint, artifact=uri, component_name="ectsum")
    with pytest.raises(ValueError, match="got 'ectsum' for 'One/A' and 'Other/A'"):
        LoraAdapter(other, "A", endpoint=endpoint, artifact=uri, component_name="ectsum")


def test_two_regions_may_have_the_same_name(app: cdk.App, endpoint: MultiAdapterEndpoint) -> None:
    uri = AdapterArtifact.from_uri("s3://models/adapters/a.tar.gz")
    for region in ("eu-west-1", "us-east-1"):
        stack = cdk.Stack(app, region, env=cdk.Environment(account="123456789012", region=region))
        adapter = LoraAdapter(stack, "A", endpoint=endpoint, artifact=uri, component_name="ectsum")
        assert adapter.component_name == "ectsum"


def test_a_name_known_at_deployment_only_is_not_checked(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact, components: Components
) -> None:
    name = cdk.CfnParameter(stack, "Name").value_as_string
    endpoint.add_adapter("Ectsum", artifact=artifact, component_name=name)
    assert Template.from_stack(stack).find_resources(
        "AWS::SageMaker::InferenceComponent", {"Properties": {"InferenceComponentName": {"Ref": "Name"}}}
    )


def test_grant_invoke_is_on_the_endpoint_and_this_adapter_alone(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact)
    endpoint.add_adapter("Other", artifact=artifact)
    caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    adapter.grant_invoke(caller).assert_success()
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "Roles": [stack.resolve(caller.role_name)],
            "PolicyDocument": {
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": [
                            "sagemaker:InvokeEndpoint",
                            "sagemaker:InvokeEndpointWithResponseStream",
                        ],
                        "Resource": stack.resolve([endpoint.endpoint_arn, adapter.component_arn]),
                    }
                ]
            },
        },
    )


def test_metrics_are_those_of_the_component(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
) -> None:
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact)
    metric = adapter.metric_model_latency(period=cdk.Duration.minutes(1), statistic="p99")
    assert (metric.namespace, metric.metric_name, metric.statistic) == (
        "AWS/SageMaker",
        "ModelLatency",
        "p99",
    )
    assert metric.dimensions == {"InferenceComponentName": adapter.component_name}
    assert metric.period.to_seconds() == 60


@pytest.mark.parametrize(
    ("method", "name", "statistic"),
    [
        ("metric_invocations", "Invocations", "Sum"),
        ("metric_client_errors", "Invocation4XXErrors", "Sum"),
        ("metric_server_errors", "Invocation5XXErrors", "Sum"),
        ("metric_model_errors", "InvocationModelErrors", "Sum"),
        ("metric_model_latency", "ModelLatency", "Average"),
        ("metric_overhead_latency", "OverheadLatency", "Average"),
    ],
)
def test_each_metric_has_its_official_name(
    endpoint: MultiAdapterEndpoint, method: str, name: str, statistic: str
) -> None:
    metric = getattr(endpoint, method)()
    assert (metric.metric_name, metric.statistic) == (name, statistic)
    assert metric.dimensions == {"InferenceComponentName": endpoint.base_component_name}


def test_any_other_metric_can_be_had_by_name(endpoint: MultiAdapterEndpoint) -> None:
    metric = endpoint.metric(
        "GPUMemoryUtilizationNormalized", namespace="/aws/sagemaker/InferenceComponents", statistic="Maximum"
    )
    assert (metric.namespace, metric.statistic) == ("/aws/sagemaker/InferenceComponents", "Maximum")


class TestArtifactInABucket:
    @pytest.mark.parametrize(("version", "count"), [(LmiVersion.V17, 0), (LmiVersion.V18, 1)])
    def test_an_archive_that_could_bring_code_is_warned_of_once_an_endpoint(
        self,
        make_endpoint: MakeEndpoint,
        bucket: s3.IBucket,
        warnings: Warnings,
        version: LmiVersion,
        count: int,
    ) -> None:
        endpoint = make_endpoint(
            container=LmiContainer(version=version), artifact_sources=[ArtifactSource(bucket=bucket)]
        )
        for name in ("One", "Two"):
            endpoint.add_adapter(name, artifact=AdapterArtifact.from_bucket(bucket, f"{name}.tar.gz"))
        assert sum("multi-adapter-inference:archives-in-s3-not-checked" in w for w in warnings()) == count

    def test_the_warning_of_code_can_be_acknowledged(
        self, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact, warnings: Warnings
    ) -> None:
        cdk.Annotations.of(endpoint).acknowledge_warning("multi-adapter-inference:archives-in-s3-not-checked")
        endpoint.add_adapter("Ectsum", artifact=artifact)
        assert not any("archives-in-s3-not-checked" in warning for warning in warnings())

    @pytest.mark.parametrize("prefix", ["acme", "acme/", "acme//"])
    def test_a_source_is_a_folder_so_that_it_takes_no_siblings(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket, prefix: str
    ) -> None:
        endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix=prefix)])
        endpoint.add_adapter("A", artifact=AdapterArtifact.from_bucket(bucket, "acme/a.tar.gz"))
        with pytest.raises(ValueError, match="should be under one of the endpoint's 'artifact_sources'"):
            endpoint.add_adapter("B", artifact=AdapterArtifact.from_bucket(bucket, "acme-eu/a.tar.gz"))
        (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
        assert ":s3:::models/acme/*" in str(policy)

    def test_a_source_that_begins_with_a_slash_is_an_error(self, bucket: s3.IBucket) -> None:
        with pytest.raises(ValueError, match="'prefix' should not start with '/', got '/acme'"):
            ArtifactSource(bucket=bucket, prefix="/acme")

    def test_a_source_known_at_deployment_only_is_left_as_it_is(
        self, stack: cdk.Stack, bucket: s3.IBucket
    ) -> None:
        prefix = cdk.CfnParameter(stack, "Prefix").value_as_string
        assert ArtifactSource(bucket=bucket, prefix=prefix).prefix == prefix

    def test_the_role_reads_the_source_it_is_under(
        self, stack: cdk.Stack, endpoint: MultiAdapterEndpoint, artifact: AdapterArtifact
    ) -> None:
        endpoint.add_adapter("Ectsum", artifact=artifact)
        (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
        assert ":s3:::models/adapters/*" in str(policy)

    def test_outside_every_source_it_is_an_error(
        self, endpoint: MultiAdapterEndpoint, bucket: s3.IBucket
    ) -> None:
        with pytest.raises(
            ValueError,
            match=r"'artifact_sources' \(s3://models/adapters/\), got 's3://models/other/a\.tar\.gz'",
        ):
            endpoint.add_adapter("A", artifact=AdapterArtifact.from_bucket(bucket, "other/a.tar.gz"))

    def test_in_another_bucket_it_is_an_error(self, endpoint: MultiAdapterEndpoint) -> None:
        with pytest.raises(ValueError, match="should be under one of the endpoint's 'artifact_sources'"):
            endpoint.add_adapter("A", artifact=AdapterArtifact.from_uri("s3://other/adapters/a.tar.gz"))

    def test_a_bucket_of_the_same_app_may_be_a_source(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
    ) -> None:
        own = s3.Bucket(stack, "Own")
        endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=own)])
        adapter = endpoint.add_adapter("A", artifact=AdapterArtifact.from_bucket(own, "a.tar.gz"))
        url = components()[adapter.component_name]["Properties"]["Specification"]["Container"]["ArtifactUrl"]
        assert url == {"Fn::Join": ["", ["s3://", stack.resolve(own.bucket_name), "/a.tar.gz"]]}

    def test_another_suffix_than_tar_gz_is_an_error(self, bucket: s3.IBucket) -> None:
        with pytest.raises(ValueError, match=r"should be a '\.tar\.gz', got 's3://models/a\.zip'"):
            AdapterArtifact.from_bucket(bucket, "a.zip")

    @pytest.mark.parametrize("uri", ["https://models/a.tar.gz", "s3://models", "s3:///a.tar.gz", "a.tar.gz"])
    def test_what_is_no_s3_uri_is_an_error(self, uri: str) -> None:
        with pytest.raises(ValueError, match="'uri' should be 's3://<bucket>/<key>', got"):
            AdapterArtifact.from_uri(uri)

    def test_a_uri_known_at_deployment_only_is_not_checked(
        self, stack: cdk.Stack, endpoint: MultiAdapterEndpoint, components: Components
    ) -> None:
        uri = cdk.CfnParameter(stack, "Uri").value_as_string
        adapter = endpoint.add_adapter("A", artifact=AdapterArtifact.from_uri(uri))
        specification = components()[adapter.component_name]["Properties"]["Specification"]
        assert specification["Container"]["ArtifactUrl"] == {"Ref": "Uri"}


@pytest.mark.parametrize("setting", ["adapter_name", "component_name"])
def test_an_adapters_name_that_a_parameter_may_change_is_warned_of(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, adapter_directory: Path, warnings: Warnings, setting: str
) -> None:
    named: dict[str, Any] = {setting: cdk.CfnParameter(stack, "Name").value_as_string}
    make_endpoint().add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory), **named)
    (warning,) = [text for text in warnings() if "cannot-change" in text]
    assert warning.startswith(f"'{setting}' comes from 'Name', whose value may change")


def test_an_imported_adapter_grants_and_measures_by_its_name(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint()
    imported = LoraAdapter.from_component_name(stack, "Ectsum", "Acme-ectsum", endpoint=endpoint)
    caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    imported.grant_invoke(caller)
    (policy,) = [
        policy["Properties"]["PolicyDocument"]
        for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
        if policy["Properties"]["Roles"] == [stack.resolve(caller.role_name)]
    ]
    (statement,) = policy["Statement"]
    names = [arn["Fn::Join"][1][-1].rpartition("/")[-1] for arn in statement["Resource"][1:]]
    assert names == ["acme-ectsum", "Acme-ectsum"]
    assert imported.metric_invocations().dimensions == {"InferenceComponentName": "Acme-ectsum"}
    assert len(Template.from_stack(stack).find_resources("AWS::SageMaker::InferenceComponent")) == 1
