"""GetMetricData through boto3: expressions, searches, order."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def namespace(client: Callable[..., Any]) -> str:
    """A namespace with the metric Errors of the components a and b, in two minutes."""
    made = f"test-{uuid.uuid4().hex[:8]}"
    minute = time.time() // 60 * 60
    data = [
        {
            "MetricName": "Errors",
            "Dimensions": [{"Name": "Component", "Value": component}],
            "Timestamp": minute - 60 * ago,
            "Value": value,
        }
        for component, ago, value in (("a", 1, 1), ("a", 0, 2), ("b", 1, 10), ("b", 0, 20))
    ]
    client("cloudwatch").put_metric_data(Namespace=made, MetricData=data)
    return made


def ask(client: Callable[..., Any], *queries: dict[str, Any], **more: Any) -> list[tuple[str, list[float]]]:
    now = time.time()
    answer = client("cloudwatch").get_metric_data(
        StartTime=now - 3_600, EndTime=now + 60, MetricDataQueries=list(queries), **more
    )
    return [(result["Label"], result["Values"]) for result in answer["MetricDataResults"]]


def test_query_may_be_of_metrics_insights_or_a_search_and_its_sum(
    client: Callable[..., Any], namespace: str
) -> None:
    query = 'SELECT SUM(Errors) FROM SCHEMA("{}", Component) GROUP BY Component ORDER BY SUM() DESC'
    insights = {"Id": "q", "Expression": query.format(namespace), "Period": 36_000_000}
    assert ask(client, insights) == [("b", [30]), ("a", [3])]
    search = f"SEARCH('{{{namespace},Component}} MetricName=\"Errors\"', 'Sum', 60)"
    every = {"Id": "all", "Expression": search, "ReturnData": False}
    assert ask(client, every, {"Id": "sum", "Expression": "SUM(all)", "Label": "total"}) == [
        ("total", [22, 11])
    ]
    total = {"Id": "sum", "Expression": f"SUM({search})", "Label": "total"}
    assert ask(client, total, ScanBy="TimestampAscending") == [("total", [11, 22])]
    with pytest.raises(ClientError, match="not an expression"):
        ask(client, {"Id": "e", "Expression": "m1 +"})
