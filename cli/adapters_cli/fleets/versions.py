"""Versions of adapters, as commands show them."""

from typing import Any

from adapter_fleet.manifest.desired import Artifact
from adapters_cli.fleets.fleet_status import AdapterState
from adapters_cli.output.text import print_note


def version_document(artifact: Artifact | None) -> dict[str, Any] | None:
    """Return a version as `--json` writes it."""
    if artifact is None:
        return None
    return {
        "version": artifact.version,
        "digest": None if artifact.digest is None else f"sha256:{artifact.digest}",
        "uri": artifact.uri,
    }


def print_earlier_versions(adapter: AdapterState) -> None:
    """Print the versions that an adapter can go back to, if there are any."""
    # Not the version that a rollback has restored: it serves already.
    serving = adapter.artifact if adapter.pinned else None
    known = ", ".join(found.version for found in adapter.earlier if not found.same_version_as(serving))
    if known:
        print_note(f"{adapter.name} can go back to {known}: 'adapters rollback {adapter.name} --to VERSION'")
