"""Which files of a model's repository are wanted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters_cli.models.model_files import ModelFile, is_wanted, wanted_files
from adapters_cli.output.errors import CommandError


def files(*paths: str) -> list[ModelFile]:
    return [ModelFile(path=path, size=1, digest="sha256:00") for path in paths]


def wanted(*paths: str) -> list[str]:
    return [file.path for file in wanted_files("acme/tiny", files(*paths))]


@pytest.mark.parametrize(
    "path",
    [
        "model.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.model",
        "qwen.tiktoken",
        "chat_template.jinja",
    ],
)
def test_what_serving_needs_is_wanted(path: str) -> None:
    assert is_wanted(path)


@pytest.mark.parametrize(
    "path",
    [
        "pytorch_model.bin",
        "training_args.bin",
        "modeling_llama.py",
        ".gitattributes",
        "original/model.safetensors",
        "../model.safetensors",
        "/model.safetensors",
        "a\\..\\model.safetensors",
        ".safetensors",
        "model\n.safetensors",
    ],
)
def test_nothing_else_is_wanted(path: str) -> None:
    assert not is_wanted(path)


def test_weights_that_a_repository_has_twice_are_copied_once() -> None:
    both = ("config.json", "consolidated.safetensors", "model-00001-of-00001.safetensors")
    assert wanted(*both) == ["config.json", "model-00001-of-00001.safetensors"]
    assert wanted("config.json", "consolidated.safetensors") == ["config.json", "consolidated.safetensors"]


def test_model_without_safetensors_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(CommandError, match=r"weights as safetensors at the root, got config\.json, orig"):
        wanted("config.json", "pytorch_model.bin", "original/model.safetensors")


def test_model_without_configuration_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"'acme/tiny' should have a config\.json"):
        wanted("model.safetensors")


def test_digest_of_a_file_in_git_is_that_of_its_blob(tmp_path: Path) -> None:
    content = tmp_path / "config.json"
    content.write_bytes(b"hello")
    # `echo -n hello | git hash-object --stdin`
    file = ModelFile(path="config.json", size=5, digest="git-sha1:b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0")
    assert file.matches(content)


def test_digest_of_a_file_in_lfs_is_its_sha256(tmp_path: Path) -> None:
    content = tmp_path / "model.safetensors"
    content.write_bytes(b"hello")
    file = ModelFile(path="a", size=5, digest=f"sha256:{hashlib.sha256(b'hello').hexdigest()}")
    assert file.matches(content)
    content.write_bytes(b"hellO")
    assert not file.matches(content)
