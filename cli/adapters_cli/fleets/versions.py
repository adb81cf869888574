"""How versions of adapters are shown: their short names to people, all that is known of them to programs."""

from typing import Any

from adapter_fleet.manifest.desired import Artifact
from adapters_cli.fleets.fleet_status import AdapterState
from adapters_cli.output.text import tell


def as_document(artifact: Artifact | None) -> dict[str, Any] | None:
    """Return a version as what `--json` writes."""
    if artifact is None:
        return None
    return {
        "version": artifact.version,
        "digest": None if artifact.digest is None else f"sha256:{artifact.digest}",
        "uri": artifact.uri,
    }


def tell_earlier(adapter: AdapterState) -> None:
    """Say which versions an adapter can go back to, if there are any."""
    # What a rollback has brought back is none to go back to.
    serving = adapter.artifact if adapter.pinned else None
    known = ", ".join(found.version for found in adapter.earlier if not found.same_version_as(serving))
    if known:
        tell(f"{adapter.name} can go back to {known}: 'adapters rollback {adapter.name} --to VERSION'")
