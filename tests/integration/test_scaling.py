"""Copies follow the load, to none and back, and what was measured meanwhile; a minute lasts 1.2 s."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import ByHand, changed_settings, client, prompts
from tests.nightly import scaled_time

pytestmark = [pytest.mark.integration, scaled_time]

ADAPTERS = ("triage", "summary", "shout")
SCALE = 0.02
TARGET = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
LOAD = 12


@dataclass
class Seen:
    """What happened, in the order of the fields."""

    copies_under_load: int = 0
    wrong: list[str] = field(default_factory=list)
    idle_copies: int = -1
    idle_instances: int = -1
    refusal: str = ""
    woken_copies: int = 0
    woken_instances: int = 0
    answers_after_waking: list[str] = field(default_factory=list)
    alarm_at_last: str = ""
    activities: list[str] = field(default_factory=list)
    # Requests, prompt tokens and completion tokens by component: the clients' counts, the servers' counts.
    counted: dict[str, list[int]] = field(default_factory=dict)
    servers: dict[str, list[int]] = field(default_factory=dict)
    # Invocations by component, as CloudWatch has them.
    invocations: dict[str, float] = field(default_factory=dict)


class Story:
    """One endpoint with three adapters and scaling policies."""

    def __init__(self, cloud: LocalCloud, made: ByHand) -> None:
        self._cloud, self._made = cloud, made
        self._sagemaker, self._cloudwatch = client(cloud, "sagemaker"), client(cloud, "cloudwatch")
        self._autoscaling = client(cloud, "application-autoscaling")
        self._names = {adapter: made.adapter(adapter) for adapter in ADAPTERS}
        self._questions = [
            (self._names[adapter], prompt["prompt"], prompt["answers"][adapter])
            for prompt in prompts()[:4]
            for adapter in ADAPTERS
        ]
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._names.values()}
        self._lock = threading.Lock()
        self.seen = Seen()

    def scale(self) -> None:
        """Track concurrency from none to three copies, and wake from none by an alarm."""
        scope = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"inference-component/{self._made.base}",
            "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
        }
        self._autoscaling.register_scalable_target(**scope, MinCapacity=0, MaxCapacity=3)
        self._autoscaling.put_scaling_policy(
            **scope,
            PolicyName="track",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 3,
                "PredefinedMetricSpecification": {"PredefinedMetricType": TARGET},
                "ScaleInCooldown": 60,
                "ScaleOutCooldown": 30,
            },
        )
        policy = self._autoscaling.put_scaling_policy(
            **scope,
            PolicyName="wake",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "MetricAggregationType": "Maximum",
                # One caller is no load for which a copy stays: its answers have to come within this time.
                "Cooldown": 900,
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            },
        )["PolicyARN"]
        self._cloudwatch.put_metric_alarm(
            AlarmName=f"wake-{self._made.base}",
            Namespace="AWS/SageMaker",
            MetricName="NoCapacityInvocationFailures",
            Dimensions=[{"Name": "InferenceComponentName", "Value": self._made.base}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[policy],
        )

    def ask(self, question: tuple[str, str, str]) -> str:
        """Ask, count the tokens of the answer, and note a wrong one."""
        name, prompt, expected = question
        answer = self._made.completion(name, prompt)
        text = str(answer["choices"][0]["text"])
        with self._lock:
            usage = {key: answer["usage"][key] for key in ("prompt_tokens", "completion_tokens")}
            self._counts[name].update({"requests": 1, **usage})
            if text != expected:
                self.seen.wrong.append(f"{name}: {text!r} instead of {expected!r}")
        return text

    def _load(self, stop: threading.Event, first: int) -> None:
        turn = first
        while not stop.is_set():
            self.ask(self._questions[turn % len(self._questions)])
            turn += 1

    def _copies(self, wanted: int, seconds: float = 60) -> int:
        end, current = time.monotonic() + seconds, -1
        while current != wanted and time.monotonic() < end:
            time.sleep(0.1)
            described = self._sagemaker.describe_inference_component(InferenceComponentName=self._made.base)
            if described["InferenceComponentStatus"] == "InService":
                current = described["RuntimeConfig"]["CurrentCopyCount"]
        return current

    def _instances(self, wanted: int) -> int:
        end, current = time.monotonic() + 20, -1
        while current != wanted and time.monotonic() < end:
            time.sleep(0.1)
            (variant,) = self._sagemaker.describe_endpoint(EndpointName=self._made.endpoint)[
                "ProductionVariants"
            ]
            current = variant["CurrentInstanceCount"]
        return current

    def _alarm(self) -> str:
        (alarm,) = self._cloudwatch.describe_alarms(AlarmNames=[f"wake-{self._made.base}"])["MetricAlarms"]
        return str(alarm["StateValue"])

    def tell(self) -> Seen:
        """Load, idle, wake."""
        seen, stop = self.seen, threading.Event()
        with ThreadPoolExecutor(LOAD) as pool:
            callers = [pool.submit(self._load, stop, first) for first in range(LOAD)]
            seen.copies_under_load = self._copies(3)
            stop.set()
        for caller in callers:
            caller.result()
        seen.idle_copies, seen.idle_instances = self._copies(0), self._instances(0)
        try:
            self.ask(self._questions[0])
        except ClientError as error:
            seen.refusal = str(error)
        seen.woken_copies = self._copies(1)
        seen.woken_instances = self._instances(1)
        seen.answers_after_waking = [self.ask(question) for question in self._questions]
        end = time.monotonic() + 10
        while self._alarm() != "OK" and time.monotonic() < end:
            time.sleep(0.1)
        seen.alarm_at_last = self._alarm()
        self._measures()
        return seen

    def _measures(self) -> None:
        activities = self._autoscaling.describe_scaling_activities(
            ServiceNamespace="sagemaker", ResourceId=f"inference-component/{self._made.base}"
        )["ScalingActivities"]
        self.seen.activities = [activity["StatusCode"] for activity in activities]
        members = ("requests", "prompt_tokens", "completion_tokens")
        self.seen.counted = {name: [counts[key] for key in members] for name, counts in self._counts.items()}
        told = self._cloud.admin.tokens()
        self.seen.servers = {name: [told[name][key] for key in members] for name in self._counts}
        query = (
            'SELECT SUM(Invocations) FROM SCHEMA("AWS/SageMaker", InferenceComponentName) '
            "GROUP BY InferenceComponentName"
        )
        now = time.time()
        results = self._cloudwatch.get_metric_data(
            StartTime=now - 3_600,
            EndTime=now + 60,
            MetricDataQueries=[{"Id": "q", "Expression": query, "Period": 60}],
        )["MetricDataResults"]
        self.seen.invocations = {result["Label"]: sum(result["Values"]) for result in results}


@pytest.fixture(scope="module")
def seen(cloud: LocalCloud) -> Iterator[Seen]:
    with (
        changed_settings(cloud, time_scale=SCALE, managed_scale_in_seconds=60),
        ByHand(cloud, 3) as made,
    ):
        story = Story(cloud, made)
        story.scale()
        yield story.tell()


def test_load_takes_the_copies_to_the_most(seen: Seen) -> None:
    assert seen.copies_under_load == 3


def test_every_adapter_answers_as_itself_throughout(seen: Seen) -> None:
    assert seen.wrong == []


def test_idleness_takes_copies_and_instances_to_none(seen: Seen) -> None:
    assert (seen.idle_copies, seen.idle_instances) == (0, 0)


def test_next_request_is_refused_in_the_services_words(seen: Seen) -> None:
    assert "(ValidationError)" in seen.refusal
    assert "Inference Component has no capacity to process this request." in seen.refusal


def test_refused_request_wakes_a_copy_with_every_adapter(seen: Seen) -> None:
    assert (seen.woken_copies, seen.woken_instances) == (1, 1)
    assert len(seen.answers_after_waking) == 4 * len(ADAPTERS)


def test_alarm_returns_to_ok(seen: Seen) -> None:
    assert seen.alarm_at_last == "OK"


def test_every_change_of_the_copies_is_an_activity(seen: Seen) -> None:
    assert len(seen.activities) >= 3
    assert set(seen.activities) == {"Successful"}


def test_tokens_that_clients_count_are_those_that_the_servers_counted(seen: Seen) -> None:
    assert seen.counted == seen.servers
    assert min(requests for requests, _, _ in seen.counted.values()) > len(ADAPTERS)


def test_invocations_of_each_adapter_are_in_cloudwatch(seen: Seen) -> None:
    requests = {name: counts[0] for name, counts in seen.counted.items()}
    assert {name: seen.invocations[name] for name in requests} == requests
