from __future__ import annotations

import pytest

from local_sagemaker.monitoring.metric_reader import Metric
from local_sagemaker.monitoring.search import Search

METRIC = Metric("AWS/SageMaker", "ModelLatency", {"InferenceComponentName": "prod-tickets-summary"}, [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{AWS/SageMaker,InferenceComponentName} MetricName="ModelLatency"', True),
        ('{"AWS/SageMaker",InferenceComponentName} MetricName="OverheadLatency"', False),
        ("{AWS/SageMaker,EndpointName,VariantName} ModelLatency", False),
        ("{AWS/SageMaker,InferenceComponentName} Latency", True),
        ("{AWS/SageMaker,InferenceComponentName} latency tickets", True),
        ("{AWS/SageMaker,InferenceComponentName} MetricName=tickets", False),
        ("{AWS/SageMaker,InferenceComponentName} InferenceComponentName=prod-tickets", True),
        ('{AWS/SageMaker,InferenceComponentName} InferenceComponentName="prod-tickets"', False),
        ('InferenceComponentName=("a" OR "prod-tickets-summary") AND MetricName=(Model OR Overhead)', True),
        ('Namespace="AWS/SageMaker" ModelLatency', True),
    ],
)
def test_metric_is_found_by_its_terms(text: str, found: bool) -> None:
    assert Search.parse(text).takes(METRIC) is found


def test_namespace_is_that_of_the_schema_or_the_term() -> None:
    assert Search.parse("{AWS/SageMaker,EndpointName} x").namespace == "AWS/SageMaker"
    assert Search.parse('Namespace="AWS/SageMaker" x').namespace == "AWS/SageMaker"
    assert Search.parse("x").namespace is None


def test_negation_is_refused() -> None:
    with pytest.raises(ValueError, match="not supported"):
        Search.parse("{AWS/SageMaker,EndpointName} NOT x")
