import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from multi_adapter_inference import AdapterArtifact, ArtifactSource, BaseModel, InstanceType


@pytest.mark.parametrize(
    "environment",
    [None, cdk.Environment(account="123456789012", region="eu-west-1")],
    ids=["anywhere", "known region"],
)
def test_a_user_of_cdk_nag_gets_no_finding_on_the_role(
    app, make_endpoint, adapter_directory, base_directory, environment
):
    """Buckets, keys and a VPC of the same app: their names are tokens, in the findings' ids as well."""
    stack = cdk.Stack(app, "Own", env=environment)
    stack.node.set_context("@aws-cdk/core:enablePartitionLiterals", True)
    endpoint = make_endpoint(
        stack,
        base_model=BaseModel.from_directory(base_directory),
        instance_type=InstanceType.of("ml.m9.large", local_storage=False),
        artifact_sources=[
            ArtifactSource(bucket=s3.Bucket(stack, "Encrypted", encryption_key=kms.Key(stack, "BucketKey"))),
            ArtifactSource(bucket=s3.Bucket(stack, "Plain"), prefix="adapters/"),
        ],
        vpc=ec2.Vpc(stack, "Vpc", max_azs=1),
        encryption_key=kms.Key(stack, "VolumeKey"),
    )
    endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))

    with pytest.raises(RuntimeError, match="ValidationFailed"):  # for the buckets and the VPC of this test
        app.synth()

    report = json.loads((Path(app.outdir) / "validation-report.json").read_text())
    found = [
        violation["ruleName"]
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
        if construct["constructPath"].startswith(endpoint.node.path)
        and plugin["pluginName"] != "Construct Annotations"
    ]
    assert found == []
