"""The container, LoRA limits and base model that adapters are checked against."""

from dataclasses import dataclass, replace

from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.serving.base_model import BaseModelFacts, read_model_config
from adapter_fleet.serving.container_releases import ContainerRelease, LmiVersion, VllmVersion, check_rank
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import base_named
from adapters_cli.aws.account import Account
from adapters_cli.models.options import BaseModelOption, EnvironmentFile, read_environment
from adapters_cli.output.errors import option_errors


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """What adapters are checked against. None means: not checked."""

    version: ContainerRelease | None = None
    lora: LoraServing | None = None
    base: BaseModelFacts | None = None

    @classmethod
    def of_options(
        cls,
        account: Account,
        *,
        container: str | None = None,
        max_lora_rank: int | None = None,
        environment: str | None = None,
        base_model: str | None = None,
    ) -> "ServingLimits":
        """Return the limits that a command's options give. An option overrides the environment file.

        Raises UsageError for a wrong option, and NoAnswerError if a base model in S3 cannot be read.
        """
        with option_errors():
            limits = cls() if environment is None else _of_environment(environment)
            if container is not None:
                limits = replace(limits, version=_release(container))
            if max_lora_rank is not None:
                # The number of adapters in memory limits no single adapter.
                lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=max_lora_rank)
                limits = replace(limits, lora=lora)
            if base_model is not None:
                limits = replace(limits, base=BaseModelOption.read(base_model, account).facts)
            if limits.version is not None and limits.lora is not None:
                check_rank(limits.version, limits.lora.max_lora_rank)
        return limits


def _of_environment(name: str) -> ServingLimits:
    file = read_environment(name)
    return ServingLimits(version=file.tables.container.release, lora=file.tables.lora, base=_base_of(file))


def _base_of(file: EnvironmentFile) -> BaseModelFacts | None:
    declared = file.tables.base_model
    name = declared.name
    config = declared.config if declared.directory is None else declared.directory / "config.json"
    if config is None:
        return None if name is None else base_named(name)
    try:
        facts = BaseModelFacts.from_config(read_model_config(config), folder=config.resolve().parent.name)
    except ValueError as error:
        raise ValueError(f"{file.path}: base_model: {error}") from None
    return replace(facts, name=name or facts.name)


def _release(container: str) -> ContainerRelease:
    """Return the release of a container's name: lmi19 or 19, vllm2.6."""
    name = container.lower()
    known: dict[str, ContainerRelease] = {
        **{f"lmi{version.number}": version for version in LmiVersion},
        **{f"vllm{version.number}": version for version in VllmVersion},
    }
    release = known.get(name) or known.get(f"lmi{name}")
    if release is None:
        lmi, vllm = list(LmiVersion), list(VllmVersion)
        raise ValueError(
            f"the container should be lmi{lmi[0].number} to lmi{lmi[-1].number}, or vllm{vllm[0].number} to"
            f" vllm{vllm[-1].number}, got {container!r:.50}{did_you_mean(name, known)}"
        )
    return release
