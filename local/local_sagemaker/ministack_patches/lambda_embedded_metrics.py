"""Log lines of a Lambda in the embedded metric format become metrics, as CloudWatch Logs makes them of them.

A line is a JSON object with `_aws.CloudWatchMetrics`: each directive names a namespace, the metrics, whose
values are members of the object (a number or a list of numbers), and sets of dimensions, whose values are
members too; each set makes a metric of its own [V, the format's specification]. What does not fit is left
alone.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ministack.services import cloudwatch, lambda_svc

from local_sagemaker.ministack_patches.internals import expect


class Datum(NamedTuple):
    """One value of one metric, at a time in seconds since the epoch."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    timestamp: float
    unit: str
    value: float


def install() -> None:
    """Read what a handler has logged once it is written to its log."""
    expect(hasattr(lambda_svc, "_emit_lambda_logs"), "lambda_svc._emit_lambda_logs writes a handler's log")
    for name in ("_store_datum", "_evaluate_all_alarms"):
        expect(hasattr(cloudwatch, name), f"cloudwatch.{name} exists")
    emit = lambda_svc._emit_lambda_logs

    def emit_with_metrics(
        function: Any, request_id: str, log: str, error: bool, duration_ms: int, **source: Any
    ) -> None:
        emit(function, request_id, log, error, duration_ms, **source)
        found = False
        for datum in (datum for line in (log or "").splitlines() for datum in data_of(line)):
            cloudwatch._store_datum(*datum, None, None, None)
            found = True
        if found:
            cloudwatch._evaluate_all_alarms()

    lambda_svc._emit_lambda_logs = emit_with_metrics


def data_of(line: str) -> Iterator[Datum]:
    """What a log line says about metrics; nothing if it is no line of the format."""
    if '"_aws"' not in line:
        return
    try:
        said = json.loads(line)
        directives = said["_aws"]["CloudWatchMetrics"]
        timestamp = said["_aws"].get("Timestamp", time.time() * 1_000) / 1_000
        for directive in directives:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = {name: str(said[name]) for name in names}
                for metric in directive["Metrics"]:
                    for value in _numbers(said[metric["Name"]]):
                        unit = metric.get("Unit", "None")
                        yield Datum(
                            directive["Namespace"], metric["Name"], dimensions, timestamp, unit, value
                        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
