import json
import re
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    LoraServing,
    MultiAdapterEndpoint,
)
from tests.constructs.conftest import (
    MakeEndpoint,
    endpoint_of,
    imported_endpoint,
    warnings_of,
)
from tests.constructs.resources import Resources


def test_without_a_prefix_the_names_begin_with_that_of_the_stack(make_endpoint: MakeEndpoint) -> None:
    assert re.fullmatch(
        "Stack-Llm-[0-9A-F]{8}-base-[0-9a-f]{8}", make_endpoint(component_prefix=None).base_component_name
    )


def test_another_endpoint_or_another_name_of_the_base_component_is_a_replacement(
    make_endpoint: MakeEndpoint,
) -> None:
    def base(id: str = "Llm", **settings: str) -> tuple[str, str]:
        stack = cdk.Stack(cdk.App(), "Stack")
        endpoint = make_endpoint(stack, id, **settings)
        resource = cast("cdk.CfnElement", endpoint.node.find_child("Base"))
        return endpoint.base_component_name, str(stack.resolve(resource.logical_id))

    assert base() == base()
    names, logical_ids = zip(base(), base("Other"), base(base_component_name="own"), strict=True)
    assert len(set(names)) == len(set(logical_ids)) == 3


def test_in_a_vpc_model_and_endpoint_have_its_private_subnets_and_a_security_group(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    database = ec2.SecurityGroup(stack, "Database", vpc=vpc)
    endpoint = make_endpoint(vpc=vpc)
    endpoint.connections.allow_from(ec2.Peer.ipv4("10.0.0.0/8"), ec2.Port.HTTPS)
    database.connections.allow_from(endpoint, ec2.Port.tcp(5432))

    template = Template.from_stack(stack)
    network = {
        "Subnets": stack.resolve([subnet.subnet_id for subnet in vpc.private_subnets]),
        "SecurityGroupIds": stack.resolve(
            [group.security_group_id for group in endpoint.connections.security_groups]
        ),
    }
    template.has_resource_properties("AWS::SageMaker::Model", {"VpcConfig": network})
    template.has_resource_properties("AWS::SageMaker::EndpointConfig", {"VpcConfig": network})
    template.has_resource_properties(
        "AWS::EC2::SecurityGroup",
        {"SecurityGroupIngress": [Match.object_like({"CidrIp": "10.0.0.0/8", "ToPort": 443})]},
    )
    template.has_resource_properties("AWS::EC2::SecurityGroupIngress", {"FromPort": 5432, "ToPort": 5432})
    # In a new network, what downloads waits for the routes.
    routes = {name for name in template.find_resources("AWS::EC2::Route") if "Private" in name}
    assert routes
    for type_ in ("AWS::SageMaker::Endpoint", "AWS::SageMaker::InferenceComponent"):
        (resource,) = template.find_resources(type_).values()
        assert routes <= set(resource["DependsOn"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"instance_count": 0}, "'instance_count' should be at least 1, got 0"),
        ({"max_instances": 0}, "'max_instances' should be at least 1, got 0"),
        ({"copy_count": 0}, "'copy_count' should be at least 1, got 0"),
        ({"component_prefix": "my_team"}, ".* made of 'component_prefix' 'my_team'"),
        (
            {"network_isolation": True, "base_model": BaseModel.from_hugging_face_hub("org/model")},
            "'base_model' should be one that SageMaker downloads",
        ),
    ],
    ids=["instances", "most instances", "copies", "prefix", "isolation"],
)
def test_what_cannot_be_is_an_error_with_the_endpoint(
    make_endpoint: MakeEndpoint, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'Stack/Llm': {message}"):
        make_endpoint(**settings)


def test_what_needs_a_vpc_or_other_instances_is_an_error(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    with pytest.raises(ValueError, match="'vpc' should be given with 'vpc_subnets' or 'security_groups'"):
        make_endpoint(security_groups=[group])
    with pytest.raises(ValueError, match="'Stack/Outside': 'vpc' should be given to have connections"):
        _ = make_endpoint(id="Outside").connections
    with pytest.raises(ValueError, match=r"'encryption_key' should be left out for ml\.g5\.12xlarge"):
        make_endpoint(id="Stored", encryption_key=kms.Key(stack, "Key"))


@pytest.mark.parametrize(("sources", "warned"), [(20, False), (21, True)])
def test_more_sources_than_a_roles_policies_have_room_for_are_warned_of(
    make_endpoint: MakeEndpoint, bucket: s3.IBucket, sources: int, *, warned: bool
) -> None:
    endpoint = make_endpoint(
        artifact_sources=[ArtifactSource(bucket=bucket, prefix=f"{n}/") for n in range(sources)]
    )
    assert any("long-policy" in warning for warning in warnings_of(endpoint)) is warned


@pytest.mark.parametrize(
    ("instance_count", "copy_count", "warned"),
    [(2, 2, True), (2, 1, True), (3, 2, False)],
    ids=["no room", "one copy", "two copies and room for one"],
)
def test_a_rolling_update_without_room_is_warned_of(
    make_endpoint: MakeEndpoint, instance_count: int, copy_count: int, warned: bool
) -> None:
    endpoint = make_endpoint(instance_count=instance_count, copy_count=copy_count)
    endpoint.endpoint.node.validate()
    assert any("no-room-for-rolling-update" in text for text in warnings_of(endpoint)) is warned


class TestImportedEndpoint:
    def test_its_adapters_wait_until_its_role_may_read_them(
        self, stack: cdk.Stack, adapter_directory: Path
    ) -> None:
        role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution")
        imported = imported_endpoint(stack, role=role)
        LoraAdapter(
            stack, "Triage", endpoint=imported, artifact=AdapterArtifact.from_directory(adapter_directory)
        )
        resources = Resources.of(stack)
        assert [statement["Action"] for statement in resources.statements()] == ["s3:GetObject"]
        adapter = resources.id_of("AWS::SageMaker::InferenceComponent")
        assert resources[adapter]["DependsOn"] == [resources.id_of("AWS::IAM::Policy")]

    def test_grant_invoke_names_it_as_sagemaker_does_and_as_it_is(self, stack: cdk.Stack) -> None:
        imported = imported_endpoint(stack, endpoint_name="Llama-Endpoint", base_component_name="Llama-Base")
        caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        imported.grant_invoke(caller)
        (statement,) = Resources.of(stack).statements()
        names = [resource["Fn::Join"][1][-1].rpartition("/")[-1] for resource in statement["Resource"]]
        assert names == ["llama-endpoint", "llama-base", "Llama-Base"]

    def test_fleet_may_ask_the_base_model_by_either_spelling(
        self, stack: cdk.Stack, bucket: s3.IBucket
    ) -> None:
        imported = imported_endpoint(stack, endpoint_name="Llama-Endpoint", base_component_name="Llama-Base")
        AdapterFleet(
            stack, "Tenants", endpoint=imported, manifest=AdapterManifest.from_bucket(bucket, "tenants.yaml")
        )
        asked = [
            [json.dumps(arn).rpartition("/")[2].rstrip('"]}') for arn in statement["Resource"]]
            for role in Resources.of(stack).of_type("AWS::IAM::Role").values()
            for policy in role.get("Policies", ())
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Action"] == "sagemaker:InvokeEndpoint"
        ]
        assert asked == [["llama-endpoint", "llama-base", "Llama-Base"]]

    def test_token_as_its_name_needs_its_arn_for_grants(self, stack: cdk.Stack) -> None:
        name, arn = cdk.Fn.import_value("Name"), cdk.Fn.import_value("Arn")
        warned = imported_endpoint(stack, "Name", endpoint_name=name)
        given = imported_endpoint(stack, "Arn", endpoint_name=name, endpoint_arn=arn)
        assert any("give 'endpoint_arn'" in text for text in warnings_of(warned))
        assert not any("give 'endpoint_arn'" in text for text in warnings_of(given))
        assert given.endpoint_arn == arn
        with pytest.raises(
            ValueError, match=r"'Stack/Wrong': 'endpoint_arn' should be the ARN of an endpoint"
        ):
            imported_endpoint(
                stack, "Wrong", endpoint_arn="arn:aws:sagemaker:us-east-1:111122223333:endpoint/Llm"
            )

    def test_a_method_of_an_own_endpoint_names_the_construct_to_use(self, stack: cdk.Stack) -> None:
        imported: Any = imported_endpoint(stack)
        with pytest.raises(AttributeError, match=r"no 'add_fleet': use AdapterFleet\(scope, id, endpoint=…"):
            imported.add_fleet("Tenants")


@pytest.mark.parametrize("setting", ["component_prefix", "base_component_name"])
def test_a_name_that_a_parameter_may_change_is_warned_of(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, setting: str
) -> None:
    endpoint = make_endpoint(**{setting: cdk.CfnParameter(stack, "Name").value_as_string})
    (warning,) = [
        text for text in warnings_of(endpoint) if f"{setting.replace('_', '-')}-cannot-change" in text
    ]
    assert warning.startswith(f"'{setting}' comes from 'Name', whose value may change")


class TestInAnotherStack:
    """A fleet in another stack than its endpoint learns which base model it has."""

    @pytest.fixture
    def other(self, app: cdk.App) -> cdk.Stack:
        return cdk.Stack(app, "Other")

    def test_it_takes_no_count_that_only_the_deployment_knows(
        self, stack: cdk.Stack, other: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        count = cdk.CfnParameter(stack, "Copies", type="Number").value_as_number
        endpoint = make_endpoint(copy_count=count)
        assert endpoint.hosting_for(other) == {"InstanceType": "ml.g5.12xlarge", "InstanceCount": 1}
        assert endpoint.hosting_for(stack)["CopyCount"] == count

    @pytest.mark.slow
    def test_it_is_told_of_another_base_model_without_an_export(self, tmp_path: Path) -> None:
        def version(**settings: Any) -> str:
            app = cdk.App(outdir=str(tmp_path / "other.out"))
            first, second = cdk.Stack(app, "First"), cdk.Stack(app, "Second")
            models = s3.Bucket(first, "Models")
            prefix = settings.pop("prefix", "llama/")
            base_model = BaseModel.from_bucket(models, prefix)
            endpoint: MultiAdapterEndpoint = endpoint_of(
                first, "Llm", models, base_model=base_model, **settings
            )
            told = endpoint.base_model_version_for(second)
            bucket = cast("cdk.CfnElement", models.node.default_child)
            bucket.override_logical_id("Renamed")  # nothing has fixed it yet
            return str(second.resolve(told))

        told = version()
        assert re.fullmatch("[0-9a-f]{16}", told)
        assert version() == told
        others: list[dict[str, Any]] = [
            {"prefix": "qwen/"},
            {"container": LmiContainer(version=LmiVersion.V20)},
            {"container": LmiContainer(version=LmiVersion.V19, environment={"OPTION_X": "1"})},
            {"lora": LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=64)},
            {"network_isolation": False},
        ]
        assert len({told, *(version(**other) for other in others)}) == 6
