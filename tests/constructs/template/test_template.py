"""Policies, acknowledgements and addresses in templates."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from multi_adapter_inference import AdapterFleet, IInferenceComponent, LoraAdapter
from multi_adapter_inference.template.acknowledgement import acknowledge, wildcards
from multi_adapter_inference.template.statements import allow, policy_document, policy_statement
from tests.constructs.conftest import imported_endpoint

STATEMENTS = [
    allow(["s3:GetObject", "s3:PutObject"], f"arn:{cdk.Aws.PARTITION}:s3:::models/*"),
    allow(
        ["sagemaker:AddTags"],
        "arn:aws:sagemaker:us-east-1:111111111111:inference-component/a",
        "arn:aws:sagemaker:us-east-1:111111111111:inference-component/b",
        conditions={"StringEquals": {"aws:RequestTag/fleet-uid": cdk.Aws.STACK_ID}},
    ),
]


def test_a_document_is_the_one_that_the_cdk_makes_of_single_statements(stack: cdk.Stack) -> None:
    single = iam.PolicyDocument(statements=[policy_statement(each) for each in STATEMENTS])
    document = stack.resolve(policy_document(STATEMENTS))
    assert document == stack.resolve(single)
    first, second = document["Statement"]
    assert first["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert list(second["Condition"]) == ["StringEquals"]


def test_a_document_is_one_call_of_the_cdk(cdk_calls: list[object]) -> None:
    policy_document(STATEMENTS)
    assert len(cdk_calls) == 1


REASON = "the names are not known before"


def acknowledged(scope: cdk.Stack) -> dict[str, str]:
    return {
        rule: reason
        for entry in scope.node.metadata
        if entry.type == cdk.Validations.ACKNOWLEDGED_RULES_METADATA_KEY
        for rule, reason in entry.data.items()
    }


def test_every_rule_is_acknowledged_with_its_own_reason(stack: cdk.Stack) -> None:
    acknowledge(stack, {"L1": "first", "SF2": "second"})
    # The CDK files them under its own plug-in; cdk-nag looks for the rest.
    assert acknowledged(stack) == {
        "Annotation::AwsSolutions-L1": "first",
        "Annotation::AwsSolutions-SF2": "second",
    }


def test_rules_of_a_construct_take_two_calls_of_the_cdk(stack: cdk.Stack, cdk_calls: list[object]) -> None:
    acknowledge(stack, {f"L{number}": REASON for number in range(9)})
    assert len(cdk_calls) == 2
    acknowledge(stack, {})
    assert len(cdk_calls) == 2


def test_resources_are_written_as_cdk_nag_writes_them(stack: cdk.Stack) -> None:
    role = iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal())
    logical_id = stack.get_logical_id(role.node.default_child)  # type: ignore[arg-type]
    arns = ["*", f"{role.role_arn}/*", f"arn:{cdk.Aws.PARTITION}:s3:::models/*"]
    assert wildcards(stack, arns, REASON) == {
        "IAM5[Resource::*]": REASON,
        f"IAM5[Resource::<{logical_id}.Arn>/*]": REASON,
        "IAM5[Resource::arn:<AWS::Partition>:s3:::models/*]": REASON,
    }


def url(stack: cdk.Stack, component: IInferenceComponent) -> str:
    """Return the URL of a component as the stack's template has it, with references in `<>`."""
    _, parts = stack.resolve(component.openai_base_url)["Fn::Join"]
    return "".join(part if isinstance(part, str) else f"<{'.'.join(part.values())}>" for part in parts)


def test_url_of_an_endpoint_is_that_of_its_base_model(stack: cdk.Stack) -> None:
    assert url(stack, imported_endpoint(stack)) == (
        "https://runtime.sagemaker.<AWS::Region>.<AWS::URLSuffix>"
        "/endpoints/llama/inference-components/base/openai/v1"
    )


def test_url_of_an_adapter_has_its_component_and_the_region_of_its_stack(app: cdk.App) -> None:
    stack = cdk.Stack(app, "China", env=cdk.Environment(region="cn-north-1", account="111122223333"))
    endpoint = imported_endpoint(stack)
    fleet = AdapterFleet.from_fleet_attributes(stack, "Fleet", fleet_uid="1234-uuid", endpoint=endpoint)
    adapter = LoraAdapter.from_component_name(stack, "Ectsum", "acme-ectsum", endpoint=endpoint)
    for component in (fleet.adapter("ectsum"), adapter):
        assert url(stack, component) == (
            "https://runtime.sagemaker.cn-north-1.<AWS::URLSuffix>"
            "/endpoints/llama/inference-components/acme-ectsum/openai/v1"
        )
