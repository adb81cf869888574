"""Versions of adapters, as commands show them."""

from typing import Any

from adapter_fleet.evaluation import EvaluationRecord
from adapter_fleet.manifest.desired import Artifact
from adapter_fleet.manifest.writer import plain_evaluation
from adapters_cli.fleets.adapter_states import AdapterState
from adapters_cli.output.text import print_note

_MIN_DIGEST_LENGTH = 4
"""A version may be named by its digest's first characters, at least as many as these."""


def is_named(artifact: Artifact, version: str) -> bool:
    """Return True if a person means this version: by its short name, its URI, or its digest's beginning.

    The digest may follow `sha256:`, as in a manifest, or `sha256-`, as in an archive's name.
    """
    digest = version.removeprefix("sha256:").removeprefix("sha256-").lower()
    if (
        artifact.digest is not None
        and len(digest) >= _MIN_DIGEST_LENGTH
        and artifact.digest.startswith(digest)
    ):
        return True
    return version in (artifact.version, artifact.uri)


def version_document(artifact: Artifact | None) -> dict[str, Any] | None:
    """Return a version as `--json` writes it."""
    if artifact is None:
        return None
    return {
        "version": artifact.version,
        "digest": None if artifact.digest is None else f"sha256:{artifact.digest}",
        "uri": artifact.uri,
        **({} if artifact.evaluation is None else {"evaluation": plain_evaluation(artifact.evaluation)}),
    }


def figures_text(evaluation: EvaluationRecord) -> str:
    """Return the figures of an evaluation on one line: `rougeL 0.41 (base 0.2), exact_match 0.9 (base 0)`."""
    return ", ".join(
        f"{metric} {figure.adapter:.4g} (base {figure.base:.4g})"
        for metric, figure in evaluation.figures.items()
    )


def print_earlier_versions(adapter: AdapterState) -> None:
    """Print the versions that an adapter can go back to, if there are any."""
    # Not the version that a rollback has restored: it serves already.
    known = [found.version for found in adapter.earlier if not found.same_version_as(adapter.artifact)]
    if known:
        to = known[0] if len(known) == 1 else "VERSION"
        listed = ", ".join(known)
        print_note(f"{adapter.name} can serve {listed}: 'adapters rollback {adapter.name} --to {to}'")
