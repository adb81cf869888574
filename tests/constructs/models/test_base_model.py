import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from multi_adapter_inference import BaseModel, ModelDownload
from multi_adapter_inference.models.base_model import BoundModel, _pack
from multi_adapter_inference.models.container import StartupDownload
from multi_adapter_inference.models.execution_role import ExecutionRole


def bound(stack: cdk.Stack, model: BaseModel) -> BoundModel:
    """Return a model as the resource needs it."""
    return model._bind(ExecutionRole.create(stack, "Role"))


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [("llama", "llama/"), ("", "")],
    ids=["a folder", "whole bucket"],
)
def test_a_prefix_ends_with_one_slash_so_that_it_takes_no_siblings(
    stack: cdk.Stack, bucket: s3.IBucket, prefix: str, folder: str
) -> None:
    model = BaseModel.from_bucket(bucket, prefix, download=ModelDownload.CONTAINER)
    url = f"s3://models/{folder}"
    assert bound(stack, model) == BoundModel(download=StartupDownload(model_id=url, in_bucket=True))


def test_a_model_of_the_hub_is_downloaded_by_the_container(stack: cdk.Stack) -> None:
    model = BaseModel.from_hugging_face_hub("org/model", revision="0123abc")
    assert bound(stack, model).download == StartupDownload(model_id="org/model", revision="0123abc")


def test_a_hub_name_without_an_organization_is_an_error() -> None:
    with pytest.raises(ValueError, match="'model_id' should be '<organization>/<model>', got 'model'"):
        BaseModel.from_hugging_face_hub("model")


def test_the_archive_of_a_local_model_is_the_same_from_any_folder(
    base_directory: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(base_directory, tmp_path / "elsewhere"))
    for file in copy.iterdir():
        os.utime(file, (0, 0))
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    _pack(base_directory, one)
    _pack(copy, two)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(one.read_bytes()))) as archive:
        assert archive.getnames() == sorted(path.name for path in base_directory.iterdir())


def test_a_local_model_that_cannot_be_packed_leaves_nothing_behind(
    base_directory: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(base_directory, tmp_path / "base"))
    (directory / ("x" * 200)).touch()  # longer than the names in the archive's format
    target = tmp_path / "out" / "base.tar.gz"
    target.parent.mkdir()
    with pytest.raises(ValueError, match="name is too long"):
        _pack(directory, target)
    assert list(target.parent.iterdir()) == []


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'path' should be the directory of a base model, got .*nowhere"):
        BaseModel.from_directory(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="hf download org/model --local-dir model; or use BaseModel"):
        BaseModel.from_directory("org/model")


@pytest.mark.parametrize(("file", "form"), [("adapter_config.json", "an adapter: n"), ("a.gguf", "a GGUF")])
def test_a_directory_of_another_form_is_told(tmp_path: Path, file: str, form: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(ValueError, match=f"should be the directory of a base model, .*; it (is|has) {form}"):
        BaseModel.from_directory(tmp_path)


def test_local_settings_that_count_more_than_the_containers_are_an_error(
    base_directory: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(base_directory, tmp_path / "base"))
    (directory / "serving.properties").write_text("option.enable_prefix_caching=true\n")
    with pytest.raises(ValueError, match=r"should have no serving.properties, .* got .*/serving.properties"):
        BaseModel.from_directory(directory)
