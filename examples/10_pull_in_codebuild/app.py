"""A CodeBuild project that copies a model of the Hugging Face Hub into a bucket of the account."""

from aws_cdk import App, CfnOutput, Duration, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

COMMANDS = [
    # `wheels/` has the library's wheel, as the package is not on an index yet.
    'aws s3 cp --recursive "s3://$BUCKET/wheels/" wheels',
    'pip install "$(ls wheels/*.whl | sort -V | tail -1)[hub]"',
    'adapters pull "$MODEL" "s3://$BUCKET/base" --revision "$REVISION"',
]
BUILD = {"install": {"runtime-versions": {"python": "3.12"}}, "build": {"commands": COMMANDS}}


class ModelCopy(Stack):
    """The bucket of the models, the token of the hub, and the build that uses both."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        bucket = s3.Bucket(self, "Models", enforce_ssl=True)
        token = codebuild.BuildEnvironmentVariable(
            type=codebuild.BuildEnvironmentVariableType.SECRETS_MANAGER,
            value=secretsmanager.Secret(self, "HubToken").secret_arn,
        )
        name = codebuild.BuildEnvironmentVariable(value=bucket.bucket_name)
        project = codebuild.Project(
            self,
            "Pull",
            build_spec=codebuild.BuildSpec.from_object({"version": "0.2", "phases": BUILD}),
            environment=codebuild.BuildEnvironment(build_image=codebuild.LinuxBuildImage.STANDARD_7_0),
            environment_variables={"BUCKET": name, "HF_TOKEN": token},
            timeout=Duration.hours(8),
        )
        bucket.grant_read_write(project)
        CfnOutput(self, "Bucket", value=bucket.bucket_name)
        CfnOutput(self, "Project", value=project.project_name)


if __name__ == "__main__":
    app = App()
    ModelCopy(app, "ModelCopy")
    app.synth()
