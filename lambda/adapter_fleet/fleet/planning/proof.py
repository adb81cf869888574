"""Proof: whether what serves has shown that it is the adapter. Pure functions."""

from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, Probe


def has_passed(record: AdapterRecord, want: DesiredAdapter) -> bool:
    """Return True if the artifact that serves has passed the smoke request, or if there is none."""
    if want.smoke is None:
        return True
    assert record.serving is not None  # callers know what serves
    return record.serving.same_as(record.passed) and record.passed_smoke == want.smoke.digest


def is_proven(record: AdapterRecord, want: DesiredAdapter) -> bool:
    """Return True if the artifact that serves has answered its probe, or has passed the weaker check."""
    serving, check = record.serving, record.probed
    assert serving is not None  # callers know what serves
    probe = probe_of(serving, want)
    if probe is None:
        return check is None or not (check.awaits_comparison and check.artifact.same_as(serving))
    return check is not None and check.is_of(serving, probe) and check.is_complete


def probe_of(serving: Artifact, want: DesiredAdapter) -> Probe | None:
    """Return the probe of what serves: that of the manifest, or for an earlier version its own."""
    return want.artifact.probe if serving.same_as(want.artifact) else serving.probe
