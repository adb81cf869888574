"""Translates a container's environment variables into vLLM's command line."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from local_sagemaker.container_protocol import NO_PREFIX_CACHING, SERVED_NAME, ContainerVariables
from tests.vllm.engine.base_rows import PLUGIN

Dialect = Literal["lmi", "vllm"]

_MIDDLEWARES = {
    "RequestGuard": "local_sagemaker.http_guards.RequestGuard",
    "WarmUp": "tests.vllm.engine.warm_up.WarmUp",
    "LmiBodies": "tests.vllm.engine.lmi_bodies.LmiBodies",
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
    given = ContainerVariables.of(environment)
    lora = bool(given.enable_lora)
    arguments = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    arguments += ["--served-model-name", *_served_names(environment, model)]
    arguments += ["--disable-uvicorn-access-log", "--enforce-eager"]
    # The last one is the outermost.
    names = ["WarmUp", "RequestGuard"] if dialect == "vllm" else ["LmiBodies", "WarmUp", "RequestGuard"]
    for name in names:
        arguments += ["--middleware", _MIDDLEWARES[name]]
    arguments += [*_limits(given), *_model_length(given, model)]
    if given.prefix_caching is not None:
        arguments.append("--enable-prefix-caching" if given.prefix_caching else NO_PREFIX_CACHING)
    return Launch(arguments=arguments, variables=_variables(environment, lora=lora, dialect=dialect))


def _limits(given: ContainerVariables) -> list[str]:
    limits = {"--max-num-seqs": given.max_batch_size}
    if given.enable_lora:
        limits |= {
            "--max-loras": given.max_loras,
            "--max-cpu-loras": given.max_cpu_loras,
            "--max-lora-rank": given.max_lora_rank,
        }
    arguments = ["--enable-lora"] if given.enable_lora else []
    for flag, limit in limits.items():
        if limit is not None:
            arguments += [flag, str(limit)]
    return arguments


def _model_length(given: ContainerVariables, model: Path) -> list[str]:
    """The context length, at most the model's own: vLLM refuses more, but small models stand in here."""
    wanted = given.max_model_len
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
