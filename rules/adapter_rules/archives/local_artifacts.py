"""Adapters on this machine: the one place that checks and identifies them before they are uploaded.

Synth and the `adapters` command both call `check_local_artifacts(declared, lora=…, base=…, version=…)`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from adapter_fleet.artifacts.archive import ArchiveError
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.checks.adapter_check import examine
from adapter_rules.engines.container_releases import ContainerRelease
from adapter_rules.engines.lora_limits import LoraServing

_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class DeclaredArtifact:
    """The directory or archive that one adapter of a manifest declares.

    where:
        File and line of the adapter in the manifest, for messages.
    digest:
        The identity that the manifest gives, if any.
    """

    adapter: str
    path: Path
    where: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckedArtifacts:
    """The result of `check_local_artifacts`.

    identities:
        By adapter. An adapter whose artifact has an error may be missing.
    """

    findings: Sequence[Finding]
    identities: Mapping[str, str]


def check_local_artifacts(
    declared: Iterable[DeclaredArtifact],
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    version: ContainerRelease | None = None,
) -> CheckedArtifacts:
    """Check every artifact once, however many adapters declare it, and compute its identity.

    `lora`, `base` and `version` limit the checks as in `examine`. A bad artifact never raises.
    """
    by_path: defaultdict[Path, list[DeclaredArtifact]] = defaultdict(list)
    for artifact in declared:
        by_path[artifact.path.resolve()].append(artifact)
    with ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(lambda users: _check(users[0].path, lora, base, version), by_path.values())
        findings: list[Finding] = []
        identities: dict[str, str] = {}
        for users, (found, identity) in zip(by_path.values(), results, strict=True):
            findings += [_attributed(finding, users) for finding in found]
            if identity is not None:
                identities |= {user.adapter: identity for user in users}
                findings += [_other_digest(user, identity) for user in users if _disagrees(user, identity)]
    return CheckedArtifacts(findings=findings, identities=identities)


def _check(
    path: Path, lora: LoraServing | None, base: BaseModelFacts | None, version: ContainerRelease | None
) -> tuple[list[Finding], str | None]:
    """Return the findings about one artifact, and its identity if none of them is an error."""
    # Imported here: the compressor that it needs takes a while to import, and most manifests do without.
    from adapter_rules.archives.packing import identity_of

    if not path.exists():
        message = f"should be a directory or an archive of this machine, got {short_repr(str(path))}"
        return [Finding.error("artifact-place", "", f"artifact: {message}, where there is nothing")], None
    findings = [
        replace(finding, message=f"{finding.where}: {finding.message}")
        for finding in examine(path, lora=lora, base=base, version=version).findings
    ]
    if any(finding.severity is Severity.ERROR for finding in findings):
        return findings, None
    try:
        return findings, identity_of(path)
    except (OSError, ArchiveError) as error:
        return [*findings, Finding.error("path-readable", "", f"{path}: {error}")], None


def _attributed(finding: Finding, users: Sequence[DeclaredArtifact]) -> Finding:
    """Return a finding about an artifact as one about the adapters that declare it."""
    first, more = users[0], len(users) - 1
    adapters = f"adapter {first.adapter!r}" + (f" and {more} more" if more else "")
    return replace(finding, where=first.where, message=f"{adapters}: {finding.message}")


def _disagrees(user: DeclaredArtifact, identity: str) -> bool:
    return user.digest not in (None, identity)


def _other_digest(user: DeclaredArtifact, identity: str) -> Finding:
    message = f"should be that of {user.path}, sha256:{identity}, got sha256:{user.digest}"
    return Finding.error("digest-agrees", user.where, f"adapter {user.adapter!r}: digest: {message}")
