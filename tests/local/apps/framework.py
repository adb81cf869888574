"""A bucket that is emptied on deletion, and a custom resource that is complete at its second look."""

import os

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import custom_resources

HANDLERS = """
class NotToday(Exception): ...

def on_event(event, context):
    return {"PhysicalResourceId": "thing"}

looks = []

def is_complete(event, context):
    if event["ResourceProperties"].get("Wish") == "impossible":
        raise NotToday("the wish is impossible")
    looks.append(event["RequestType"])
    done = len(looks) % 2 == 0
    return {"IsComplete": done, **({"Data": {"Looks": str(looks)}} if done else {})}
"""

app = cdk.App()
stack = cdk.Stack(app, "Framework")
bucket = s3.Bucket(stack, "Bucket", auto_delete_objects=True, removal_policy=cdk.RemovalPolicy.DESTROY)


def handler(name: str) -> lambda_.Function:
    return lambda_.Function(
        stack,
        name,
        runtime=lambda_.Runtime.PYTHON_3_12,
        handler=f"index.{name}",
        code=lambda_.Code.from_inline(HANDLERS),
    )


provider = custom_resources.Provider(
    stack,
    "Provider",
    on_event_handler=handler("on_event"),
    is_complete_handler=handler("is_complete"),
    query_interval=cdk.Duration.seconds(1),
)
thing = cdk.CustomResource(
    stack, "Thing", service_token=provider.service_token, properties={"Wish": os.environ.get("WISH", "small")}
)
cdk.CfnOutput(stack, "BucketName", value=bucket.bucket_name)
cdk.CfnOutput(stack, "Looks", value=thing.get_att_string("Looks"))
app.synth()
