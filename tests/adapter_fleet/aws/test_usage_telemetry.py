import json

import pytest

from adapter_fleet.aws.usage_counter import Sample, UsageTelemetry


def test_line_is_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    sample = Sample(
        at=60.5, dimensions={"Fleet": "f", "tenant": "Bäcker"}, values={"Requests": 3, "MaxLorasUse": 0.5}
    )
    UsageTelemetry("Space").publish(sample)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "_aws": {
            "Timestamp": 60500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Space",
                    "Dimensions": [["Fleet", "tenant"]],
                    "Metrics": [
                        {"Name": "Requests", "Unit": "Count"},
                        {"Name": "MaxLorasUse", "Unit": "Percent"},
                    ],
                }
            ],
        },
        "Fleet": "f",
        "tenant": "B\\xe4cker",
        "Requests": 3,
        "MaxLorasUse": 0.5,
    }


@pytest.mark.parametrize(("tag", "value"), [(" ", "-"), ("", "-"), ("界" * 256, ("\\u754c" * 171)[:1024])])
def test_values_of_dimensions_are_such_as_cloudwatch_takes(
    capsys: pytest.CaptureFixture[str], tag: str, value: str
) -> None:
    UsageTelemetry("Space").publish(Sample(at=0.0, dimensions={"tenant": tag}, values={"Requests": 1}))
    assert json.loads(capsys.readouterr().out)["tenant"] == value
