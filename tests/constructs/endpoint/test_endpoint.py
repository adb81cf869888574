import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    IMultiAdapterEndpoint,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    LoraServing,
    MultiAdapterEndpoint,
    RoutingStrategy,
    StartupTimeouts,
)
from tests.constructs.conftest import ChangeConfig, Components, MakeEndpoint, Warnings


def statements(stack: cdk.Stack) -> list[dict[str, Any]]:
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    return [
        statement for policy in policies for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def test_the_endpoint_configuration_has_no_model_and_none_of_the_resources_a_physical_name(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {
            "EndpointConfigName": Match.absent(),
            "ExecutionRoleArn": Match.any_value(),
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": Match.absent(),
                    "InstanceType": "ml.g5.12xlarge",
                    "InitialInstanceCount": 1,
                    "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
                }
            ],
        },
    )
    template.has_resource_properties("AWS::SageMaker::Model", {"ModelName": Match.absent()})
    template.has_resource_properties("AWS::SageMaker::Endpoint", {"EndpointName": Match.absent()})


def test_the_base_component_takes_the_compute_it_is_given_on_the_variant(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint(
        startup=StartupTimeouts(
            model_download=cdk.Duration.minutes(15), container_health_check=cdk.Duration.minutes(20)
        )
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::InferenceComponent",
        {
            "VariantName": "AllTraffic",
            "RuntimeConfig": {"CopyCount": 1},
            "Specification": {
                "ComputeResourceRequirements": {
                    "MinMemoryRequiredInMb": 32000,
                    "NumberOfAcceleratorDevicesRequired": 4,
                },
                "StartupParameters": {
                    "ModelDataDownloadTimeoutInSeconds": 900,
                    "ContainerStartupHealthCheckTimeoutInSeconds": 1200,
                },
            },
        },
    )


def test_the_base_components_name_begins_with_the_prefix(make_endpoint: MakeEndpoint) -> None:
    assert re.fullmatch("acme-base-[0-9a-f]{8}", make_endpoint().base_component_name)


def test_without_a_prefix_the_names_begin_with_that_of_the_stack(make_endpoint: MakeEndpoint) -> None:
    assert re.fullmatch(
        "Stack-Llm-[0-9A-F]{8}-base-[0-9a-f]{8}", make_endpoint(component_prefix=None).base_component_name
    )


def test_the_base_components_name_can_be_pinned(make_endpoint: MakeEndpoint) -> None:
    assert make_endpoint(base_component_name="llama").base_component_name == "llama"


def test_another_endpoint_has_a_base_component_of_another_name_and_logical_id(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
) -> None:
    first = make_endpoint(id="First")
    second = make_endpoint(id="Second")
    found = components()
    assert first.base_component_name != second.base_component_name
    assert found[first.base_component_name]["LogicalId"] != found[second.base_component_name]["LogicalId"]


def test_another_name_of_the_base_component_is_a_replacement(make_endpoint: MakeEndpoint) -> None:
    def logical_id(name: str) -> str:
        stack = cdk.Stack(cdk.App(), "Stack")
        make_endpoint(stack, base_component_name=name)
        (found,) = Template.from_stack(stack).find_resources("AWS::SageMaker::InferenceComponent")
        return found

    assert logical_id("one") == logical_id("one")
    assert logical_id("one") != logical_id("two")


def test_what_runs_waits_for_the_policies_of_its_role(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint()
    template = Template.from_stack(stack)
    (policy,) = template.find_resources("AWS::IAM::Policy")
    for kind in ("Model", "Endpoint", "InferenceComponent"):
        template.has_resource(f"AWS::SageMaker::{kind}", {"DependsOn": Match.array_with([policy])})


def test_a_changed_environment_gives_the_base_component_another_model() -> None:
    def synthesize(max_model_len: str) -> tuple[tuple[str, Mapping[str, Any]], Mapping[str, Any]]:
        stack = cdk.Stack(cdk.App(), "Stack")
        bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
        MultiAdapterEndpoint(
            stack,
            "Llm",
            base_model=BaseModel.from_bucket(bucket, "llama/"),
            container=LmiContainer(
                version=LmiVersion.V19, environment={"OPTION_MAX_MODEL_LEN": max_model_len}
            ),
            lora=LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=8),
            instance_type=InstanceType.ML_G5_XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(8)),
        )
        template = Template.from_stack(stack)
        (model,) = template.find_resources("AWS::SageMaker::Model").items()
        (base,) = template.find_resources("AWS::SageMaker::InferenceComponent").values()
        return model, base

    model, base = synthesize("4096")
    changed_model, changed_base = synthesize("6000")

    # Every property of the model is create-only, so that the change replaces it, and its name is generated.
    # The component refers to that name, so that CloudFormation updates it to the new one.
    assert model != changed_model
    assert base == changed_base
    assert base["Properties"]["Specification"]["ModelName"] == {"Fn::GetAtt": [model[0], "ModelName"]}


def test_the_role_reads_the_models_prefix_and_nothing_else_of_the_bucket(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    reads = [s for s in statements(stack) if "s3:GetObject" in s["Action"] or "s3:ListBucket" in s["Action"]]
    assert [
        (s["Action"], stack.resolve(s["Resource"])["Fn::Join"][1][-1], s.get("Condition")) for s in reads
    ] == [
        ("s3:GetObject", ":s3:::models/llama-3.1-8b-instruct/*", None),
        ("s3:ListBucket", ":s3:::models", {"StringLike": {"s3:prefix": "llama-3.1-8b-instruct/*"}}),
    ]


def test_the_role_may_do_nothing_on_every_resource_that_a_policy_could_narrow(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    unbounded = {str(s["Action"]) for s in statements(stack) if s["Resource"] == "*"}
    assert unbounded == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


def test_the_key_of_an_encrypted_bucket_can_be_used_to_decrypt(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    bucket = s3.Bucket(stack, "Encrypted", encryption_key=kms.Key(stack, "Key"))
    make_endpoint(base_model=BaseModel.from_bucket(bucket, "llama/"))
    assert [s["Action"] for s in statements(stack) if "kms:Decrypt" in s["Action"]] == ["kms:Decrypt"]


def test_a_role_of_ones_own_is_used_and_given_the_rights(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    role = iam.Role(stack, "Mine", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    make_endpoint(role=role)
    Template.from_stack(stack).resource_count_is("AWS::IAM::Role", 1)
    assert any(s["Action"] == "ecr:GetAuthorizationToken" for s in statements(stack))


def test_in_a_vpc_model_and_endpoint_have_its_private_subnets_and_a_security_group(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2)
    endpoint = make_endpoint(vpc=vpc)
    endpoint.connections.allow_from(ec2.Peer.ipv4("10.0.0.0/8"), ec2.Port.HTTPS)

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
    assert any("ec2:CreateNetworkInterface" in s["Action"] for s in statements(stack))


def test_in_a_new_vpc_what_downloads_waits_for_the_routes(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
) -> None:
    endpoint = make_endpoint(vpc=ec2.Vpc(stack, "Vpc", max_azs=1))
    template = Template.from_stack(stack)
    (resource,) = template.find_resources("AWS::SageMaker::Endpoint").values()
    base = components()[endpoint.base_component_name]
    routes = {name for name in template.find_resources("AWS::EC2::Route") if "Private" in name}
    assert routes
    assert routes <= set(resource["DependsOn"])
    assert routes <= set(base["DependsOn"])


def test_given_subnets_and_security_groups_are_used(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    make_endpoint(
        vpc=vpc, vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC), security_groups=[group]
    )
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::SageMaker::Model",
        {
            "VpcConfig": {
                "Subnets": stack.resolve([subnet.subnet_id for subnet in vpc.public_subnets]),
                "SecurityGroupIds": [stack.resolve(group.security_group_id)],
            }
        },
    )
    template.resource_count_is("AWS::EC2::SecurityGroup", 1)


def test_another_resource_can_be_connected_to_the_endpoint(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    database = ec2.SecurityGroup(stack, "Database", vpc=vpc)
    database.connections.allow_from(make_endpoint(vpc=vpc), ec2.Port.tcp(5432))
    Template.from_stack(stack).has_resource_properties(
        "AWS::EC2::SecurityGroupIngress", {"FromPort": 5432, "ToPort": 5432}
    )


def test_outside_a_vpc_there_are_no_connections(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match="'Stack/Llm' should have a 'vpc' to have connections"):
        _ = make_endpoint().connections


def test_security_groups_without_a_vpc_are_an_error(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    group = ec2.SecurityGroup(stack, "Group", vpc=ec2.Vpc(stack, "Vpc"))
    with pytest.raises(ValueError, match="'vpc' should be given with 'vpc_subnets' or 'security_groups'"):
        make_endpoint(security_groups=[group])


def test_network_isolation_is_that_of_model_and_endpoint(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint(network_isolation=True)
    template = Template.from_stack(stack)
    template.has_resource_properties("AWS::SageMaker::Model", {"EnableNetworkIsolation": True})
    template.has_resource_properties("AWS::SageMaker::EndpointConfig", {"EnableNetworkIsolation": True})


def test_network_isolation_with_a_model_from_the_hub_is_an_error(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match="'base_model' should be one that SageMaker downloads"):
        make_endpoint(network_isolation=True, base_model=BaseModel.from_hugging_face_hub("org/model"))


def test_a_key_encrypts_the_storage_volumes(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    key = kms.Key(stack, "Key")
    instance_type = InstanceType.of("ml.new.large", local_storage=False)
    make_endpoint(instance_type=instance_type, encryption_key=key)
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::EndpointConfig", {"KmsKeyId": stack.resolve(key.key_arn)}
    )
    assert {"Bool": {"kms:GrantIsForAWSResource": "true"}} in [s.get("Condition") for s in statements(stack)]


def test_a_key_for_an_instance_type_with_local_storage_is_an_error(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    with pytest.raises(ValueError, match=r"'encryption_key' should be left out for ml\.g5\.12xlarge"):
        make_endpoint(encryption_key=kms.Key(stack, "Key"))


def test_the_routing_strategy_can_be_chosen(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(routing_strategy=RoutingStrategy.RANDOM)
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {"ProductionVariants": [Match.object_like({"RoutingConfig": {"RoutingStrategy": "RANDOM"}})]},
    )


@pytest.mark.parametrize(("sources", "warned"), [(20, False), (21, True)])
def test_more_sources_than_a_roles_policies_have_room_for_are_warned_of(
    make_endpoint: MakeEndpoint, warnings: Warnings, bucket: s3.IBucket, sources: int, *, warned: bool
) -> None:
    make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix=f"{n}/") for n in range(sources)])
    assert any("multi-adapter-inference:long-policy" in warning for warning in warnings()) is warned


@pytest.mark.parametrize("setting", ["instance_count", "copy_count"])
def test_a_count_below_one_is_an_error(make_endpoint: MakeEndpoint, setting: str) -> None:
    with pytest.raises(ValueError, match=f"'Stack/Llm': '{setting}' should be at least 1, got 0"):
        make_endpoint(**{setting: 0})


def test_a_prefix_that_makes_no_name_is_an_error_that_tells_what_was_given(
    make_endpoint: MakeEndpoint,
) -> None:
    with pytest.raises(ValueError, match=r"'Stack/Llm': .* made of 'component_prefix' 'my_team'"):
        make_endpoint(component_prefix="my_team")


def test_memory_that_is_not_whole_is_rounded_up(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    size = cdk.Size.gibibytes(4.0001)
    make_endpoint(compute=ComputeRequirements(accelerators=4, min_memory=size, max_memory=size))
    requirements = {"MinMemoryRequiredInMb": 4097, "MaxMemoryRequiredInMb": 4097}
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::InferenceComponent",
        {"Specification": {"ComputeResourceRequirements": requirements}},
    )


def test_memory_known_at_deployment_only_is_passed_on(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Memory", type="Number").value_as_number
    make_endpoint(compute=ComputeRequirements(accelerators=1, min_memory=cdk.Size.mebibytes(number)))
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::InferenceComponent",
        {"Specification": {"ComputeResourceRequirements": {"MinMemoryRequiredInMb": {"Ref": "Memory"}}}},
    )


@pytest.mark.parametrize("setting", ["max_loras", "max_cpu_loras", "max_lora_rank"])
def test_limits_of_the_engine_known_at_deployment_only_are_an_error(setting: str) -> None:
    known: dict[str, Any] = {"max_loras": 1, "max_cpu_loras": 1, "max_lora_rank": 8}
    with pytest.raises(ValueError, match=f"'{setting}' should be known at synth, got a token"):
        LoraServing(**{**known, setting: cdk.Token.as_number({"Ref": "Number"})})


def test_counts_known_at_deployment_only_are_not_checked(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    count = cdk.CfnParameter(stack, "Count", type="Number").value_as_number
    make_endpoint(instance_count=count, copy_count=count)
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::InferenceComponent", {"RuntimeConfig": {"CopyCount": {"Ref": "Count"}}}
    )


def test_more_accelerators_than_the_instance_has_are_an_error(make_endpoint: MakeEndpoint) -> None:
    compute = ComputeRequirements(accelerators=5, min_memory=cdk.Size.mebibytes(32000))
    with pytest.raises(
        ValueError,
        match=r"'Stack/Llm': 'accelerators' should be at most 4, as ml\.g5\.12xlarge has 4 .*, got 5",
    ):
        make_endpoint(compute=compute)


def test_more_copies_than_fit_on_the_instances_are_an_error(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(
        ValueError,
        match=r"'Stack/Llm': 'copy_count' should be at most 2, .* fit on 2 x ml\.g5\.12xlarge, got 3",
    ):
        make_endpoint(instance_count=2, copy_count=3)


@pytest.mark.parametrize(
    ("instance_count", "copy_count", "warned"),
    [(1, 1, True), (2, 2, True), (2, 1, True), (3, 2, False)],
    ids=["one copy and no room", "no room", "one copy", "two copies and room for one"],
)
def test_a_rolling_update_without_room_is_warned_of(
    make_endpoint: MakeEndpoint, warnings: Warnings, instance_count: int, copy_count: int, warned: bool
) -> None:
    make_endpoint(instance_count=instance_count, copy_count=copy_count)
    found = [w for w in warnings() if "multi-adapter-inference:no-room-for-rolling-update" in w]
    assert bool(found) is warned


def test_grant_invoke_is_on_the_endpoint_and_the_base_component_alone(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint()
    caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    grant = endpoint.grant_invoke(caller)
    assert isinstance(grant, iam.Grant)
    grant.assert_success()
    (statement,) = [s for s in statements(stack) if "sagemaker:InvokeEndpoint" in s["Action"]]
    assert statement["Action"] == ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]
    assert statement["Resource"] == stack.resolve([endpoint.endpoint_arn, endpoint.base_component_arn])


def test_tags_reach_every_resource_that_takes_them(
    app: cdk.App, stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket)])
    endpoint.add_adapter("Ectsum", artifact=AdapterArtifact.from_bucket(bucket, "ectsum.tar.gz"))
    cdk.Tags.of(stack).add("team", "summaries")
    template = Template.from_stack(stack)
    for kind in ("Model", "EndpointConfig", "Endpoint", "InferenceComponent"):
        template.all_resources_properties(
            f"AWS::SageMaker::{kind}", {"Tags": [{"Key": "team", "Value": "summaries"}]}
        )


class TestImportedEndpoint:
    @pytest.fixture
    def imported(self, stack: cdk.Stack) -> IMultiAdapterEndpoint:
        return MultiAdapterEndpoint.from_endpoint_attributes(
            stack,
            "Imported",
            endpoint_name="Llama-Endpoint",
            base_component_name="llama-base",
            component_prefix="acme",
            lora=LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=8),
            role=iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution"),
        )

    def test_it_takes_adapters(
        self,
        stack: cdk.Stack,
        imported: IMultiAdapterEndpoint,
        components: Components,
        adapter_directory: Path,
    ) -> None:
        adapter = LoraAdapter(
            stack, "Triage", endpoint=imported, artifact=AdapterArtifact.from_directory(adapter_directory)
        )
        properties = components()[adapter.component_name]["Properties"]
        assert properties["EndpointName"] == "Llama-Endpoint"
        assert properties["Specification"]["BaseInferenceComponentName"] == "llama-base"

    def test_its_role_may_read_adapters_from_directories(
        self, stack: cdk.Stack, imported: IMultiAdapterEndpoint, adapter_directory: Path
    ) -> None:
        LoraAdapter(
            stack, "Triage", endpoint=imported, artifact=AdapterArtifact.from_directory(adapter_directory)
        )
        assert [s["Action"] for s in statements(stack)] == ["s3:GetObject"]

    def test_its_adapters_are_checked(
        self,
        stack: cdk.Stack,
        imported: IMultiAdapterEndpoint,
        adapter_directory: Path,
        change_config: ChangeConfig,
    ) -> None:
        change_config(r=16)
        with pytest.raises(ValueError, match="lora-rank"):
            LoraAdapter(
                stack, "Triage", endpoint=imported, artifact=AdapterArtifact.from_directory(adapter_directory)
            )

    def test_grant_invoke_names_it_as_sagemaker_does(
        self, stack: cdk.Stack, imported: IMultiAdapterEndpoint
    ) -> None:
        caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        imported.grant_invoke(caller)
        (statement,) = statements(stack)
        endpoint, component = (resource["Fn::Join"][1][-1] for resource in statement["Resource"])
        assert endpoint.endswith(":endpoint/llama-endpoint")
        assert component.endswith(":inference-component/llama-base")

    def test_grant_invoke_names_the_base_in_lower_case_and_as_it_is(self, stack: cdk.Stack) -> None:
        imported = MultiAdapterEndpoint.from_endpoint_attributes(
            stack, "Mixed", endpoint_name="llama", base_component_name="Llama-Base", component_prefix="acme"
        )
        caller = iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        imported.grant_invoke(caller)
        (statement,) = statements(stack)
        names = [resource["Fn::Join"][1][-1].rpartition("/")[-1] for resource in statement["Resource"]]
        assert names == ["llama", "llama-base", "Llama-Base"]


@pytest.mark.parametrize("setting", ["component_prefix", "base_component_name"])
def test_a_name_that_a_parameter_may_change_is_warned_of(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, warnings: Warnings, setting: str
) -> None:
    make_endpoint(**{setting: cdk.CfnParameter(stack, "Name").value_as_string})
    (warning,) = [text for text in warnings() if f"{setting.replace('_', '-')}-cannot-change" in text]
    assert warning.startswith(f"'{setting}' comes from 'Name', whose value may change")


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (cdk.Fn.import_value("Other"), 'Fn::ImportValue "Other"'),
        (cdk.SecretValue.ssm_secure("/prefix", "1").unsafe_unwrap(), "a dynamic reference"),
        (f"{cdk.Aws.REGION}-{cdk.Fn.import_value('Other')}", 'Fn::ImportValue "Other"'),
    ],
    ids=["import", "dynamic reference", "part"],
)
def test_a_name_that_another_stack_may_change_is_warned_of(
    make_endpoint: MakeEndpoint, warnings: Warnings, value: str, source: str
) -> None:
    make_endpoint(component_prefix=value)
    assert [text for text in warnings() if f"'component_prefix' comes from {source}, whose value" in text]


def test_a_name_that_is_known_at_deployment_and_never_changes_is_not_warned_of(
    make_endpoint: MakeEndpoint, warnings: Warnings
) -> None:
    make_endpoint(
        component_prefix=f"p-{cdk.Aws.ACCOUNT_ID}-{cdk.Fn.select(0, cdk.Fn.split('-', cdk.Aws.STACK_NAME))}"
    )
    assert not [text for text in warnings() if "cannot-change" in text]


def test_containers_have_no_network_unless_they_download_the_model(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    make_endpoint(id="Hub", base_model=BaseModel.from_hugging_face_hub("org/model"), component_prefix="b")
    template = Template.from_stack(stack)
    isolated = {
        logical_id.startswith("LlmModel"): model["Properties"].get("EnableNetworkIsolation")
        for logical_id, model in template.find_resources("AWS::SageMaker::Model").items()
    }
    assert isolated == {True: True, False: None}
