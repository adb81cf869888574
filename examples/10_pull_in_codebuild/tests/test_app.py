"""The build pulls a model into the bucket, with the token of the secret."""

import json
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Match, Template

from app import ModelCopy


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What would be deployed."""
    app = App(outdir=str(tmp_path_factory.mktemp("cdk")))
    return Template.from_stack(ModelCopy(app, "ModelCopy"))


def only(template: Template, kind: str) -> tuple[str, dict[str, Any]]:
    """Return the logical id and the properties of the only resource of a type."""
    ((logical_id, resource),) = template.find_resources(kind).items()
    return logical_id, resource.get("Properties", {})


def test_build_pulls_the_model_into_the_bucket(template: Template) -> None:
    _, project = only(template, "AWS::CodeBuild::Project")
    commands = json.loads(project["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    assert commands[-1] == 'adapters pull "$MODEL" "s3://$BUCKET/base" --revision "$REVISION"'


def test_build_gets_the_token_from_the_secret(template: Template) -> None:
    secret, _ = only(template, "AWS::SecretsManager::Secret")
    _, project = only(template, "AWS::CodeBuild::Project")
    variables = {each["Name"]: each for each in project["Environment"]["EnvironmentVariables"]}
    assert (variables["HF_TOKEN"]["Type"], variables["HF_TOKEN"]["Value"]) == (
        "SECRETS_MANAGER",
        {"Ref": secret},
    )


def test_role_of_the_build_may_write_the_bucket(template: Template) -> None:
    bucket, _ = only(template, "AWS::S3::Bucket")
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like(
                            {
                                "Action": Match.array_with(["s3:PutObject", "s3:Abort*"]),
                                "Resource": [arn, {"Fn::Join": ["", [arn, "/*"]]}],
                            }
                        )
                    ]
                )
            }
        },
    )
