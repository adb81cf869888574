"""Publishes the use of adapters as metrics, by lines in the embedded metric format of the function's log."""

import json
import sys

from adapter_fleet.usage.usage_counter import Sample

_UNITS = {"MaxCpuLorasUse": "Percent", "MaxLorasUse": "Percent"}

_MOST_CHARACTERS = 1024
"""The longest value of a dimension. A character beyond ASCII takes up to ten."""


class UsageTelemetry:
    """Writes lines to the standard output, which Lambda sends to CloudWatch."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def publish(self, sample: Sample) -> None:
        """Write the line of a sample."""
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [list(sample.dimensions)],
            "Metrics": [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in sample.values],
        }
        line = {
            "_aws": {"Timestamp": round(sample.at * 1000), "CloudWatchMetrics": [directive]},
            # CloudWatch takes values of dimensions in ASCII only, and none of spaces alone.
            **{name: _ascii(value) for name, value in sample.dimensions.items()},
            **sample.values,
        }
        sys.stdout.write(json.dumps(line) + "\n")


def _ascii(text: str) -> str:
    found = text.encode("ascii", "backslashreplace").decode()[:_MOST_CHARACTERS]
    return found if found.strip() else "-"
