"""What a fleet is triggered by: objects of a bucket that is not of this stack, and a schedule."""

import os

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn

app = cdk.App()
stack = cdk.Stack(app, "Events")
bucket = s3.Bucket.from_bucket_name(stack, "Bucket", os.environ["BUCKET"])
bucket.enable_event_bridge_notification()
machine = sfn.StateMachine(
    stack, "Machine", definition_body=sfn.DefinitionBody.from_chainable(sfn.Pass(stack, "Pass"))
)
rule = events.Rule(
    stack,
    "Written",
    event_pattern=events.EventPattern(
        source=["aws.s3"],
        detail_type=["Object Created"],
        detail={"bucket": {"name": [bucket.bucket_name]}, "object": {"key": ["adapters.yaml"]}},
    ),
)
rule.add_target(targets.SfnStateMachine(machine))
hourly = events.Rule(stack, "Hourly", schedule=events.Schedule.rate(cdk.Duration.hours(1)))
hourly.add_target(
    targets.SfnStateMachine(machine, input=events.RuleTargetInput.from_object({"trigger": "drift"}))
)
table = dynamodb.Table(
    stack,
    "Table",
    partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
    sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
    billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
    encryption=dynamodb.TableEncryption.AWS_MANAGED,
    point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
        point_in_time_recovery_enabled=True
    ),
    time_to_live_attribute="expires",
    removal_policy=cdk.RemovalPolicy.DESTROY,
)
cdk.CfnOutput(stack, "MachineArn", value=machine.state_machine_arn)
cdk.CfnOutput(stack, "TableName", value=table.table_name)
app.synth()
