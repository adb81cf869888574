"""Alarms are evaluated by their dimensions, their periods and a clock, and have metric math.

Faults of ministack: an alarm takes every metric of its name whatever its dimensions, is evaluated only when
somebody calls PutMetricData, counts its periods as one, ignores DatapointsToAlarm and TreatMissingData, and
refuses Metrics. It notifies only topics, and sends no event to EventBridge. The code for tags of an alarm
that is not there is another than CloudWatch's.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch, eventbridge
from ministack.services.cloudformation import provisioners

from local_sagemaker.errors import logged
from local_sagemaker.ministack_patches.cloudwatch_metrics import StoredMetrics
from local_sagemaker.ministack_patches.internals import expect_names, replaces
from local_sagemaker.monitoring.alarm_state import Evaluation, Windows, evaluated, period
from local_sagemaker.monitoring.metrics import Series, query_metric
from local_sagemaker.monitoring.queries import answers, is_select

_log = logging.getLogger(__name__)

# [V user guide] While an alarm stays in ALARM, its Auto Scaling actions are repeated once a minute.
_REPEAT_SECONDS = 60.0
# How many periods an alarm catches up on, at most.
_MOST_PERIODS = 100
_SEARCH = re.compile(r"\bSEARCH\s*\(", re.IGNORECASE)

_SCALING_POLICY = "arn:aws:autoscaling:"
# What has to be at least 1 in an alarm.
_COUNTS = ("EvaluationPeriods", "DatapointsToAlarm", "Period")

# Called with the ARN of a scaling policy, the alarm and its latest value.
PolicyAction = Callable[[str, Mapping[str, Any], float | None], None]


class Alarms:
    """Evaluates the alarms of all accounts and regions."""

    def __init__(self, scale: Callable[[], float], clock: Callable[[], float] = time.time):
        """`scale` is how much of its time a period lasts."""
        self._scale = scale
        self._clock = clock
        self._on_policy: PolicyAction | None = None
        # By the alarm's ARN: the begin of the newest period that was looked at, and when its actions ran.
        self._looked_at: dict[str, float] = {}
        self._acted: dict[str, float] = {}
        # Events and policies by account and region. They wait for a tick, since an alarm may ring on the
        # thread of a function that has logged a metric.
        self._later: list[tuple[str, str, Callable[[], object]]] = []

    def on_policy(self, action: PolicyAction) -> None:
        """Call a function for each action of an alarm that is a scaling policy."""
        self._on_policy = action

    def tick(self) -> None:
        """Evaluate every alarm that has a new period behind it, then send events and carry out policies."""
        for (account, region, name), alarm in list(cloudwatch._alarms._data.items()):
            with request_scope(account, region), logged(f"alarm {name}"):
                for moment in self._due(alarm):
                    self._evaluate_at(alarm, moment)
        while self._later:
            account, region, act = self._later.pop(0)
            with request_scope(account, region), logged("an event or a scaling policy of an alarm"):
                act()

    def _do_later(self, act: Callable[[], object]) -> None:
        self._later.append((get_account_id(), get_region(), act))

    def _due(self, alarm: Mapping[str, Any]) -> list[float]:
        """A moment after each period that is over and was not looked at, the oldest first.

        A busy machine may be late by several periods of scaled time, and none is to be left out.
        """
        now = self._clock()
        windows = Windows.of(alarm, now, self._scale())
        last = self._looked_at.get(alarm["AlarmArn"], windows.starts[-1] - windows.seconds)
        count = min(_MOST_PERIODS, round((windows.starts[-1] - last) / windows.seconds))
        return [now - ago * windows.seconds for ago in reversed(range(count))]

    def evaluate(self, alarm: dict[str, Any]) -> None:
        """Evaluate an alarm of the current account and region; what goes wrong is only logged.

        Without a new period, the newest one is evaluated again: its values may have come late.
        """
        with logged(f"alarm {alarm['AlarmName']}"):
            for moment in self._due(alarm) or [self._clock()]:
                self._evaluate_at(alarm, moment)

    def _evaluate_at(self, alarm: dict[str, Any], moment: float) -> None:
        windows = Windows.of(alarm, moment, self._scale())
        self._looked_at[alarm["AlarmArn"]] = windows.starts[-1]
        try:
            evaluation = self._evaluation(alarm, windows)
        except (ValueError, KeyError) as error:
            _log.warning("alarm %s has no value: %s", alarm["AlarmName"], error)
            return
        if evaluation is not None:
            self._enter(alarm, evaluation, self._clock())

    def _evaluation(self, alarm: Mapping[str, Any], windows: Windows) -> Evaluation | None:
        start, end, queries = windows.starts[0], windows.starts[-1] + windows.seconds, _queries(alarm)
        found = answers(StoredMetrics(), queries, start, end, scale=self._scale())
        returned = [query["Id"] for query in queries if query.get("ReturnData", True)]
        series = [one for name in returned for one in found[name]]
        # [V user guide, "Metrics Insights alarms"] It rings if any series does.
        states = [state for state in (_evaluated(alarm, windows, one) for one in series) if state is not None]
        order = ("ALARM", "OK", "INSUFFICIENT_DATA")
        if states:
            return min(states, key=lambda state: order.index(state.state))
        return _evaluated(alarm, windows, Series(""))

    def _enter(self, alarm: dict[str, Any], evaluation: Evaluation, now: float) -> None:
        before, arn = alarm["StateValue"], alarm["AlarmArn"]
        if evaluation.state != before:
            alarm["StateValue"] = evaluation.state
            alarm["StateReason"] = evaluation.reason
            alarm["StateUpdatedTimestamp"] = int(now)
            cloudwatch._record_history(alarm["AlarmName"], before, evaluation.state, evaluation.reason)
            cloudwatch._dispatch_alarm_actions(alarm, before, evaluation.state, evaluation.reason)
            cloudwatch._evaluate_parent_alarms(alarm)
            self._acted.pop(arn, None)
            entries = {"Entries": [_event(alarm, before)]}
            self._do_later(partial(eventbridge._put_events, entries, allow_aws_source=True))
        if evaluation.state == "ALARM" and now - self._acted.get(arn, 0.0) >= _REPEAT_SECONDS * self._scale():
            self._acted[arn] = now
            self._act(alarm, evaluation.value)

    def _act(self, alarm: Mapping[str, Any], value: float | None) -> None:
        if self._on_policy is None or not alarm.get("ActionsEnabled", True):
            return
        for action in alarm.get("AlarmActions") or ():
            if action.startswith(_SCALING_POLICY):
                self._do_later(partial(self._on_policy, action, alarm, value))

    def install(self) -> None:
        """Replace ministack's evaluation, and take Metrics in alarms of the API and of templates."""
        expect_names(cloudwatch, "_alarms", "_evaluate_alarm", "_record_history", "_error")
        expect_names(cloudwatch, "_dispatch_alarm_actions", "_evaluate_parent_alarms")
        expect_names(eventbridge, "_put_events")

        @replaces(cloudwatch, "_put_metric_alarm")
        def put_with_metrics(
            put: Any, params: Any, request: Mapping[str, Any], is_cbor: bool, is_json: bool = False
        ) -> Any:
            try:
                check_alarm(request)
            except ValueError as error:
                return cloudwatch._error(
                    "ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor
                )
            answer = put(params, request, is_cbor, is_json)
            alarm = cloudwatch._alarms.get(request.get("AlarmName", ""))
            if answer[0] == 200 and alarm is not None and request.get("Metrics"):
                _take_metrics(alarm, request["Metrics"])
            return answer

        @replaces(provisioners, "_cw_metric_alarm_record")
        def record_with_metrics(record: Any, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
            check_alarm(properties)
            metrics = properties.get("Metrics")
            if not metrics:
                return dict(record(name, properties))
            placeholder = {"MetricName": "expression", "Namespace": "expression"}
            rest = {key: value for key, value in properties.items() if key != "Metrics"}
            return _take_metrics(dict(record(name, rest | placeholder)), _numbers(metrics))

        @replaces(cloudwatch, "_validate_alarm_tag_arn")
        def refuse_tags(refused: Any, arn: str, is_json: bool, is_cbor: bool) -> Any:
            if not refused(arn, is_json, is_cbor):
                return None
            # [T moto's tests]
            unknown = "ResourceNotFoundException", "Unknown", 404
            return cloudwatch._error(*unknown, use_json=is_json, use_cbor=is_cbor)

        cloudwatch._evaluate_alarm = self.evaluate


def check_alarm(alarm: Mapping[str, Any]) -> None:
    """Raise ValueError for counts and queries that no alarm may have, or that cannot be evaluated here.

    [T, a deployment that failed with this sentence] SEARCH is for dashboards and GetMetricData.
    """
    for name in _COUNTS:
        if alarm.get(name) is not None and int(alarm[name]) < 1:
            raise ValueError(f"'{name}' of a Metric Alarm should be at least 1, got {alarm[name]}")
    metrics = alarm.get("Metrics") or ()
    expressions = [query.get("Expression") or "" for query in metrics]
    if any(_SEARCH.search(text) for text in expressions if not is_select(text)):
        raise ValueError("SEARCH is not supported on Metric Alarms")
    try:
        answers(StoredMetrics(), metrics, 0.0, 60.0)
    except KeyError as error:
        raise ValueError(f"a query of a Metric Alarm should have {error}") from error


def _event(alarm: Mapping[str, Any], before: str) -> dict[str, Any]:
    """[V user guide, "Alarm events and EventBridge"] The event of an alarm that has changed its state."""
    metrics = []
    for query in _queries(alarm):
        shown = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
        if "MetricStat" in query:
            namespace, name, dimensions, seconds, statistic = query_metric(query["MetricStat"])
            metric = {"namespace": namespace, "name": name, "dimensions": dimensions}
            shown["metricStat"] = {"metric": metric, "period": int(seconds), "stat": statistic}
        else:
            shown["expression"] = query["Expression"]
        metrics.append(shown)
    detail = {
        "alarmName": alarm["AlarmName"],
        "configuration": {"description": alarm.get("AlarmDescription") or "", "metrics": metrics},
        "previousState": {"value": before},
        "state": {"value": alarm["StateValue"], "reason": alarm["StateReason"]},
    }
    return {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Detail": json.dumps(detail),
        "Resources": [alarm["AlarmArn"]],
    }


def _queries(alarm: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Metrics of an alarm; those of an alarm without are its one metric."""
    if alarm.get("Metrics"):
        return list(alarm["Metrics"])
    names = ("Namespace", "MetricName", "Dimensions")
    stat = {
        "Metric": {name: alarm[name] for name in names if name in alarm},
        "Period": period(alarm),
        "Stat": alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average",
        "Unit": alarm.get("Unit") or None,
    }
    return [{"Id": "m1", "MetricStat": stat}]


def _take_metrics(alarm: dict[str, Any], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    alarm["Metrics"] = metrics
    for member in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions"):
        alarm.pop(member, None)
    return alarm


def _numbers(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The queries of a template, whose numbers and truth values may be strings."""
    typed: list[dict[str, Any]] = json.loads(json.dumps(metrics))
    for query in typed:
        for holder in (query, query.get("MetricStat", {})):
            if "Period" in holder:
                holder["Period"] = int(holder["Period"])
        if "ReturnData" in query:
            query["ReturnData"] = str(query["ReturnData"]).lower() == "true"
    return typed


def _evaluated(alarm: Mapping[str, Any], windows: Windows, series: Series) -> Evaluation | None:
    # The begins of periods are products, which may differ in their last bits.
    values = {round(moment / windows.seconds): value for moment, value in series.values.items()}
    return evaluated(alarm, [values.get(round(start / windows.seconds)) for start in windows.starts])
