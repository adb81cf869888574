from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

EMBEDDED_METRIC = """
import json, time

def handler(event, context):
    print("not a metric, though it says \\"_aws\\"")
    for fleet, pending in (("one", 3), ("two", [5, 7])):
        directive = {"Namespace": "Adapters", "Dimensions": [["Fleet"]], "Metrics": [{"Name": "Pending"}]}
        about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        print(json.dumps({"_aws": about, "Fleet": fleet, "Pending": pending}))
"""


def test_embedded_metric_of_a_log_line_is_a_metric_of_its_dimensions(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    client("lambda").invoke(FunctionName=function(EMBEDDED_METRIC))
    cloudwatch, now = client("cloudwatch"), datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5)}

    def metric(fleet: str) -> dict[str, Any]:
        dimensions = [{"Name": "Fleet", "Value": fleet}]
        return {"Namespace": "Adapters", "MetricName": "Pending", "Dimensions": dimensions}

    statistics = cloudwatch.get_metric_statistics(**metric("two"), **span, Period=3600, Statistics=["Sum"])
    assert sum(point["Sum"] for point in statistics["Datapoints"]) == 12
    query = {"Id": "m", "MetricStat": {"Metric": metric("one"), "Period": 3600, "Stat": "Maximum"}}
    (result,) = cloudwatch.get_metric_data(**span, MetricDataQueries=[query])["MetricDataResults"]
    assert result["Values"] == [3]
