"""What is to serve the adapters that a command checks: the engine, its limits and the base model."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.base_model import MAX_CONFIG_BYTES, BaseModelFacts
from adapter_fleet.lmi import LmiVersion
from adapter_fleet.serving import LoraServing
from adapters_cli.account import Account, explained
from adapters_cli.buckets import Location

_FOLDER = Path("environments")
_SUFFIX = ".toml"
_CONFIG_FILE = "config.json"


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What adapters are compared with; where it is None, they are not.

    Every method raises ValueError that says what is wrong with what it was given.
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
        """Return it with a base model by its directory or `config.json`, on this machine or in S3."""
        location = Location.parse(place)
        if location is None:
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
        path = Path(name) if name.endswith(_SUFFIX) else _FOLDER / f"{name}{_SUFFIX}"
        try:
            document = tomllib.loads(path.read_text())
        except OSError as error:
            raise ValueError(
                f"'{path}' should be an environment's file, got: {error.strerror or error}"
            ) from None
        except ValueError as error:  # no TOML, or no UTF-8
            raise ValueError(f"'{path}' should be an environment's file, got: {error}") from None
        read = _Document(path, document)
        serving = cls(base=_base_of(path, read))
        if (version := read.whole_number("container", "lmi_version")) is not None:
            serving = replace(serving, version=_version(str(version), where=f"{path}: container.lmi_version"))
        if (rank := read.whole_number("lora", "max_lora_rank")) is not None:
            try:
                serving = serving.with_max_lora_rank(rank)
            except ValueError as error:
                raise ValueError(f"{path}: lora: {error}") from None
        return serving


class _Document:
    """Reads the settings that matter here; those beside them are of no concern."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self._path = path
        self._document = document

    def whole_number(self, table: str, key: str) -> int | None:
        value = self._value(table, key)
        if value is None or type(value) is int:  # a bool is an int to isinstance
            return value
        raise self._wrong(table, key, "a whole number", value)

    def text(self, table: str, key: str) -> str | None:
        value = self._value(table, key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(table, key, "a string", value)

    def _value(self, table: str, key: str) -> Any:
        found = self._document.get(table, {})
        if not isinstance(found, dict):
            raise ValueError(f"{self._path}: {table} should be a table, got {found!r:.200}")
        return found.get(key)

    def _wrong(self, table: str, key: str, kind: str, value: Any) -> ValueError:
        return ValueError(f"{self._path}: {table}.{key} should be {kind}, got {value!r:.200}")


def _base_of(path: Path, read: _Document) -> BaseModelFacts | None:
    name, directory = read.text("base_model", "name"), read.text("base_model", "directory")
    if directory is None:
        name = name or read.text("base_model", "hub")
        return None if name is None else BaseModelFacts(name=name)
    try:
        facts = BaseModelFacts.from_directory(path.parent / directory)
    except ValueError as error:
        raise ValueError(f"{path}: base_model.directory: {error}") from None
    return replace(facts, name=name or facts.name)


def _version(number: str, *, where: str = "the container") -> LmiVersion:
    try:
        return LmiVersion[f"V{number}"]
    except KeyError:
        known = [version.number for version in LmiVersion]
        raise ValueError(f"{where} should be LMI {min(known)} to {max(known)}, got {number!r:.50}") from None


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
