"""Larger instance types for a model, environment files of commands, and the files of a model."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_rules import environment
from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.instance_types import INSTANCES
from adapter_rules.hardware.model_shape import known_shape
from adapters_cli.models.capacity import Workload, larger
from adapters_cli.models.model_files import ModelFile, is_wanted, wanted_files
from adapters_cli.models.options import read_environment
from adapters_cli.output.errors import CommandError, UsageError

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


def sizes_above(name: str) -> list[str]:
    return [instance.name.removeprefix("ml.") for instance in larger(INSTANCES[name])]


def test_family_comes_first_where_others_have_as_much() -> None:
    assert sizes_above("ml.g5.2xlarge")[:3] == ["g6e.xlarge", "p5.4xlarge", "g5.12xlarge"]
    assert sizes_above("ml.g5.2xlarge")[3:6] == ["g6.12xlarge", "g5.48xlarge", "g6.48xlarge"]
    assert sizes_above("ml.g6.2xlarge")[2] == "g6.12xlarge"
    # A size that differs in the host alone is left out.
    assert "g5.24xlarge" not in sizes_above("ml.g5.12xlarge")
    assert sizes_above("ml.p5en.48xlarge") == []
    # The oldest family is only for those who have it.
    assert not [name for name in sizes_above("ml.g5.xlarge") if name.startswith("g4dn.")]
    assert "g4dn.12xlarge" in sizes_above("ml.g4dn.xlarge")


def test_copy_has_all_accelerators_of_a_larger_one_or_as_many() -> None:
    all_of_them = larger_than("ml.g5.12xlarge")
    assert all_of_them[:3] == ["ml.g5.48xlarge 8", "ml.g6.48xlarge 8", "ml.g6e.12xlarge 4"]
    # A degree that is set is for the present instance.
    degree_is_set = replace(WORKLOAD, engine=EngineSettings(max_model_len=6000, tensor_parallel=4))
    assert larger_than("ml.g5.12xlarge", workload=degree_is_set)[0] == "ml.g5.48xlarge 8"
    found = larger_than("ml.g5.12xlarge", 1)
    assert found[0] == "ml.g6e.12xlarge 1"
    assert not [name for name in found if "ml.g5." in name or "ml.g6." in name]


def test_copy_has_no_more_accelerators_than_it_can_be_split_over() -> None:
    dimensions = replace(WORKLOAD.shape.dimensions, heads=28, key_value_heads=4)
    seven_heads = replace(WORKLOAD.shape, dimensions=dimensions)
    found = larger_than("ml.g5.12xlarge", workload=replace(WORKLOAD, shape=seven_heads))
    assert "ml.g6e.48xlarge 4" not in found  # the same as ml.g6e.12xlarge
    assert found[0] == "ml.g6e.12xlarge 4"


def test_larger_one_gives_more_of_everything() -> None:
    present = WORKLOAD.on(INSTANCES["ml.g5.12xlarge"], 4)
    for found in WORKLOAD.on_larger(present):
        assert found.memory.tokens > present.memory.tokens
        assert found.memory.most_loras > present.memory.most_loras


ROOT = Path(__file__).parents[3]


def test_environment_is_read_as_the_app_reads_it_and_mistakes_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("dev", "local", "prod"):
        relative = environment.read_environment(Path("environments", f"{name}.toml"))
        assert read_environment(name).tables == relative
    with pytest.raises(UsageError, match=r"should be one of dev, local, prod, or the path .* got 'staging'"):
        read_environment("staging")
    (tmp_path / "test.toml").write_text("[base_model\n")
    with pytest.raises(UsageError, match=r"test\.toml: not a TOML document: .*line 1"):
        read_environment(str(tmp_path / "test.toml"))


def files(*paths: str) -> list[ModelFile]:
    return [ModelFile(path=path, size=1, digest="sha256:00") for path in paths]


def wanted(*paths: str) -> list[str]:
    return [file.path for file in wanted_files("acme/tiny", files(*paths))]


NEEDED = ["model.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.model"]
NEEDED += ["qwen.tiktoken", "chat_template.jinja"]
OTHERS = ["pytorch_model.bin", "modeling_llama.py", ".gitattributes", "original/model.safetensors"]
OTHERS += ["../model.safetensors", "/model.safetensors", "a\\..\\model.safetensors", ".safetensors"]
OTHERS += ["model\n.safetensors"]


def test_what_serving_needs_is_wanted_and_nothing_else() -> None:
    assert [path for path in (*NEEDED, *OTHERS) if is_wanted(path)] == [*NEEDED]


def test_weights_that_a_repository_has_twice_are_copied_once() -> None:
    both = ("config.json", "consolidated.safetensors", "model-00001-of-00001.safetensors")
    assert wanted(*both) == ["config.json", "model-00001-of-00001.safetensors"]
    assert wanted("config.json", "consolidated.safetensors") == ["config.json", "consolidated.safetensors"]


def test_model_without_safetensors_or_configuration_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"weights as safetensors at the root, got config\.json, orig"):
        wanted("config.json", "pytorch_model.bin", "original/model.safetensors")
    with pytest.raises(CommandError, match=r"'acme/tiny' should have a config\.json"):
        wanted("model.safetensors")


@pytest.mark.parametrize(
    "digest",
    [
        # `echo -n hello | git hash-object --stdin`
        "git-sha1:b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
        f"sha256:{hashlib.sha256(b'hello').hexdigest()}",
    ],
    ids=["blob in Git", "file in LFS"],
)
def test_file_is_compared_with_its_digest(tmp_path: Path, digest: str) -> None:
    content, file = tmp_path / "config.json", ModelFile(path="config.json", size=5, digest=digest)
    content.write_bytes(b"hello")
    assert file.matches(content)
    content.write_bytes(b"hellO")
    assert not file.matches(content)
