import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from multi_adapter_inference.template.statement import allow, policy_document, policy_statement

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
