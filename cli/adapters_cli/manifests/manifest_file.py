"""Reading a manifest for a fleet that exists: every rule that can be judged before anything is written."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from adapter_fleet.artifacts.archive_error import ArchiveError
from adapter_fleet.artifacts.check import check_archive, check_directory
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.manifest.desired import DesiredFleet
from adapter_fleet.manifest.manifest import LocalArtifact, Manifest, ManifestAdapter, ManifestError
from adapter_fleet.manifest.rules import Violation
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lora_limits import LoraServing
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.text import capped

STANDARD_INPUT = Path("-")
_CHECKERS = 4


class MistakesError(CommandError):
    """A manifest has mistakes."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """A manifest that can be read.

    text:
        As it is in the file, comments included.
    mistakes:
        What is wrong with it for this fleet, whatever is in the directories and archives of this machine.
    """

    text: bytes
    manifest: Manifest
    mistakes: tuple[Finding, ...] = ()

    @classmethod
    def read(cls, path: Path, target: Target) -> "ManifestFile":
        """Read a file, or `-` for standard input; MistakesError where it is no manifest.

        UsageError where there is no such file.
        """
        if path == STANDARD_INPUT:
            text, where, folder = sys.stdin.buffer.read(), "standard input", Path()
        else:
            try:
                text, where, folder = path.read_bytes(), str(path), path.parent
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror or error}") from None
        try:
            manifest = Manifest.parse(text, where=where, folder=folder)
        except ManifestError as error:
            raise MistakesError(error.findings) from None
        findings = manifest.findings(
            prefix=target.prefix,
            max_lora_rank=target.settings.max_lora_rank,
            base_model=target.settings.base_model,
            fleet_tags=target.tags,
        )
        stored = [adapter for adapter in manifest.adapters if not isinstance(adapter.artifact, LocalArtifact)]
        try:
            _resolve(replace(manifest, adapters=tuple(stored)), target, target.archives)
        except ManifestError as error:
            findings += [finding for finding in error.findings if finding not in findings]
        return cls(text=text, manifest=manifest, mistakes=tuple(findings))

    @property
    def local(self) -> list[str]:
        """A line for each adapter that is on this machine only, or for a few and their number."""
        lines = [
            f"{adapter.where}: adapter '{adapter.name}' is on this machine only ({adapter.artifact.path})"
            for adapter in self.manifest.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        ]
        return capped(lines, "adapters are on this machine only")

    def desired(self, target: Target) -> tuple[DesiredFleet, list[Finding]]:
        """Return what the fleet would be, and warnings; MistakesError with all that is wrong.

        What is on this machine only gets `asset:<identity>` for a source, or for a URI where the fleet keeps
        no copies.
        """
        artifacts = _LocalArtifacts(self.manifest, target)
        errors = [finding for finding in artifacts.findings if finding.severity is Severity.ERROR]
        if self.mistakes or errors:
            lines = {adapter.where: line for line, adapter in enumerate(self.manifest.adapters)}
            mistakes = sorted([*self.mistakes, *errors], key=lambda finding: lines.get(finding.where, -1))
            raise MistakesError(mistakes)
        warnings = [finding for finding in artifacts.findings if finding.severity is not Severity.ERROR]
        manifest = self.manifest.with_assets(artifacts.identities) if artifacts.identities else self.manifest
        archives = {made: f"asset:{made}" for made in artifacts.identities.values()}
        return _resolve(manifest, target, archives | dict(target.archives)), warnings


def _resolve(manifest: Manifest, target: Target, archives: Mapping[str, str]) -> DesiredFleet:
    return manifest.resolve(
        prefix=target.prefix,
        buckets=target.buckets,
        archives=archives,
        kept_archives=target.kept_archives,
        smoke=target.settings.smoke,
    )


class _LocalArtifacts:
    """The directories and archives of a manifest, checked as a synth checks them, each once.

    identities:
        By the names of the adapters, as far as there are any.
    """

    def __init__(self, manifest: Manifest, target: Target) -> None:
        users: defaultdict[Path, list[ManifestAdapter]] = defaultdict(list)
        for adapter in manifest.adapters:
            if isinstance(adapter.artifact, LocalArtifact):
                users[adapter.artifact.path].append(adapter)
        with ThreadPoolExecutor(_CHECKERS) as checkers:
            read = dict(zip(users, checkers.map(partial(_read, target=target), users), strict=True))
        self.findings: list[Finding] = []
        self.identities: dict[str, str] = {}
        for path, adapters in users.items():
            findings, identity = read[path]
            self.findings += [_of_adapters(finding, adapters) for finding in findings]
            if identity is None:
                continue
            self.identities |= {adapter.name: identity for adapter in adapters}
            self.findings += [
                Violation(
                    "digest-agrees", ("digest",), f"should be that of {path}, sha256:{identity}"
                ).finding(adapter)
                for adapter in adapters
                if adapter.digest not in (None, identity)
            ]


def _read(path: Path, *, target: Target) -> tuple[list[Finding], str | None]:
    """Return what is wrong with an adapter of this machine, and its identity where nothing is."""
    # Its compressor takes a while to import, and most manifests do without.
    from adapter_fleet.artifacts.packing import identity, identity_of_archive

    if not path.exists():
        message = f"should be a directory or an archive of this machine, got {short_repr(str(path))}"
        return [Finding.error("artifact-place", "", f"artifact: {message}, where there is nothing")], None
    directory = path.is_dir()
    rank, base = target.settings.max_lora_rank, target.settings.base_model
    findings = (check_directory if directory else check_archive)(
        path,
        lora=None if rank is None else LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=rank),
        base=None if base is None else BaseModelFacts(name=base),
    )
    findings = [replace(finding, message=f"{finding.where}: {finding.message}") for finding in findings]
    if any(finding.severity is Severity.ERROR for finding in findings):
        return findings, None
    try:
        return findings, identity(path) if directory else identity_of_archive(path)
    except (OSError, ArchiveError) as error:
        return [*findings, Finding.error("file-readable", "", f"{path}: {error}")], None


def _of_adapters(finding: Finding, adapters: Sequence[ManifestAdapter]) -> Finding:
    """Say which adapters a finding about an artifact is of, and where they are in the manifest."""
    first, more = adapters[0], len(adapters) - 1
    whose = f"adapter '{first.name}'" + (f" and {more} more" if more else "")
    return replace(finding, where=first.where, message=f"{whose}: {finding.message}")
