import shutil
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template

from multi_adapter_inference import BaseModel, ModelDownload
from tests.constructs.conftest import MakeEndpoint


def has_container(stack: cdk.Stack, properties: dict[str, Any]) -> None:
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::Model", {"PrimaryContainer": properties}
    )


def test_sagemaker_downloads_every_object_under_the_prefix(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    make_endpoint(base_model=BaseModel.from_bucket(bucket, "llama/"))
    has_container(
        stack,
        {
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": "s3://models/llama/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            },
            "Environment": Match.object_like({"HF_MODEL_ID": Match.absent()}),
        },
    )


@pytest.mark.parametrize("prefix", ["llama", "llama/", "llama//"])
def test_a_prefix_ends_with_one_slash_so_that_it_takes_no_siblings(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket, prefix: str
) -> None:
    make_endpoint(base_model=BaseModel.from_bucket(bucket, prefix))
    has_container(stack, {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://models/llama/"}}})


def test_a_whole_bucket_may_be_a_model(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    make_endpoint(base_model=BaseModel.from_bucket(bucket, ""))
    has_container(stack, {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://models/"}}})


def test_a_prefix_that_begins_with_a_slash_is_an_error(bucket: s3.IBucket) -> None:
    with pytest.raises(ValueError, match="'prefix' should not start with '/', got '/llama'"):
        BaseModel.from_bucket(bucket, "/llama")


def test_the_container_downloads_the_model_when_it_is_told_to(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    make_endpoint(base_model=BaseModel.from_bucket(bucket, "llama/", download=ModelDownload.CONTAINER))
    has_container(
        stack,
        {
            "ModelDataSource": Match.absent(),
            "Environment": Match.object_like({"HF_MODEL_ID": "s3://models/llama/"}),
        },
    )


def test_a_model_of_the_hub_is_named_to_the_container(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(base_model=BaseModel.from_hugging_face_hub("org/model", revision="0123abc"))
    has_container(
        stack, {"Environment": Match.object_like({"HF_MODEL_ID": "org/model", "OPTION_REVISION": "0123abc"})}
    )


def test_a_hub_name_without_an_organization_is_an_error() -> None:
    with pytest.raises(ValueError, match="'model_id' should be '<organization>/<model>', got 'model'"):
        BaseModel.from_hugging_face_hub("model")


def test_a_local_model_is_an_archive_of_its_own(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, base_directory: Path
) -> None:
    make_endpoint(base_model=BaseModel.from_directory(base_directory))
    (model,) = Template.from_stack(stack).find_resources("AWS::SageMaker::Model").values()
    url = model["Properties"]["PrimaryContainer"]["ModelDataUrl"]["Fn::Sub"]
    assert url.startswith("s3://cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}/base-models/")
    assert url.endswith(".tar.gz")


def test_a_local_model_that_cannot_be_packed_leaves_nothing_behind(
    app: cdk.App, make_endpoint: MakeEndpoint, base_directory: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(base_directory, tmp_path / "base"))
    (directory / ("x" * 200)).touch()  # longer than the names in the archive's format
    before = set(Path(app.outdir).iterdir())
    with pytest.raises(ValueError, match="name is too long"):
        make_endpoint(base_model=BaseModel.from_directory(directory))
    assert set(Path(app.outdir).iterdir()) == before


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'path' should be the directory of a base model, got .*nowhere"):
        BaseModel.from_directory(tmp_path / "nowhere")


def test_local_settings_that_count_more_than_the_containers_are_an_error(
    base_directory: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(base_directory, tmp_path / "base"))
    (directory / "serving.properties").write_text("option.enable_prefix_caching=true\n")
    with pytest.raises(ValueError, match=r"should have no serving.properties, .* got .*/serving.properties"):
        BaseModel.from_directory(directory)


def test_a_directory_without_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json' should be the configuration of a base model"):
        BaseModel.from_directory(tmp_path)
