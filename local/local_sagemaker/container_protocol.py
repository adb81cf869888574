"""What the runtime and the engine know about containers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

ADAPTER_HEADER = "X-Amzn-SageMaker-Adapter-Identifier"
"""[V] The header in which SageMaker names the adapter of an invocation."""

ENGINE_HEADER = "X-Local-SageMaker-Engine"
"""The header of DescribeInferenceComponent's answer that names what really serves the copies. AWS has no such
header: there, the image of the model says it. Here, the image is only declared."""

SERVED_NAME = "lmi"
"""[V LMI] The name of the base model in a body's `model`, unless a setting gives it another one."""

NO_PREFIX_CACHING = "--no-enable-prefix-caching"
"""vLLM's flag. [V djl-serving] Some releases of LMI drop the value "false" of an option, and pass any other
value on as a flag of its own. So the flag can be the value of LMI's variable."""

RUNTIME_LORA = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
"""The variable without which vLLM has no paths to register adapters."""

_PREFIX_CACHING = "OPTION_ENABLE_PREFIX_CACHING"


@dataclass(frozen=True, kw_only=True)
class ContainerVariables:
    """What the environment variables of a container set; None is the engine's default.

    [V, both containers' documentation] LMI reads `OPTION_…`, the AWS vLLM image `SM_VLLM_…`. Here, either
    container reads both, and LMI's come first.
    """

    enable_lora: bool | None = None
    max_loras: int | None = None
    max_cpu_loras: int | None = None
    max_lora_rank: int | None = None
    max_batch_size: int | None = None
    max_model_len: int | None = None
    prefix_caching: bool | None = None
    runtime_lora: bool | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables; ValueError for a wrong value."""
        return cls(
            enable_lora=_flag(environment, "OPTION_ENABLE_LORA", "SM_VLLM_ENABLE_LORA"),
            max_loras=_number(environment, "OPTION_MAX_LORAS", "SM_VLLM_MAX_LORAS"),
            max_cpu_loras=_number(environment, "OPTION_MAX_CPU_LORAS", "SM_VLLM_MAX_CPU_LORAS"),
            max_lora_rank=_number(environment, "OPTION_MAX_LORA_RANK", "SM_VLLM_MAX_LORA_RANK"),
            max_batch_size=_number(environment, "OPTION_MAX_ROLLING_BATCH_SIZE", "SM_VLLM_MAX_NUM_SEQS"),
            max_model_len=_number(environment, "OPTION_MAX_MODEL_LEN", "SM_VLLM_MAX_MODEL_LEN"),
            prefix_caching=_prefix_caching(environment),
            runtime_lora=_runtime_lora(environment),
        )


def _runtime_lora(environment: Mapping[str, str]) -> bool | None:
    if RUNTIME_LORA not in environment:
        return None
    # [V vLLM, envs.py] Anything but these means no.
    return environment[RUNTIME_LORA].strip().lower() in ("1", "true")


def _prefix_caching(environment: Mapping[str, str]) -> bool | None:
    if environment.get(_PREFIX_CACHING) == NO_PREFIX_CACHING:
        return False
    if _PREFIX_CACHING not in environment and _flag(environment, "SM_VLLM_NO_ENABLE_PREFIX_CACHING"):
        return False
    return _flag(environment, _PREFIX_CACHING, "SM_VLLM_ENABLE_PREFIX_CACHING")


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
            # [V deep-learning-containers, scripts/docker/vllm/sagemaker_args.py] The vLLM image makes a flag
            # of each variable that is "true", and ignores each that is "false".
            if value == "true" or not name.startswith("SM_VLLM_"):
                return value == "true"
    return None
