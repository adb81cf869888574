from __future__ import annotations

import pytest

from local_sagemaker.monitoring.metric_reader import Metric
from local_sagemaker.monitoring.search import Search

METRIC = Metric("AWS/SageMaker", "ModelLatency", {"InferenceComponentName": "prod-tickets-summary"}, [])
SCHEMA = "{AWS/SageMaker,InferenceComponentName}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'{SCHEMA} MetricName="ModelLatency"', True),
        ('{"AWS/SageMaker",InferenceComponentName} MetricName="OverheadLatency"', False),
        ('{AWS/SageMaker,EndpointName,VariantName} MetricName="ModelLatency"', False),
        (f'{SCHEMA} MetricName="ModelLatency" InferenceComponentName="prod-tickets-summary"', True),
        (f'{SCHEMA} InferenceComponentName="prod-tickets"', False),
    ],
)
def test_metric_is_found_by_its_terms(text: str, found: bool) -> None:
    assert Search.parse(text).takes(METRIC) is found


def test_namespace_is_that_of_the_schema() -> None:
    assert Search.parse(SCHEMA).namespace == "AWS/SageMaker"


@pytest.mark.parametrize("term", ["NOT x", "Latency", "MetricName=(a OR b)", "MetricName=part"])
def test_other_terms_are_refused(term: str) -> None:
    with pytest.raises(ValueError, match="not supported"):
        Search.parse(f"{SCHEMA} {term}")
