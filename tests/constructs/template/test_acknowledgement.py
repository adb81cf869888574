import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from multi_adapter_inference.template.acknowledgement import acknowledge, wildcards

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
