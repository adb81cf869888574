"""Settings for AWS behaviour that is slow, undocumented or documented in contradictory ways.

Comments in this package name the source of each behaviour: [V] verified in official documentation or code,
[T] reported by a third party, [I] inferred. Times are in seconds. Two profiles combine the settings: with
`kind` everything goes well, with `hostile` everything that is reported or possible goes wrong. Neither has
`adapter_update="refused"`, since CloudFormation could not update a native adapter then.
"""

import dataclasses
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal, get_args, get_origin, get_type_hints

Profile = Literal["kind", "hostile"]

NUMPY_SERVER = (
    "{python} -m local_sagemaker.model_server --model-dir {model_dir} --port {port} --dialect {dialect}"
    " --prefix-cache {prefix_cache} --slot-eviction {slot_eviction}"
    " --load-from-cpu-seconds {load_from_cpu_seconds} --load-from-disk-seconds {load_from_disk_seconds}"
)
"""The command that serves one copy unless `engine_command` is another one."""

# What stays when the profile changes.
_KEPT_BY_PROFILES = ("engine_command", "dialect", "time_scale")

# What `engine_command` may refer to: what the command of the NumPy server does.
PLACEHOLDERS = tuple(name for _, name, _, _ in Formatter().parse(NUMPY_SERVER) if name)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, for the start and while running. The defaults are the profile `kind`."""

    profile: Profile = "kind"

    # [T saved notebooks] An adapter is created in 2:02 to 2:21 minutes.
    component_create_seconds: float = 0.2
    # [T saved notebooks] An in-place update took 8:42 minutes.
    component_update_seconds: float = 0.2
    # [I] No source gives a time.
    component_delete_seconds: float = 0.1
    # [V seed] An endpoint takes minutes; the scale is 1 : 1000.
    endpoint_seconds: float = 0.2

    # [V notebooks] SageMaker unregisters, then registers (`gap`). [I] It may switch over instead (`gapless`).
    # [T] Some containers answer "Update operation is not supported" (`refused`).
    adapter_update: Literal["gapless", "gap", "refused"] = "gapless"
    # [I] How long the adapter is not registered in a `gap`: no source gives a time.
    update_gap_seconds: float = 0.0
    # [T] While one component of a base is being written, writes on the others are refused.
    one_write_per_base: bool = False
    # [V seed] Deleting the base deletes its adapters (`cascade`); [T Terraform, Hugging Face] or is refused.
    base_delete: Literal["cascade", "refuse"] = "cascade"
    # [V Terraform] VariantName, and so perhaps RuntimeConfig, are not for adapters (`refused`). [tried] AWS's
    # own SageMaker SDK v2 always sends both, so they may have no effect (`ignored`).
    adapter_with_base_members: Literal["ignored", "refused"] = "ignored"
    # [tried] AWS's SageMaker SDK v2 updates a base by compute requirements alone, so that its model may stay
    # (`merged`); all else goes. [V] The API takes a whole specification, so this may be refused.
    partial_specification: Literal["merged", "refused"] = "merged"
    # [V API reference] An adapter's ArtifactUrl is one archive, so that a prefix may be `refused`. [T a saved
    # notebook] Adapters at prefixes were in service (`fetched`).
    adapter_at_prefix: Literal["fetched", "refused"] = "fetched"
    # [I] The share of an instance's memory that no copy gets: no source says what the service itself keeps.
    instance_memory_kept: float = 0.0
    # [I] No source says whether adapters are on copies that scaling or a base update adds.
    adapters_on_new_copies: Literal["registered", "lost"] = "registered"
    # [T] While managed scaling or a rolling update changes the instances, the endpoint is `Updating`. [I] No
    # source says whether a component can be created then.
    create_while_instances_change: Literal["accepted", "refused"] = "accepted"
    # [V docs] A base update rolls in batches on newly provisioned capacity, [I] or needs spare room.
    base_update_room: Literal["provisioned", "spare"] = "provisioned"
    # [V ACK] The FailureReason of a failed update can outlive a later success.
    failure_reason_stays: bool = False
    # [I] Listings lag behind describes.
    listing_lag_seconds: float = 0.0
    # [I] LastModifiedTime moves without a write; 0 means never.
    last_modified_moves_every_seconds: float = 0.0

    # [I] No source says which adapter answers on the OpenAI path. Either the container gets the name of the
    # component's adapter (`component`), or only the body, whose `model` can name an adapter (`model`).
    openai_adapter: Literal["component", "model"] = "component"
    # [T OLP, Bifrost] The OpenAI path reports errors as InvokeEndpoint does: 424 ModelError for a container's
    # refusal (`runtime`). [T stdapi.ai, which quotes answers] It has OpenAI's error object (`openai`).
    openai_errors: Literal["runtime", "openai"] = "runtime"

    # How much of its time everything takes that watches and scales: the periods of alarms, cool-downs, the
    # moments between two values of a metric, the wait before an empty instance leaves. 1 is the whole time;
    # with 0.01 an alarm's minute lasts 0.6 s. The clock of schedules (at, cron) and of graphs is not scaled.
    time_scale: float = 1.0
    # [I] Whether the load of a base's adapters counts as the base's, in what the base is scaled by:
    # ConcurrentRequestsPerCopy, InvocationsPerCopy and NoCapacityInvocationFailures (`base`). Guides scale
    # bases of adapters by these. No source says so outright, so it may count for the adapter alone
    # (`adapter`). Neither profile has that, since a base with adapters could not be scaled by it.
    adapter_load: Literal["base", "adapter"] = "base"
    # [I] Whether InvocationsPerCopy is 0 or has no value while nobody invokes. The guide on scaling to zero
    # tracks it, and would not reach zero without a value.
    idle_invocations: Literal["zero", "none"] = "zero"
    # How the enhanced metrics of GPUs name one: as the developer guide does, or as AWS's notebook [T].
    accelerator_dimension: Literal["AcceleratorId", "GpuId"] = "AcceleratorId"
    # [T] How long an instance stays without copies before managed scaling removes it: 10 to 12 minutes.
    managed_scale_in_seconds: float = 600.0
    # [T] The periods of 10 s that the alarm which removes copies has: 60 measured once, 90 in six notebooks.
    scale_in_periods: Literal[60, 90] = 60
    # [V schema, write-only] A template's CopyCount fights with scaling. [I] CloudFormation may send it with
    # every update of a base that changes something (`always`), or only if the template's changes (`changed`).
    template_copies: Literal["changed", "always"] = "changed"
    # [T] What a container prints about an adapter is in its base's log group; [I] it is in its own as well.
    adapter_logs: Literal["base", "adapter"] = "base"

    # [V] CloudFormation creates independent resources together. With `one_write_per_base`, the adapters of a
    # template then refuse each other.
    parallel_creation: bool = False

    # [V similar calls] ThrottlingException "Rate exceeded"; calls a second, 0 means no limit.
    read_rate: float = 0.0
    write_rate: float = 0.0

    # [V container code] LMI and the AWS vLLM image answer the container protocol differently. `container`: as
    # the vLLM image if the container's environment has SM_VLLM_* variables, else as LMI.
    dialect: Literal["container", "lmi", "vllm"] = "container"
    # [V vLLM] Attention of equal prompt beginnings is reused: cached by the adapter's name (vLLM 0.11.1 and
    # newer), or by its name and path (newer still). An environment variable of the container turns it off.
    prefix_cache: Literal["off", "by_name", "by_path"] = "off"
    # [V vLLM before 0.26.0, #47724] An adapter that is added while every GPU slot is taken gets one that
    # requests in flight use, and they go on with the newcomer's weights (`running`). [V] Since then they do
    # not (`idle`). Neither profile has the fault, as it is one of some releases alone.
    slot_eviction: Literal["idle", "running"] = "idle"
    # [I] Whether the container finds a new version at a new path, or at its predecessor's (`same`) if it is
    # registered under its predecessor's name. No source says.
    update_path: Literal["new", "same"] = "new"
    # [I] What the NumPy server adds to each load of an adapter, from CPU memory to a GPU slot and from disk
    # to CPU memory. Its own loads take a millisecond, so that no caller can tell the tiers apart.
    load_from_cpu_seconds: float = 0.0
    load_from_disk_seconds: float = 0.0
    # The command that serves one copy; empty means the embedded NumPy server. PLACEHOLDERS names its
    # placeholders; other braces are doubled. Any server of the container protocol works. The model's
    # environment variables are in its environment.
    engine_command: str = ""

    def __post_init__(self) -> None:
        for name, kind in _FIELD_TYPES.items():
            _check(name, getattr(self, name), kind)
        _check_command(self.copy_command)
        if not self.time_scale:
            raise ValueError("'time_scale' should be above 0, got 0")

    @property
    def copy_command(self) -> str:
        """The command that serves one copy."""
        return self.engine_command or NUMPY_SERVER

    @property
    def engine_name(self) -> str:
        """What serves one copy, in words for reports."""
        if self.engine_command:
            return "a command of the user in the embedded cloud"
        return "NumPy server of the embedded cloud"

    def container_dialect(self, environment: Mapping[str, str]) -> Literal["lmi", "vllm"]:
        """The dialect of a container with these environment variables."""
        if self.dialect != "container":
            return self.dialect
        return "vllm" if any(name.startswith("SM_VLLM_") for name in environment) else "lmi"

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """These settings with changes.

        A profile replaces all settings but `engine_command`, `dialect` and `time_scale`. Raises ValueError
        for an unknown name or a wrong value.
        """
        unknown = sorted(set(changes) - set(_FIELD_TYPES))
        if unknown:
            raise ValueError(
                f"unknown setting {', '.join(map(repr, unknown))}; known: {', '.join(_FIELD_TYPES)}"
            )
        start = self
        if "profile" in changes:
            _check("profile", changes["profile"], Profile)
            kept = {name: getattr(self, name) for name in _KEPT_BY_PROFILES}
            start = dataclasses.replace(PROFILES[changes["profile"]], **kept)
        return dataclasses.replace(start, **changes)


def _check(name: str, value: object, kind: Any) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            known = ", ".join(map(str, get_args(kind)))
            raise ValueError(f"'{name}' should be one of {known}, got {value!r}")
    elif kind in (int, float):
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:  # type: ignore[operator]
            raise ValueError(f"'{name}' should be a number of at least 0, got {value!r}")
    elif not isinstance(value, kind):
        raise ValueError(f"'{name}' should be of type {kind.__name__}, got {value!r}")


def _check_command(command: str) -> None:
    try:
        parts = [part.format(**dict.fromkeys(PLACEHOLDERS, "value")) for part in shlex.split(command)]
    except (ValueError, LookupError, AttributeError) as error:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(
            f"'engine_command' should be a command with no placeholders but {known}, other braces doubled, "
            f"got {command!r}: {error!r}"
        ) from error
    if not parts:
        raise ValueError(f"'engine_command' should be a command, got {command!r}")


_FIELD_TYPES: dict[str, Any] = get_type_hints(Settings)

PROFILES: dict[Profile, Settings] = {
    "kind": Settings(),
    "hostile": Settings(
        profile="hostile",
        component_create_seconds=0.6,
        component_update_seconds=1.0,
        component_delete_seconds=0.4,
        endpoint_seconds=0.6,
        adapter_update="gap",
        update_gap_seconds=0.5,
        one_write_per_base=True,
        base_delete="refuse",
        adapter_with_base_members="refused",
        partial_specification="refused",
        adapter_at_prefix="refused",
        instance_memory_kept=0.1,
        adapters_on_new_copies="lost",
        create_while_instances_change="refused",
        base_update_room="spare",
        failure_reason_stays=True,
        listing_lag_seconds=1.0,
        last_modified_moves_every_seconds=2.0,
        openai_adapter="model",
        openai_errors="openai",
        idle_invocations="none",
        accelerator_dimension="GpuId",
        scale_in_periods=90,
        template_copies="always",
        adapter_logs="adapter",
        read_rate=50.0,
        write_rate=10.0,
        prefix_cache="by_name",
        update_path="same",
    ),
}


class CurrentSettings:
    """The settings in force, in one object that all their readers share."""

    def __init__(self, settings: Settings):
        self.value = settings

    def change(self, changes: Mapping[str, Any]) -> Settings:
        """Apply changes and return the settings now in force."""
        self.value = self.value.changed(changes)
        return self.value
