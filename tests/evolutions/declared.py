"""The app that evolves: what it declares, and its stack."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct, IDependable

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterArtifact,
    DriftCheck,
    IBaseComponent,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    LoraServing,
)
from tests.integration.by_hand import TICKETS, client
from tests.integration.fleet_stack import LORA, Deployment, Fleet, FleetStack

EARLY = "after the base model and before the adapters"
LATE = "after the adapters"
MANIFEST_KEY = "fleets/tenants.json"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Everything about the app that an evolution may change.

    endpoint_id:
        Id of the endpoint's construct.
    base:
        Directory of the base model.
    prefix:
        Begins the names of all components, after the stack's name.
    natives:
        Labels of the native adapters by id. Their archives are in a bucket.
    native_key:
        Folder of the native adapters' archives.
    fleet:
        Id of the fleet, which is the end of its prefix as well.
    moved_to, fleet_uid:
        The construct that the fleet moved into with its logical ids kept, and its identifier.
    published:
        True if the archives of the fleet's adapters are in a bucket, false if they are directories.
    stored:
        True if the fleet's manifest is in S3, false if it is a file.
    adapters:
        Labels of the fleet's adapters by name.
    """

    endpoint_id: str = "Llm"
    instance_type: InstanceType = InstanceType.ML_G5_12XLARGE
    version: LmiVersion = LmiVersion.V19
    lora: LoraServing = LORA
    copies: int = 1
    base: Path = TICKETS / "base"
    prefix: str = "a"
    natives: Mapping[str, str] = field(default_factory=lambda: {"Greeter": "triage", "Crier": "shout"})
    native_key: str = "first"
    fleet: str = "Tenants"
    moved_to: str | None = None
    fleet_uid: str | None = None
    published: bool = False
    stored: bool = False
    adapters: Mapping[str, str] = field(
        default_factory=lambda: {"acme": "summary", "globex": "shout", "initech": "summary-v2"}
    )


class EvolvingStack(FleetStack):
    """One stack with an endpoint, native adapters and a fleet.

    names:
        The components of the newest synthesis, by what they are: `base`, `native <label>`, `fleet <name>`.
    """

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        super().__init__(cloud, folder)
        self.declared = Declared()
        self.manifests = f"manifests-{self.name}"
        client(cloud, "s3").create_bucket(Bucket=self.manifests)
        self.names: dict[str, str] = {}
        self._fails: str | None = None
        self._there = False

    def deploy(self, declared: Declared, *, fails: str | None = None) -> Deployment:
        """Create or update the stack.

        fails:
            EARLY or LATE: where another resource of the stack fails.
        """
        self.declared, self._fails = declared, fails
        self.prefix = f"{self.name}-{declared.prefix}"
        self.endpoint_id, self.base = declared.endpoint_id, declared.base
        self.container, self.lora = LmiContainer(version=declared.version), declared.lora
        self.instance_type, self.copies = declared.instance_type, declared.copies
        stored = (self.manifests, MANIFEST_KEY) if declared.stored else None
        if declared.stored:
            text = self.archives.manifest(declared.adapters)
            client(self.cloud, "s3").put_object(Bucket=self.manifests, Key=MANIFEST_KEY, Body=text.encode())
        fleet = Fleet(
            adapters=declared.adapters,
            document=self.archives.manifest(declared.adapters) if declared.published else None,
            stored=stored,
            moved_to=declared.moved_to,
            settings={
                "allow_base_replacement": True,
                "fleet_uid": declared.fleet_uid,
                "drift_check": DriftCheck.repair(every=cdk.Duration.hours(1)),
            },
        )
        fleets = {declared.fleet: fleet}
        if self._there:
            return self.update(fleets)
        self._there = True
        return self.create(fleets)

    def uri_of_native(self, label: str) -> str:
        """Return where the archive of a native adapter is, put there if it is not."""
        bucket, _, key = self.archives.uri(label).removeprefix("s3://").partition("/")
        own = key.replace("adapters/", f"adapters/{self.declared.native_key}/", 1)
        client(self.cloud, "s3").copy_object(
            Bucket=bucket, Key=own, CopySource={"Bucket": bucket, "Key": key}
        )
        return f"s3://{bucket}/{own}"

    def _add_to(self, stack: cdk.Stack, endpoint: IBaseComponent) -> None:
        natives = {}
        for name, label in self.declared.natives.items():
            artifact = AdapterArtifact.from_uri(self.uri_of_native(label))
            natives[label] = LoraAdapter(stack, name, endpoint=endpoint, artifact=artifact)
        # Writes to the components of one base may refuse each other, and both are there in either case.
        for one, other in itertools.pairwise(natives.values()):
            other.node.add_dependency(one)
        self.names = {
            "base": endpoint.base_component_name,
            **{f"native {label}": native.component_name for label, native in natives.items()},
            **{f"fleet {name}": self.component(self.declared.fleet, name) for name in self.declared.adapters},
        }
        if self._fails is None:
            return
        fleet = stack.node.find_child(self.declared.moved_to or self.declared.fleet)
        failing = self._failing(stack, endpoint)
        if self._fails == LATE:
            failing.node.add_dependency(fleet, *natives.values())
        else:
            failing.node.add_dependency(*endpoint.adapters_depend_on)
            for adapter in (fleet, *natives.values()):
                _depend(adapter, failing)


def _depend(what: object, on: IDependable) -> None:
    assert isinstance(what, Construct)
    what.node.add_dependency(on)
