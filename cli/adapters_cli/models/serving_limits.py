"""What is to serve the adapters that a command checks: the engine, its limits and the base model."""

from dataclasses import dataclass, replace

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import base_named
from adapters_cli.aws.account import Account
from adapters_cli.models.base_model_option import GivenModel
from adapters_cli.models.environment_file import EnvironmentFile, read_environment
from adapters_cli.output.errors import option_errors


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What adapters are compared with; where it is None, they are not."""

    version: LmiVersion | None = None
    lora: LoraServing | None = None
    base: BaseModelFacts | None = None

    @classmethod
    def of_options(
        cls,
        account: Account,
        *,
        container: str | None,
        max_lora_rank: int | None,
        environment: str | None = None,
        base_model: str | None = None,
    ) -> "Serving":
        """Return what the options of a command say; each goes before the environment's.

        Raises UsageError for one that is wrong, and NoAnswerError where a base model in S3 cannot be read.
        """
        with option_errors():
            serving = cls() if environment is None else _of_environment(environment)
            if container is not None:
                serving = replace(serving, version=_version(container.lower().removeprefix("lmi")))
            if max_lora_rank is not None:
                # How many adapters are in memory decides nothing about one of them.
                lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=max_lora_rank)
                serving = replace(serving, lora=lora)
            if base_model is not None:
                serving = replace(serving, base=GivenModel.read(base_model, account).facts)
            if serving.version is not None and serving.lora is not None:
                serving.version.check_rank(serving.lora.max_lora_rank)
        return serving


def _of_environment(name: str) -> Serving:
    file = read_environment(name)
    return Serving(version=file.container.lmi_version, lora=file.lora, base=_base_of(file))


def _base_of(file: EnvironmentFile) -> BaseModelFacts | None:
    place = file.base_model
    name = place.name or place.hub
    if place.directory is None:
        return None if name is None else base_named(name)
    try:
        facts = BaseModelFacts.from_directory(place.directory)
    except ValueError as error:
        raise ValueError(f"{file.path}: base_model.directory: {error}") from None
    return replace(facts, name=name or facts.name)


def _version(number: str) -> LmiVersion:
    try:
        return LmiVersion[f"V{number}"]
    except KeyError:
        known = [version.number for version in LmiVersion]
        raise ValueError(
            f"the container should be LMI {min(known)} to {max(known)}, got {number!r:.50}"
        ) from None
