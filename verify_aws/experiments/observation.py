"""What one can observe: metrics, log groups, and the times of changes."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from verify_aws.experiment import experiment, number
from verify_aws.prompts import ONE
from verify_aws.stage import Stage
from verify_aws.transcript import Answer

_PERIOD = 60


def metric(
    stage: Stage, name: str, component: str, statistic: str, *, at_least: float | None = None
) -> float | None:
    """Return a metric of a component since the run began, None if it has no value.

    Sum adds up all periods, and Minimum is the lowest of all. A value that is below `at_least` is waited for,
    as metrics are late.
    """
    found: list[float] = []

    def there() -> bool:
        end = datetime.now(UTC).timestamp() + _PERIOD
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SageMaker",
                    "MetricName": name,
                    "Dimensions": [{"Name": "InferenceComponentName", "Value": component}],
                },
                "Period": _PERIOD,
                "Stat": statistic,
            },
        }
        answer: dict[str, Any] = stage.account.call(
            "cloudwatch",
            "get_metric_data",
            MetricDataQueries=[query],
            StartTime=datetime.fromtimestamp(math.floor(stage.began / _PERIOD) * _PERIOD, UTC),
            EndTime=datetime.fromtimestamp(math.ceil(end / _PERIOD) * _PERIOD, UTC),
        )
        found[:] = answer["MetricDataResults"][0]["Values"]
        return at_least is None or (bool(found) and sum(found) >= at_least)

    with suppress(TimeoutError):
        stage.account.until(there, f"{name} has a value", stage.account.metric_seconds)
    if not found:
        return None
    return sum(found) if statistic == "Sum" else min(found)


@experiment(
    fact="Guides scale bases of adapters by it, no source says so outright [I]; nor of zero values [I].",
    follows={
        "base_counts_its_adapters": ("adapter_load",),
        "zero_while_idle": ("idle_invocations",),
    },
)
def metrics(stage: Stage) -> Answer:
    """Does the load of adapters count as their base's, and has an idle base a value?"""
    adapter = stage.create("measured", ONE)
    for _ in range(3):
        stage.who(adapter)
    own, of_base = stage.invocations[adapter], stage.invocations[stage.base]
    adapter_sum = metric(stage, "Invocations", adapter, "Sum", at_least=own)
    # At least, since refused ones and chats may count, too.
    base_sum = metric(stage, "Invocations", stage.base, "Sum", at_least=of_base) or 0.0
    base_load = metric(stage, "InvocationsPerCopy", stage.base, "Sum", at_least=base_sum + own)
    # While nobody invoked anything, such as while adapters were created.
    lowest = metric(stage, "InvocationsPerCopy", stage.base, "Minimum")
    counts_adapters = base_load is not None and base_load >= base_sum + own
    return Answer(
        fields={
            "adapter_has_its_own": adapter_sum == own,
            "base_has_its_own": base_sum >= of_base,
            "base_counts_its_adapters": counts_adapters,
            "zero_while_idle": lowest == 0,
        },
        settings={}
        if base_load is None
        else {
            "adapter_load": ["base" if counts_adapters else "adapter"],
            "idle_invocations": ["zero" if lowest == 0 else "none"],
        },
    )


@experiment(
    fact="What is printed about an adapter is probably in its base's group [T], or in its own as well [I].",
    follows={"of_the_adapter": ("adapter_logs",)},
)
def log_groups(stage: Stage) -> Answer:
    """In which log groups is what containers print?"""
    adapter = stage.create("logged", ONE)
    stage.who(adapter)
    groups = {
        "of_the_base": f"/aws/sagemaker/InferenceComponents/{stage.base}",
        "of_the_adapter": f"/aws/sagemaker/InferenceComponents/{adapter}",
        "of_the_endpoint": f"/aws/sagemaker/Endpoints/{stage.endpoint}",
    }

    def exists(group: str) -> bool:
        found = stage.account.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group)
        return any(one["logGroupName"] == group for one in found)

    with suppress(TimeoutError):
        stage.account.until(
            lambda: exists(groups["of_the_adapter"]),
            "the adapter has a log group",
            stage.account.metric_seconds,
        )
    fields = {what: exists(group) for what, group in groups.items()}
    told = fields["of_the_base"] or fields["of_the_adapter"]
    return Answer(
        fields=fields,
        settings={"adapter_logs": ["adapter" if fields["of_the_adapter"] else "base"] if told else []},
    )


@experiment(
    fact="No source says so; it may [I].",
)
def last_modified(stage: Stage) -> Answer:
    """Does the last-modified time of a component move without a write?"""
    # Nobody has written to it since.
    passed = stage.described(stage.name("ref-one"))["LastModifiedTime"] - stage.modified
    return Answer(
        fields={},
        settings={"last_modified_moves_every_seconds": number(bool(passed))},
        measured={"moved_by_seconds": passed.total_seconds()},
    )
