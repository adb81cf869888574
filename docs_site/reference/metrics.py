"""The page of the metrics, from the methods that return them and the code that publishes them."""

import re
from collections.abc import Iterator

import griffe

from adapter_fleet.usage.counting_settings import USAGE_METRICS
from docs_site.markdown import table, wrapped
from docs_site.reference.docstrings import linked
from docs_site.reference.sources import load

FILE = "metrics.md"

_NAME = re.compile(r"\.metric\(\s*\"(\w+)\"")
_STATISTIC = re.compile(r"cloudwatch\.Stats\.(\w+)")
_METHOD = "metric_"


def page() -> str:
    """Return the page."""
    metrics = load("multi_adapter_inference")["metrics"]
    scaling = load("multi_adapter_inference")["scaling.CopyScaling"]
    head = ("metric", "method", "statistic", "what it is")
    parts = [
        "# Metrics",
        wrapped(
            "Every CloudWatch metric that the constructs return or publish. Each method returns a"
            " `cloudwatch.Metric` and takes the options of every CDK metric, such as `period` and"
            " `statistic`. [Monitoring](../guides/monitoring.md) has the dashboard, the alarms and what they"
            " cost."
        ),
        "## Requests",
        wrapped(
            "SageMaker publishes them in `AWS/SageMaker`, with the dimension `InferenceComponentName`. An"
            " endpoint has them of its base model, and each adapter has its own."
        ),
        table(head, _rows(metrics["ComponentMetrics"])),
        "## Copies",
        wrapped("Of the base model. `auto_scale_copies` returns a `CopyScaling`, which has the methods."),
        table(head, _rows(scaling)),
        "## Fleets",
        wrapped(
            "The passes of a fleet publish them in `MultiAdapterInference`, with the dimension `Fleet`: the"
            " fleet's `fleet_uid`."
        ),
        table(head, _rows(metrics["FleetMetrics"])),
        "## Use",
        wrapped(
            "With `fleet.monitor(usage=UsageMetrics(…))`, a function publishes these in"
            " `MultiAdapterInference`. [Use, by tag and"
            " adapter](../guides/monitoring.md#use-by-tag-and-adapter) says when, and with which dimensions:"
        ),
        wrapped(", ".join(f"`{name}`" for name in USAGE_METRICS) + "."),
    ]
    return "\n\n".join(parts) + "\n"


def metric_methods(owner: griffe.Class) -> list[griffe.Function]:
    """Return the methods of a class that return a metric of a fixed name."""
    return [
        member
        for member in owner.members.values()
        if isinstance(member, griffe.Function)
        and member.name.startswith(_METHOD)
        and _NAME.search(member.source)
    ]


def _rows(owner: griffe.Class) -> Iterator[tuple[str, str, str, str]]:
    for method in metric_methods(owner):
        name, statistic = _NAME.search(method.source), _STATISTIC.search(method.source)
        assert name is not None
        assert method.docstring is not None
        said = " ".join(method.docstring.value.split()).removeprefix("Return ")
        yield (
            f"`{name[1]}`",
            f"`{method.name}`",
            statistic[1].lower() if statistic else "average",
            linked(said[:1].upper() + said[1:], links=lambda _: None, root="../"),
        )
