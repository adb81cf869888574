"""Translates a container's environment variables into vLLM's command line."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from local_sagemaker.vllm_engine.base_rows import PLUGIN
from local_sagemaker.vllm_engine.lmi_bodies import SERVED_NAME

Dialect = Literal["lmi", "vllm"]

# LMI's setting, the vLLM image's setting [V, both containers' documentation], and vLLM's flag.
_NUMBERS = (
    ("OPTION_MAX_LORAS", "SM_VLLM_MAX_LORAS", "--max-loras"),
    ("OPTION_MAX_CPU_LORAS", "SM_VLLM_MAX_CPU_LORAS", "--max-cpu-loras"),
    ("OPTION_MAX_LORA_RANK", "SM_VLLM_MAX_LORA_RANK", "--max-lora-rank"),
    ("OPTION_MAX_ROLLING_BATCH_SIZE", "SM_VLLM_MAX_NUM_SEQS", "--max-num-seqs"),
)
_MODEL_LENGTH = ("OPTION_MAX_MODEL_LEN", "SM_VLLM_MAX_MODEL_LEN")
_ENABLE_LORA = ("OPTION_ENABLE_LORA", "SM_VLLM_ENABLE_LORA")
_PREFIX_CACHING = ("OPTION_ENABLE_PREFIX_CACHING", "SM_VLLM_ENABLE_PREFIX_CACHING")
_NO_PREFIX_CACHING = "SM_VLLM_NO_ENABLE_PREFIX_CACHING"

_MIDDLEWARES = {
    "RequestGuard": "local_sagemaker.http_guards.request_guard.RequestGuard",
    "WarmUp": "local_sagemaker.vllm_engine.warm_up.WarmUp",
    "LmiBodies": "local_sagemaker.vllm_engine.lmi_bodies.LmiBodies",
}
# [V] The longest path of a Unix socket is 107 characters; vLLM adds 37 to the folder.
_LONGEST_SOCKET_FOLDER = 70


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start vLLM: vLLM's arguments, and the variables to set."""

    arguments: list[str]
    variables: dict[str, str]


def launch(environment: Mapping[str, str], *, model: Path, port: int, dialect: Dialect) -> Launch:
    """Return how to serve a model as a container with these variables; ValueError for a wrong value.

    Settings of the hardware (`OPTION_DTYPE`, `OPTION_TENSOR_PARALLEL_DEGREE`, …) have no effect on a CPU.
    """
    lora = _flag(environment, *_ENABLE_LORA) or False
    arguments = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    arguments += ["--served-model-name", *_served_names(environment, model)]
    arguments += ["--disable-uvicorn-access-log", "--enforce-eager"]
    # The last one is the outermost.
    names = ["WarmUp", "RequestGuard"] if dialect == "vllm" else ["LmiBodies", "WarmUp", "RequestGuard"]
    for name in names:
        arguments += ["--middleware", _MIDDLEWARES[name]]
    arguments += [*_limits(environment, lora=lora), *_model_length(environment, model)]
    caching = _prefix_caching(environment)
    if caching is not None:
        arguments.append("--enable-prefix-caching" if caching else "--no-enable-prefix-caching")
    return Launch(arguments=arguments, variables=_variables(environment, lora=lora, dialect=dialect))


def _limits(environment: Mapping[str, str], *, lora: bool) -> list[str]:
    arguments = ["--enable-lora"] if lora else []
    for *names, flag in _NUMBERS:
        number = _number(environment, *names)
        if number is not None and (lora or "lora" not in flag):
            arguments += [flag, str(number)]
    return arguments


def _model_length(environment: Mapping[str, str], model: Path) -> list[str]:
    """The context length, at most the model's own: vLLM refuses more, but small models stand in here."""
    wanted = _number(environment, *_MODEL_LENGTH)
    if wanted is None:
        return []
    return ["--max-model-len", str(min(wanted, _config(model).get("max_position_embeddings", wanted)))]


def _served_names(environment: Mapping[str, str], model: Path) -> list[str]:
    """The names that mean the base: the configured one, LMI's, and the one in the model's configuration."""
    names = [environment.get("SM_VLLM_SERVED_MODEL_NAME"), SERVED_NAME, _config(model).get("_name_or_path")]
    return list(dict.fromkeys(filter(None, names)))


def _config(model: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return content


def _prefix_caching(environment: Mapping[str, str]) -> bool | None:
    """Whether prefixes are cached; None is vLLM's default, which is on."""
    # [V djl-serving] Some releases of LMI drop the value "false", and pass any other one on as a flag.
    if environment.get(_PREFIX_CACHING[0]) == "--no-enable-prefix-caching":
        return False
    if _flag(environment, _NO_PREFIX_CACHING):
        return False
    return _flag(environment, *_PREFIX_CACHING)


def _variables(environment: Mapping[str, str], *, lora: bool, dialect: Dialect) -> dict[str, str]:
    defaults = {
        # GiB of each copy.
        "VLLM_CPU_KVCACHE_SPACE": "1",
        # More threads are no faster for small models. vLLM would bind them, those of all copies to the same
        # processors, and would choose their number by itself.
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # Nothing is compiled, as with adapters on a CPU anyway. Without this, each copy would compile what
        # log probabilities need, which takes 10 s and a C++ compiler.
        "TORCHDYNAMO_DISABLE": "1",
    }
    if lora and dialect == "lmi":
        # [V LMI] LMI registers adapters itself. The vLLM image needs the variable in its environment.
        defaults["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "true"
    if len(tempfile.gettempdir()) > _LONGEST_SOCKET_FOLDER:
        defaults["VLLM_RPC_BASE_PATH"] = "/tmp"  # noqa: S108 - the names of the sockets are random
    fixed = {
        "VLLM_PLUGINS": PLUGIN,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    return {name: value for name, value in defaults.items() if name not in environment} | fixed


def _number(environment: Mapping[str, str], *names: str) -> int | None:
    for name in names:
        if name in environment:
            try:
                return int(environment[name])
            except ValueError:
                raise ValueError(f"'{name}' should be an integer, got '{environment[name]}'") from None
    return None


def _flag(environment: Mapping[str, str], *names: str) -> bool | None:
    for name in names:
        if name in environment:
            value = environment[name].lower()
            if value not in ("true", "false"):
                raise ValueError(f"'{name}' should be true or false, got '{environment[name]}'")
            return value == "true"
    return None
