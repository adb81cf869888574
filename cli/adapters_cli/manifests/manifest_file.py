"""A manifest on this machine for a deployed fleet, checked before anything is written."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from adapter_fleet.common.findings import Finding, Severity, shortened
from adapter_fleet.fleet.requests.requested_manifest import findings_of, resolved
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.known_versions import KnownVersions
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredFleet
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import LocalArtifact, ManifestError
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.archives.local_artifacts import CheckedArtifacts, DeclaredArtifact, check_local_artifacts
from adapter_rules.engines.lora_limits import LoraServing
from adapters_cli.output.errors import CommandError, UsageError, error_text
from adapters_cli.output.text import capped

STANDARD_INPUT = Path("-")


class MistakesError(CommandError):
    """A manifest has mistakes."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """A manifest that can be parsed.

    text:
        The file's content, with comments.
    mistakes:
        Its mistakes for this fleet, without those of directories and archives on this machine.
    """

    text: bytes
    manifest: Manifest
    mistakes: tuple[Finding, ...] = ()

    @classmethod
    def read(cls, path: Path, target: Target, registry: Registry) -> "ManifestFile":
        """Read a file, or `-` for standard input, for the fleet of a registry.

        Raises MistakesError if it is no manifest, and UsageError if there is no such file.
        """
        if path == STANDARD_INPUT:
            text, where, folder = sys.stdin.buffer.read(), "standard input", Path()
        else:
            try:
                text, where, folder = path.read_bytes(), str(path), path.parent
            except OSError as error:
                raise UsageError(error_text(error)) from None
        return cls.of(text, target, registry, where=where, folder=folder)

    @classmethod
    def of(
        cls, text: bytes, target: Target, registry: Registry, *, where: str, folder: Path | None
    ) -> "ManifestFile":
        """Parse a text. Raises MistakesError if it is no manifest."""
        try:
            manifest = Manifest.parse(text, where=where, folder=folder)
        except ManifestError as error:
            raise MistakesError(error.findings) from None
        findings = findings_of(manifest, target, KnownVersions(registry))
        return cls(text=text, manifest=manifest, mistakes=tuple(findings))

    @property
    def local(self) -> list[str]:
        """A line for each adapter that is only on this machine, ten at most and then their number."""
        lines = [
            f"{adapter.where}: adapter '{adapter.name}' is on this machine only ({adapter.artifact.path})"
            for adapter in self.manifest.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        ]
        return capped(lines, "adapters are on this machine only")

    def desired(self, target: Target) -> tuple[DesiredFleet, list[Finding]]:
        """Return the desired state and the warnings. Raises MistakesError with every mistake.

        An adapter that is only on this machine has `asset:<identity>` as its source, or as its URI if the
        fleet keeps no copies.
        """
        artifacts = _check_local_artifacts(self.manifest, target)
        errors = [finding for finding in artifacts.findings if finding.severity is Severity.ERROR]
        if self.mistakes or errors:
            lines = {adapter.where: line for line, adapter in enumerate(self.manifest.adapters)}
            mistakes = sorted([*self.mistakes, *errors], key=lambda finding: lines.get(finding.where, -1))
            raise MistakesError(mistakes)
        warnings = [finding for finding in artifacts.findings if finding.severity is Severity.WARNING]
        warnings += shortened(self.manifest.warnings())
        manifest = self.manifest.with_assets(artifacts.identities) if artifacts.identities else self.manifest
        archives = {identity: f"asset:{identity}" for identity in artifacts.identities.values()}
        return resolved(manifest, replace(target, archives=archives | dict(target.archives))), warnings


def _check_local_artifacts(manifest: Manifest, target: Target) -> CheckedArtifacts:
    """Check the directories and archives on this machine, as synth does, within the fleet's limits."""
    rank, base = target.settings.max_lora_rank, target.settings.base_model
    return check_local_artifacts(
        [
            DeclaredArtifact(
                adapter=adapter.name, path=adapter.artifact.path, where=adapter.where, digest=adapter.digest
            )
            for adapter in manifest.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        ],
        lora=None if rank is None else LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=rank),
        base=None if base is None else BaseModelFacts(name=base),
    )
