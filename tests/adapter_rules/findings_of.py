"""Checks an adapter on this machine, or an archive that is read as a stream."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_fleet.common.findings import Finding, Severity
from adapter_rules.checks.adapter_check import AdapterCheck, examine


def findings_of(
    adapter: Path | Readable,
    *,
    where: str = "archive",
    watch: Callable[[bytes], object] | None = None,
    **options: Any,
) -> list[Finding]:
    """Return what is wrong; `where` names a stream."""
    if isinstance(adapter, Path):
        check = examine(adapter, watch=watch, **options)
    else:
        check = AdapterCheck(where, **options)
        check.check_archive(adapter, watch)
    return [finding for finding in check.findings if finding.severity is not Severity.NOT_COMPARED]


def the_only(findings: list[Finding]) -> Finding:
    """Return the one finding that there is."""
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]
