"""What is to serve the adapters that a command checks: the engine, its limits and the base model."""

from dataclasses import dataclass, replace
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.base_model import MAX_CONFIG_BYTES, BaseModelFacts
from adapter_fleet.lmi import LmiVersion
from adapter_fleet.model_shape import base_named
from adapter_fleet.serving import LoraServing
from adapters_cli.account import Account, explained
from adapters_cli.buckets import Location
from adapters_cli.environment_file import EnvironmentFile, read_environment

_CONFIG_FILE = "config.json"


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What adapters are compared with; where it is None, they are not.

    Every method raises ValueError, or CommandError for an environment, that says what is wrong with what it
    was given.
    """

    version: LmiVersion | None = None
    lora: LoraServing | None = None
    base: BaseModelFacts | None = None

    def with_container(self, name: str) -> "Serving":
        """Return it with a container by its name, `lmi19`."""
        return replace(self, version=_version(name.lower().removeprefix("lmi")))

    def with_max_lora_rank(self, rank: int) -> "Serving":
        """Return it with the engine's highest rank."""
        # How many adapters are in memory decides nothing about one of them.
        return replace(self, lora=LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=rank))

    def with_base_model(self, place: str, account: Account) -> "Serving":
        """Return it with a base model by its directory or `config.json`, on this machine or in S3.

        One that `known_shape` knows may be given by its name, where no file has it.
        """
        location = Location.parse(place)
        if location is None:
            known = base_named(place)
            if known.dimensions is not None and not Path(place).exists():
                return replace(self, base=known)
            path = Path(place)
            facts = BaseModelFacts.from_directory(path.parent if path.name == _CONFIG_FILE else path)
        else:
            facts = _stored_base(location, account)
        return replace(self, base=facts)

    def checked(self) -> "Serving":
        """Return it, once its engine is known to take its rank."""
        if self.version is not None and self.lora is not None:
            self.version.check_rank(self.lora.max_lora_rank)
        return self

    @classmethod
    def of_environment(cls, name: str) -> "Serving":
        """Read what an environment of the app says, by its name or the path of its file."""
        file = read_environment(name)
        return cls(version=file.container.lmi_version, lora=file.lora, base=_base_of(file))


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


def _stored_base(location: Location, account: Account) -> BaseModelFacts:
    folder, _, name = location.key.rpartition("/")
    if name != _CONFIG_FILE:
        folder = location.key.rstrip("/")
    key = f"{folder}/{_CONFIG_FILE}".lstrip("/")
    try:
        answer = account.s3.get_object(Bucket=location.bucket, Key=key)
        text = answer["Body"].read(MAX_CONFIG_BYTES)
    except (ClientError, BotoCoreError) as error:
        raise ValueError(
            f"'s3://{location.bucket}/{key}' should be the configuration of a base model, got:"
            f" {explained(error)}"
        ) from None
    return BaseModelFacts.from_config(
        text, where=f"s3://{location.bucket}/{key}", folder=folder.rpartition("/")[2] or location.bucket
    )
