"""What larger instance types would give."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_fleet.environment import environment_reader
from adapter_fleet.serving.engine_settings import EngineSettings
from adapter_fleet.serving.instance_types import INSTANCES
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import Quantization, known_shape
from adapters_cli.models.capacity import Workload, larger
from adapters_cli.models.environment_option import read_environment
from adapters_cli.models.model_files import ModelFile, is_wanted, wanted_files
from adapters_cli.output.errors import CommandError, UsageError
from stacks.environment import ENVIRONMENTS

LLAMA = known_shape("llama-3.1-8b")
assert LLAMA is not None
WORKLOAD = Workload(
    shape=LLAMA,
    lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
    engine=EngineSettings(max_model_len=6000),
)


def larger_than(name: str, accelerators: int | None = None, workload: Workload = WORKLOAD) -> list[str]:
    instance = INSTANCES[name]
    sizing = workload.on(instance, accelerators or instance.accelerators)
    return [f"{found.instance.name} {found.accelerators}" for found in workload.on_larger(sizing)]


def test_family_comes_first_where_others_have_as_much() -> None:
    assert [instance.name for instance in larger(INSTANCES["ml.g5.2xlarge"])][:6] == [
        "ml.g6e.xlarge",
        "ml.p5.4xlarge",
        "ml.g5.12xlarge",
        "ml.g6.12xlarge",
        "ml.g5.48xlarge",
        "ml.g6.48xlarge",
    ]
    assert larger(INSTANCES["ml.g6.2xlarge"])[2].name == "ml.g6.12xlarge"
    # A size that differs in the host alone is left out.
    assert "ml.g5.24xlarge" not in [instance.name for instance in larger(INSTANCES["ml.g5.12xlarge"])]
    assert larger(INSTANCES["ml.p5en.48xlarge"]) == []


def test_oldest_family_is_only_for_those_who_have_it() -> None:
    assert not [one for one in larger(INSTANCES["ml.g5.xlarge"]) if one.family == "ml.g4dn"]
    assert "ml.g4dn.12xlarge" in [one.name for one in larger(INSTANCES["ml.g4dn.xlarge"])]


def test_copy_that_has_all_accelerators_has_all_of_a_larger_one() -> None:
    assert larger_than("ml.g5.12xlarge")[:3] == [
        "ml.g5.48xlarge 8",
        "ml.g6.48xlarge 8",
        "ml.g6e.12xlarge 4",
    ]


def test_copy_that_has_some_has_as_many_and_shows_where_that_gives_more() -> None:
    found = larger_than("ml.g5.12xlarge", 1)
    assert found[0] == "ml.g6e.12xlarge 1"
    assert not [name for name in found if "ml.g5." in name or "ml.g6." in name]


def test_copy_has_no_more_accelerators_than_it_can_be_split_over() -> None:
    dimensions = replace(WORKLOAD.shape.dimensions, heads=28, key_value_heads=4)
    seven_heads = replace(WORKLOAD.shape, dimensions=dimensions)
    found = larger_than("ml.g5.12xlarge", workload=replace(WORKLOAD, shape=seven_heads))
    assert "ml.g6e.48xlarge 4" not in found  # the same as ml.g6e.12xlarge
    assert found[0] == "ml.g6e.12xlarge 4"


def test_copy_is_split_as_far_as_the_groups_of_a_quantization_allow() -> None:
    in_groups = replace(WORKLOAD.shape, quantization=Quantization(bits=4.0, input_group=512))
    found = larger_than("ml.g5.12xlarge", workload=replace(WORKLOAD, shape=in_groups))
    assert {name.split()[1] for name in found} == {"4"}


def test_degree_that_is_set_is_for_the_present_instance() -> None:
    workload = replace(WORKLOAD, engine=EngineSettings(max_model_len=6000, tensor_parallel=4))
    assert larger_than("ml.g5.12xlarge", workload=workload)[0] == "ml.g5.48xlarge 8"


def test_more_accelerators_than_there_are_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"should be at most 4, as ml\.g5\.12xlarge has 4, got 5"):
        WORKLOAD.on(INSTANCES["ml.g5.12xlarge"], 5)


def test_larger_one_gives_more_of_everything() -> None:
    present = WORKLOAD.on(INSTANCES["ml.g5.12xlarge"], 4)
    for found in WORKLOAD.on_larger(present):
        assert found.memory.tokens > present.memory.tokens
        assert found.memory.most_loras > present.memory.most_loras


ROOT = Path(__file__).parents[3]


def test_mistakes_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "test.toml").write_text("[base_model\n")
    with pytest.raises(UsageError, match=r"test\.toml: not a TOML document: .*line 1"):
        read_environment(str(tmp_path / "test.toml"))


def test_unknown_environment_is_told_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UsageError, match=r"should be one of dev, local, prod, or the path .* got 'staging'"):
        read_environment("staging")


@pytest.mark.parametrize("name", sorted(file.stem for file in ENVIRONMENTS.glob("*.toml")))
def test_environment_of_the_app_is_read_as_the_app_reads_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(ROOT)
    relative = environment_reader.read_environment(Path("environments", f"{name}.toml"))
    assert read_environment(name).tables == relative


def test_reading_one_does_not_bring_the_cdk() -> None:
    code = "import sys, adapters_cli.models.environment_option; print({'aws_cdk', 'jsii'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


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
