"""What a caller needs in order to send requests to a component."""

from aws_cdk import aws_iam as iam


def grant_invoke(grantee: iam.IGrantable, endpoint_arn: str, *component_arns: str) -> iam.Grant:
    """Let `grantee` invoke one component: SageMaker asks for the endpoint and the component.

    Several ARNs are for spellings of one component's.
    """
    return iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"],
        resource_arns=[endpoint_arn, *component_arns],
    )
