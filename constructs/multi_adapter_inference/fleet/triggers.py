"""The EventBridge rules that start a fleet: new manifests, changes of its endpoint, errors, drift checks."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IDependable

from multi_adapter_inference.fleet.control_plane import ControlPlane
from multi_adapter_inference.fleet.policies import DriftCheck
from multi_adapter_inference.manifests.manifest import ManifestObject
from multi_adapter_inference.template.acknowledgement import acknowledge_notifications_handler

_SCALING_METRICS = ("ConcurrentRequestsPerCopy", "InvocationsPerCopy")
_EVENT_RETRIES = 24
_EVENT_AGE = Duration.hours(2)


def read_new_manifests(
    fleet: Construct, manifest: ManifestObject, function: lambda_.IFunction, control: ControlPlane
) -> events.Rule:
    """Call `function` for each new version of the manifest."""
    if manifest.enable_events:
        manifest.bucket.enable_event_bridge_notification()
        acknowledge_notifications_handler(fleet)
    return events.Rule(
        fleet,
        "ManifestChanged",
        description=f"A new manifest for the fleet {fleet.node.path}",
        event_pattern=events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={
                "bucket": {"name": [manifest.bucket.bucket_name]},
                "object": {"key": [manifest.key]},
            },
        ),
        targets=[
            targets.LambdaFunction(
                function,
                retry_attempts=_EVENT_RETRIES,
                max_event_age=_EVENT_AGE,
                # For events that never reach the function. It sends those that fail to the queue itself.
                dead_letter_queue=control.dead_letters,
            )
        ],
    )


def reread_manifest(
    fleet: Construct, every: Duration, function: lambda_.IFunction, *, after: IDependable
) -> None:
    """Call `function` on a schedule, for a manifest whose event was lost."""
    events.Rule(
        fleet,
        "ManifestReread",
        description=f"Looks for a manifest whose event was lost, for the fleet {fleet.node.path}",
        schedule=events.Schedule.rate(every),
        targets=[
            targets.LambdaFunction(
                function,
                event=events.RuleTargetInput.from_object({"trigger": "schedule"}),
                # The next event comes anyway.
                retry_attempts=0,
            )
        ],
    ).node.add_dependency(after)


def ask_after_scaling(
    fleet: Construct,
    base_component_name: str,
    wake_alarms: Sequence[cloudwatch.Alarm],
    control: ControlPlane,
    *,
    after: IDependable,
) -> None:
    """Start the state machine when an alarm that scales the base model rings: new copies have to be asked.

    SageMaker sends no event when the number of copies changes. The alarms are Application Auto Scaling's own,
    on metrics of the base component, and those that start the first copy. The names of these are not known
    at synth, and a reference to them would tie the fleet's stack to them: their descriptions are compared.
    """
    metric = {
        "name": list(_SCALING_METRICS),
        "dimensions": {"InferenceComponentName": [base_component_name]},
    }
    scaling: dict[str, object] = {"configuration": {"metrics": {"metricStat": {"metric": metric}}}}
    if wake_alarms:
        waking = {"configuration": {"description": [_description(alarm) for alarm in wake_alarms]}}
        scaling = {"$or": [scaling, waking]}
    pattern = events.EventPattern(
        source=["aws.cloudwatch"],
        detail_type=["CloudWatch Alarm State Change"],
        detail={"state": {"value": ["ALARM"]}, **scaling},
    )
    rule = _on_event(fleet, "Scaling", "Asks new copies of the base model", pattern, control, "scaling")
    rule.node.add_dependency(after)


def _description(alarm: cloudwatch.Alarm) -> str | None:
    resource = alarm.node.default_child
    assert isinstance(resource, cloudwatch.CfnAlarm)
    return resource.alarm_description


def check_for_drift(
    fleet: Construct, check: DriftCheck, control: ControlPlane, *, after: IDependable
) -> None:
    """Start the state machine on a schedule, to look for changes made by hand."""
    events.Rule(
        fleet,
        "DriftCheck",
        description=f"Looks for changes made by hand to the fleet {fleet.node.path}",
        schedule=events.Schedule.rate(check.every),
        targets=[_machine(control, "drift")],
    ).node.add_dependency(after)


def look_after_change(
    fleet: Construct, endpoint_name: str, control: ControlPlane, *, after: IDependable
) -> None:
    """Start the state machine when the endpoint is in service again: its copies may have lost the adapters.

    SageMaker sends no event about a component [V, EventBridge's list of SageMaker's events]. The endpoint is
    `Updating` while managed scaling or a rolling update is at work [T]. A container that restarts by itself
    changes no status: the drift check finds that.
    """
    pattern = events.EventPattern(
        source=["aws.sagemaker"],
        detail_type=["SageMaker Endpoint State Change"],
        detail={"EndpointName": [endpoint_name], "EndpointStatus": ["IN_SERVICE"]},
    )
    rule = _on_event(fleet, "EndpointChanged", "Asks the copies of the base model", pattern, control, "look")
    rule.node.add_dependency(after)


def look_after_errors(
    fleet: Construct, alarm: cloudwatch.Alarm, control: ControlPlane, *, after: IDependable
) -> None:
    """Start the state machine when the alarm rings: the copies may have lost the adapters."""
    pattern = events.EventPattern(
        source=["aws.cloudwatch"],
        detail_type=["CloudWatch Alarm State Change"],
        resources=[alarm.alarm_arn],
        detail={"state": {"value": ["ALARM"]}},
    )
    rule = _on_event(fleet, "AnswersFail", "Asks the copies of the base model", pattern, control, "look")
    rule.node.add_dependency(after)


def go_on_after_stop(fleet: Construct, control: ControlPlane) -> events.Rule:
    """Start the state machine again when somebody stops an execution: nobody else goes on with its work.

    Not after one that failed, which could fail again and again.
    """
    pattern = events.EventPattern(
        source=["aws.states"],
        detail_type=["Step Functions Execution Status Change"],
        detail={"stateMachineArn": [control.state_machine.state_machine_arn], "status": ["ABORTED"]},
    )
    return _on_event(fleet, "Stopped", "Goes on after a stopped execution", pattern, control, "continuing")


def _on_event(
    fleet: Construct,
    id: str,
    does: str,
    pattern: events.EventPattern,
    control: ControlPlane,
    trigger: str,
) -> events.Rule:
    return events.Rule(
        fleet,
        id,
        description=f"{does} of the fleet {fleet.node.path}",
        event_pattern=pattern,
        targets=[_machine(control, trigger)],
    )


def _machine(control: ControlPlane, trigger: str) -> targets.SfnStateMachine:
    return targets.SfnStateMachine(
        control.state_machine,
        input=events.RuleTargetInput.from_object(
            {"trigger": trigger, "requested_at": events.EventField.time}
        ),
        retry_attempts=_EVENT_RETRIES,
        max_event_age=_EVENT_AGE,
    )
