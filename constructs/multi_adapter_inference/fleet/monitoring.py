"""A dashboard and the alarms of a fleet, whose size does not grow with the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from adapter_fleet.common.validators import check_whole_number
from adapter_fleet.fleet.state.configuration import STANDSTILL_PASSES
from adapter_fleet.usage.counting_settings import ADAPTER, FLEET, UsageMetric
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_milliseconds, whole_seconds
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import VARIANT_NAME
from multi_adapter_inference.fleet.fleet_interface import IAdapterFleet
from multi_adapter_inference.fleet.usage import UsageMetrics
from multi_adapter_inference.template.metrics import (
    CONTAINER_NAMESPACES,
    INVOCATION_NAMESPACE,
    METRICS_NAMESPACE,
)
from multi_adapter_inference.template.stack_location import stack_of

PERIOD = Duration.minutes(5)
DEFAULT_CONVERGENCE_AGE = Duration.hours(1)
DEFAULT_SERVER_ERRORS = 10
DEFAULT_USAGE = UsageMetrics()

_, _INSTANCES, _COPIES = CONTAINER_NAMESPACES
_SCHEMA = f'SCHEMA("{INVOCATION_NAMESPACE}", InferenceComponentName)'
_LONG_PERIODS = 3
_MAX_ERRORS = 0.5
# Failures in so many periods in a row span more than the periods between the first and the last: 15 minutes.
_WAKE_PERIODS = 5
# An alarm needs a value in each of its periods. Drift checks bring one in each hour, by default.
_CHECK_PERIOD = Duration.hours(1)
_DAY = Duration.days(1)
_WIDTH, _HEIGHT = 8, 6
_SHOWN = 10
_ACCOUNT_ALARMS = "AdapterAlarms"
_CHOSEN = "CHOSEN-ADAPTER"
"""Stands for the adapter that the reader of the dashboard chooses."""


@checked
class AdapterFleetMonitoring(Construct):
    """The dashboard and the alarms of a fleet. `monitor` of a fleet makes it.

    Both ask over all adapters at once, so they have the same size for 10 adapters and for 1,000.

    dashboard:
        The dashboard.
    alarms:
        Every alarm by a short name: `Failed`, `Behind`, `Drifted`, `Misidentified`, `NoCapacity`,
        `UncheckedCopies`, `Errors`, `ServerErrors`, `Slow` if it is wanted, `MaxLoras` and `MaxCpuLoras` if
        the room for adapters is known, and those of the fleet itself. Fleets of one stack share those over
        the whole account.
    widgets:
        The widgets, for a dashboard of your own.

    Example::

        monitoring: AdapterFleetMonitoring = endpoint.add_fleet("Watched", manifest=manifest).monitor()
        monitoring.alarms["Failed"].add_alarm_action(on_call)
    """

    dashboard: cloudwatch.Dashboard
    alarms: Mapping[str, cloudwatch.Alarm]
    widgets: Sequence[cloudwatch.IWidget]

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        fleet: IAdapterFleet,
        function_errors: cloudwatch.Metric,
        lost_events: cloudwatch.Metric,
        topic: sns.ITopic | None,
        max_failed: int,
        max_convergence_age: Duration,
        max_server_errors: int,
        max_model_latency: Duration | None,
        usage: UsageMetrics | None,
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            check_whole_number("max_failed", max_failed, at_least=0)
            check_whole_number("max_server_errors", max_server_errors, at_least=1)
            age = whole_seconds("max_convergence_age", max_convergence_age)
            latency = (
                None
                if max_model_latency is None
                else whole_milliseconds("max_model_latency", max_model_latency)
            )
        self._fleet, self._usage = fleet, usage
        self._shared = _AccountAlarms.of(self)
        alarms = {
            "Failed": self._above(
                "Failed", fleet.metric_failed(period=PERIOD), max_failed, "Adapters have failed"
            ),
            "Behind": self._above(
                "Behind",
                fleet.metric_convergence_age(period=PERIOD),
                age,
                f"The fleet has differed from its manifest for {max_convergence_age.to_human_string()}",
            ),
            "Drifted": self._above(
                "Drifted",
                fleet.metric_drifted(period=PERIOD),
                0,
                "Adapters are lost, or not as the manifest says; a drift check found them",
            ),
            "Misidentified": self._above(
                "Misidentified",
                fleet.metric_misidentified(period=PERIOD),
                0,
                "Another model answers for an adapter",
            ),
            "UncheckedCopies": self._above(
                "UncheckedCopies",
                fleet.metric_unchecked_copies(period=_CHECK_PERIOD, statistic=cloudwatch.Stats.MINIMUM),
                0,
                "New copies of the base model have not been asked whether they have the adapters",
            ),
            "NoCapacity": self._shared.above(
                "NoCapacity",
                _query("SUM", "NoCapacityInvocationFailures"),
                0,
                "Requests have found no copy of a base model for more than 15 minutes",
                periods=_WAKE_PERIODS,
            ),
            "Errors": self._shared.above(
                "Errors",
                # Each request counts 1 or 0 [V], so that the average is a share.
                _worst("AVG", "InvocationModelErrors"),
                _MAX_ERRORS,
                "Most requests to an adapter fail. 4XX: with 404 a copy has lost it, with 424 the container"
                " cannot load it, with 400 its callers are wrong; the log of the base model has the number."
                " 5XX, or no answer: the container fails. The dashboard names the ten worst",
                periods=_LONG_PERIODS,
            ),
            "ServerErrors": self._shared.above(
                "ServerErrors",
                _worst("SUM", "Invocation5XXErrors"),
                max_server_errors - 1,
                "Requests to an adapter fail with 5XX; the dashboard names the ten worst",
            ),
        }
        if latency is not None:
            alarms["Slow"] = self._shared.above(
                "Slow",
                _worst("AVG", "ModelLatency"),
                1000 * latency,
                "An adapter answers slowly; the dashboard names the ten slowest",
                periods=_LONG_PERIODS,
            )
        if usage is not None and fleet.endpoint.lora is not None:
            alarms |= self._room_alarms(usage)
        self.alarms = {**alarms, **_fleet_alarms(fleet, function_errors, lost_events)}
        if topic is not None:
            for alarm in self.alarms.values():
                self._shared.notify(alarm, topic)
        rows = self._rows()
        self.widgets = [widget for row in rows for widget in row]
        self.dashboard = cloudwatch.Dashboard(
            self, "Dashboard", widgets=rows, variables=[_choice(fleet.endpoint.base_component_name)]
        )

    def _above(
        self,
        id: str,
        metric: cloudwatch.IMetric,
        limit: int | float,
        description: str,
        *,
        periods: int = 1,
        # Passes write the metrics of a fleet. Between two passes, the last value stands.
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.IGNORE,
    ) -> cloudwatch.Alarm:
        about = f"{description} ({self._fleet.node.path})"
        return _above(self, id, metric, limit, about, periods=periods, missing=missing)

    def _room_alarms(self, usage: UsageMetrics) -> dict[str, cloudwatch.Alarm]:
        """Alarm before the adapters that are asked at a time outgrow GPU memory, and CPU memory."""
        return {
            name: self._above(
                name,
                self._fleet.metric(use, period=usage.every, statistic=cloudwatch.Stats.MAXIMUM),
                100 * usage.max_use,
                f"The adapters that are asked at a time are about to outgrow {setting}; beyond it, each"
                f" request waits for {wait}: raise {setting} of LoraServing",
            )
            for name, use, setting, wait in (
                ("MaxLoras", UsageMetric.MAX_LORAS_USE, "max_loras", "a copy from CPU memory"),
                ("MaxCpuLoras", UsageMetric.MAX_CPU_LORAS_USE, "max_cpu_loras", "a read from the disk"),
            )
        }

    # --- the dashboard

    def _rows(self) -> list[list[cloudwatch.IWidget]]:
        fleet, base = self._fleet, self._fleet.endpoint
        return [
            [
                cloudwatch.AlarmStatusWidget(
                    title="Alarms", alarms=list(self.alarms.values()), width=3 * _WIDTH, height=3
                )
            ],
            [
                _graph(
                    "Adapters",
                    fleet.metric_desired(),
                    fleet.metric_in_service(),
                    fleet.metric_pending(),
                    fleet.metric_failed(),
                    fleet.metric_asleep(),
                ),
                _graph("Requests: the ten with most", _ranked("SUM", "Invocations")),
                self._with_changes(
                    "Errors: the ten with most, and all by kind",
                    _ranked("SUM", "InvocationModelErrors"),
                    _query("SUM", "Invocation4XXErrors", label="4XX"),
                    _query("SUM", "Invocation5XXErrors", label="5XX"),
                ),
            ],
            [
                self._with_changes("Model latency, p99 in milliseconds: the ten slowest", _slowest("p99")),
                _one_adapter(),
                _graph("Requests without a copy", _query("SUM", "NoCapacityInvocationFailures")),
            ],
            [
                _graph(
                    "Copies of the base model",
                    # One value for each copy.
                    base.metric(
                        "CPUUtilizationNormalized",
                        namespace=_COPIES,
                        statistic=cloudwatch.Stats.SAMPLE_COUNT,
                        period=Duration.minutes(1),
                        label="copies that run",
                    ),
                    fleet.metric_unchecked_copies(),
                ),
                _graph(
                    "Load of each copy",
                    base.metric("ConcurrentRequestsPerCopy"),
                    base.metric("InvocationsPerCopy", statistic=cloudwatch.Stats.SUM),
                ),
                self._accelerators(),
            ],
            *([] if self._usage is None else self._daily_tables(self._usage)),
        ]

    def _with_changes(self, title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.IWidget:
        """Return a graph that shows when the fleet was changing, as a change may be the cause."""
        changing = self._fleet.metric_pending(label="adapters that change")
        return _graph(title, *metrics, right=[changing])

    def _accelerators(self) -> cloudwatch.IWidget:
        names = ("GPUReservation", "GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized")
        endpoint = self._fleet.endpoint.endpoint_name
        of_variant = {"EndpointName": endpoint, "VariantName": VARIANT_NAME}
        return _graph(
            "Use of accelerators, in percent",
            *(
                cloudwatch.Metric(namespace=_INSTANCES, metric_name=name, dimensions_map=of_variant)
                for name in names
            ),
        )

    def _daily_tables(self, usage: UsageMetrics) -> list[list[cloudwatch.IWidget]]:
        """Return tables of the requests by day: one for each tag and for adapters, or one for the fleet."""
        tables: dict[str, cloudwatch.IMetric] = {
            f"Requests by day and {key}: the ten with most": self._requests_by(key)
            for key in (*usage.by, *([ADAPTER] if usage.per_adapter else []))
        }
        if not tables:
            by_day = self._fleet.metric(UsageMetric.REQUESTS, period=_DAY, statistic=cloudwatch.Stats.SUM)
            tables = {"Requests by day": by_day}
        return [
            [
                cloudwatch.TableWidget(
                    title=title,
                    metrics=[metric],
                    layout=cloudwatch.TableLayout.VERTICAL,
                    width=3 * _WIDTH,
                    height=_HEIGHT,
                )
            ]
            for title, metric in tables.items()
        ]

    def _requests_by(self, key: str) -> cloudwatch.MathExpression:
        """Return the requests of each value of a tag, or of each adapter: the ten with most."""
        search = (
            f'SEARCH(\'{{{METRICS_NAMESPACE},{FLEET},"{key}"}} MetricName="{UsageMetric.REQUESTS}"'
            f" {FLEET}=\"{self._fleet.fleet_uid}\"', 'Sum', {_DAY.to_seconds():g})"
        )
        return cloudwatch.MathExpression(
            expression=f"SORT({search}, SUM, DESC, {_SHOWN})",
            using_metrics={},
            period=_DAY,
            label="Requests",
        )


class _AccountAlarms(Construct):
    """The alarms of a stack that see every component of the account and region: one for all of its fleets.

    Fleets with other limits have alarms of their own.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self._notified: set[tuple[str, str]] = set()

    @classmethod
    def of(cls, scope: Construct) -> _AccountAlarms:
        """Return those of the stack that a construct is in."""
        stack = stack_of(scope)
        found = stack.node.try_find_child(_ACCOUNT_ALARMS)
        return found if isinstance(found, cls) else cls(stack, _ACCOUNT_ALARMS)

    def above(
        self, id: str, metric: cloudwatch.IMetric, limit: int | float, description: str, *, periods: int = 1
    ) -> cloudwatch.Alarm:
        """Return the alarm with this limit. Without requests, it ends."""
        of_limit = f"{id}{limit:g}"
        found = self.node.try_find_child(of_limit)
        if isinstance(found, cloudwatch.Alarm):
            return found
        about = f"{description} (any component of the account and region)"
        missing = cloudwatch.TreatMissingData.NOT_BREACHING
        return _above(self, of_limit, metric, limit, about, periods=periods, missing=missing)

    def notify(self, alarm: cloudwatch.Alarm, topic: sns.ITopic) -> None:
        """Send an alarm and its end to a topic; once, however many fleets share the alarm."""
        pair = (alarm.node.path, topic.topic_arn)
        if pair not in self._notified:
            self._notified.add(pair)
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))


def _above(
    scope: Construct,
    id: str,
    metric: cloudwatch.IMetric,
    limit: int | float,
    description: str,
    *,
    periods: int,
    missing: cloudwatch.TreatMissingData,
) -> cloudwatch.Alarm:
    return cloudwatch.Alarm(
        scope,
        id,
        metric=metric,
        alarm_description=description,
        threshold=limit,
        evaluation_periods=periods,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treat_missing_data=missing,
    )


def _fleet_alarms(
    fleet: IAdapterFleet, function_errors: cloudwatch.Metric, lost_events: cloudwatch.Metric
) -> dict[str, cloudwatch.Alarm]:
    """Add the alarms on the fleet's functions, as children of the fleet."""
    alarm = partial(
        cloudwatch.Alarm,
        fleet,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    )
    # Passes that the fleet counted, and those whose function ended before it could.
    failing = cloudwatch.MathExpression(
        expression="MAX([FILL(passes, 0), FILL(errors, 0)])",
        using_metrics={"passes": fleet.metric_failed_passes(period=PERIOD), "errors": function_errors},
        label="failed passes",
        period=PERIOD,
    )
    return {
        "Standstill": alarm(
            "Standstill",
            metric=failing,
            alarm_description=f"Passes of the fleet {fleet.node.path} keep failing",
            threshold=STANDSTILL_PASSES,
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
        ),
        "LostEvents": alarm(
            "LostEvents",
            metric=lost_events,
            alarm_description=f"Events that the fleet {fleet.node.path} failed to handle",
            threshold=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ),
    }


def _graph(
    title: str, *metrics: cloudwatch.IMetric, right: Sequence[cloudwatch.IMetric] = ()
) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(
        title=title, left=list(metrics), right=list(right), width=_WIDTH, height=_HEIGHT
    )


def _one_adapter() -> cloudwatch.IWidget:
    """Return a graph of the adapter that the reader of the dashboard chooses."""
    of_adapter = partial(
        cloudwatch.Metric,
        namespace=INVOCATION_NAMESPACE,
        dimensions_map={"InferenceComponentName": _CHOSEN},
        period=PERIOD,
    )
    return _graph(
        "One adapter",
        of_adapter(metric_name="Invocations", statistic=cloudwatch.Stats.SUM, label="requests"),
        of_adapter(metric_name="Invocation4XXErrors", statistic=cloudwatch.Stats.SUM, label="4XX"),
        of_adapter(metric_name="Invocation5XXErrors", statistic=cloudwatch.Stats.SUM, label="5XX"),
        right=[
            cloudwatch.MathExpression(
                expression="latency / 1000",
                using_metrics={"latency": of_adapter(metric_name="ModelLatency", statistic="p99")},
                period=PERIOD,
                label="p99 in milliseconds",
            )
        ],
    )


def _choice(first: str) -> cloudwatch.DashboardVariable:
    """Return the choice of an adapter, or of the base model, which is `first`."""
    return cloudwatch.DashboardVariable(
        id="adapter",
        type=cloudwatch.VariableType.PATTERN,
        value=_CHOSEN,
        label="Adapter",
        input_type=cloudwatch.VariableInputType.SELECT,
        default_value=cloudwatch.DefaultValue.value(first),
        values=cloudwatch.Values.from_search_components(
            namespace=INVOCATION_NAMESPACE,
            dimensions=["InferenceComponentName"],
            metric_name="Invocations",
            populate_from="InferenceComponentName",
        ),
    )


def _query(function: str, metric: str, *, end: str = "", label: str = "") -> cloudwatch.MathExpression:
    """Return a query of Metrics Insights over all components. It cannot filter by the beginning of a name."""
    return cloudwatch.MathExpression(
        expression=f"SELECT {function}({metric}) FROM {_SCHEMA}{end}",  # noqa: S608 - no SQL
        using_metrics={},
        period=PERIOD,
        label=label,
    )


def _ranked(function: str, metric: str, *, count: int = _SHOWN) -> cloudwatch.MathExpression:
    """Return the components with the most in the window."""
    return _query(
        function,
        metric,
        end=f" GROUP BY InferenceComponentName ORDER BY {function}() DESC LIMIT {count}",
    )


def _worst(function: str, metric: str) -> cloudwatch.MathExpression:
    """Return the worst component. An alarm takes one series, and over 500 it would see a part only."""
    return _ranked(function, metric, count=1)


def _slowest(statistic: str) -> cloudwatch.MathExpression:
    """Return the slowest components, in milliseconds.

    Metrics Insights has no percentiles, and a search finds 500 series.
    """
    search = (
        f"SEARCH('{{{INVOCATION_NAMESPACE},InferenceComponentName}} MetricName=\"ModelLatency\"',"
        f" '{statistic}', {PERIOD.to_seconds():g})"
    )
    return cloudwatch.MathExpression(
        expression=f"SORT({search}, MAX, DESC, {_SHOWN}) / 1000", using_metrics={}, period=PERIOD, label=""
    )
