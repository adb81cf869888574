"""A container's environment variables as vLLM's command line."""

import json
from pathlib import Path

import pytest

from tests.vllm.engine.command_line import Dialect, Launch, launch


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config = {"max_position_embeddings": 512, "_name_or_path": "tickets"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def started(model: Path, environment: dict[str, str], dialect: Dialect = "lmi") -> Launch:
    return launch(environment, model=model, port=8080, dialect=dialect)


def value(start: Launch, flag: str) -> str:
    return start.arguments[start.arguments.index(flag) + 1]


def test_limits_of_a_container_become_flags(model: Path) -> None:
    limits = {
        "OPTION_MAX_LORAS": "30",
        "OPTION_MAX_CPU_LORAS": "70",
        "OPTION_MAX_LORA_RANK": "64",
        "OPTION_MAX_ROLLING_BATCH_SIZE": "8",
    }
    start = started(model, limits | {"OPTION_ENABLE_LORA": "true"})
    assert "--enable-lora" in start.arguments
    flags = ("--max-loras", "--max-cpu-loras", "--max-lora-rank", "--max-num-seqs")
    assert [value(start, flag) for flag in flags] == ["30", "70", "64", "8"]
    # Without adapters, none of theirs is given.
    start = started(model, limits)
    assert not [argument for argument in start.arguments if "lora" in argument.rpartition(".")[2]]
    assert value(start, "--max-num-seqs") == "8"


@pytest.mark.parametrize(("wanted", "given"), [("128", "128"), ("6000", "512")])
def test_context_is_at_most_the_models_own(model: Path, wanted: str, given: str) -> None:
    assert value(started(model, {"OPTION_MAX_MODEL_LEN": wanted}), "--max-model-len") == given


@pytest.mark.parametrize(
    ("environment", "flags"),
    [
        ({}, []),
        ({"OPTION_ENABLE_PREFIX_CACHING": "false"}, ["--no-enable-prefix-caching"]),
        ({"OPTION_ENABLE_PREFIX_CACHING": "true"}, ["--enable-prefix-caching"]),
    ],
)
def test_prefix_caching_is_vllms_default_unless_a_variable_decides(
    model: Path, environment: dict[str, str], flags: list[str]
) -> None:
    arguments = started(model, environment).arguments
    assert [argument for argument in arguments if argument.endswith("-prefix-caching")] == flags


def test_lmi_alone_takes_its_bodies_and_loads_adapters_whatever_the_environment_says(model: Path) -> None:
    lora = {"SM_VLLM_ENABLE_LORA": "true"}
    starts = [started(model, lora, "lmi"), started(model, lora, "vllm"), started(model, {}, "lmi")]
    middlewares = ["LmiBodies" in " ".join(start.arguments) for start in starts]
    loading = [start.variables.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") for start in starts]
    assert middlewares == [True, False, True]
    assert loading == ["true", None, None]


def test_base_is_served_under_the_configured_name_and_those_that_mean_it(model: Path) -> None:
    arguments = started(model, {"SM_VLLM_SERVED_MODEL_NAME": "mine"}).arguments
    first = arguments.index("--served-model-name") + 1
    assert arguments[first : first + 3] == ["mine", "lmi", "tickets"]
