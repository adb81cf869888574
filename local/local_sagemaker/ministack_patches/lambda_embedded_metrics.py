"""Log lines of Lambda functions in the embedded metric format become CloudWatch metrics.

Fault of ministack: it ignores the format. A line is a JSON object with `_aws.CloudWatchMetrics`. Each
directive names a namespace, metrics and sets of dimensions. The values of metrics (a number or a list of
numbers) and of dimensions are members of the object. Each set of dimensions is a metric of its own [V, the
format's specification]. Other lines are ignored.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ministack.services import cloudwatch, lambda_svc

from local_sagemaker.ministack_patches.internals import expect, expect_names


class Datum(NamedTuple):
    """One value of one metric, at a time in seconds since the epoch."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    timestamp: float
    unit: str
    value: float


def install() -> None:
    """Store the metrics of a handler's log lines after ministack has stored the lines."""
    expect(hasattr(lambda_svc, "_emit_lambda_logs"), "lambda_svc._emit_lambda_logs writes a handler's log")
    expect_names(cloudwatch, "_store_datum", "_evaluate_all_alarms")
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
    """Yield the metric values of a log line; none if the line is not in the format."""
    if '"_aws"' not in line:
        return
    try:
        content = json.loads(line)
        directives = content["_aws"]["CloudWatchMetrics"]
        timestamp = content["_aws"].get("Timestamp", time.time() * 1_000) / 1_000
        for directive in directives:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = {name: str(content[name]) for name in names}
                for metric in directive["Metrics"]:
                    for value in _numbers(content[metric["Name"]]):
                        unit = metric.get("Unit", "None")
                        yield Datum(
                            directive["Namespace"], metric["Name"], dimensions, timestamp, unit, value
                        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
