"""Reading a manifest for a fleet that exists: every rule that can be judged before anything is written."""

from dataclasses import dataclass
from pathlib import Path

from adapter_fleet.archive import ArchiveError
from adapter_fleet.desired import DesiredFleet
from adapter_fleet.manifest import LocalArtifact, Manifest, ManifestError
from adapter_fleet.record import Target
from adapters_cli.account import CommandError


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """A manifest that follows every rule.

    text:
        As it is in the file, comments included.
    """

    text: bytes
    manifest: Manifest

    @classmethod
    def read(cls, path: Path, target: Target) -> "ManifestFile":
        """Read a file; CommandError with all that is wrong with it for this fleet."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror or error}") from None
        try:
            manifest = Manifest.parse(text, where=str(path), folder=path.parent)
        except ManifestError as error:
            raise CommandError(str(error)) from None
        findings = manifest.findings(
            prefix=target.prefix,
            max_lora_rank=target.settings.max_lora_rank,
            base_model=target.settings.base_model,
        )
        if findings:
            raise CommandError("\n".join(map(str, findings)))
        return cls(text=text, manifest=manifest)

    @property
    def local(self) -> list[str]:
        """A line for each adapter that is on this machine only."""
        return [
            f"{adapter.where}: adapter '{adapter.name}' is on this machine only ({adapter.artifact.path})"
            for adapter in self.manifest.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        ]

    def desired(self, target: Target) -> DesiredFleet:
        """Return what the fleet would be; what is on this machine only gets `asset:<identity>` for a URI."""
        manifest, archives = self.manifest, dict(target.archives)
        local = {
            adapter.name: _identity(adapter.artifact.path, adapter.where, adapter.name)
            for adapter in manifest.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        }
        try:
            if local:
                manifest = manifest.with_assets(local)
                archives = {made: f"asset:{made}" for made in local.values()} | archives
            return manifest.resolve(
                prefix=target.prefix,
                buckets=target.buckets,
                archives=archives,
                smoke=target.settings.smoke,
            )
        except ManifestError as error:
            raise CommandError(str(error)) from None


def _identity(path: Path, where: str, name: str) -> str:
    # Its compressor takes a while to import, and most manifests do without.
    from adapter_fleet.packing import identity, identity_of_archive

    try:
        return identity(path) if path.is_dir() else identity_of_archive(path)
    except (OSError, ArchiveError) as error:
        raise CommandError(f"{where}: adapter '{name}': {error}") from None
