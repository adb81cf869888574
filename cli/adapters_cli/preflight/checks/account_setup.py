"""Checks of the account: bootstrap stack, the stack's state, the topic, and names that are taken."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapters_cli.aws.components import LARGE_PAGES
from adapters_cli.output.text import few
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment

_BOOTSTRAP_VERSION = 6
"""The least that templates of the CDK accept (`DefaultStackSynthesizer`)."""

_KEY_OF_SNS = "alias/aws/sns"


def check_bootstrap(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Read the version of the CDK's bootstrap stack."""
    check = Check("bootstrap")
    where = f"aws://{deployment.account_id}/{deployment.region}"
    remedy = f"cdk bootstrap {where} --qualifier {deployment.qualifier}"
    name = f"/cdk-bootstrap/{deployment.qualifier}/version"
    try:
        value = deployment.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if code_of(error) != "ParameterNotFound":
            raise
        yield check.error(f"{where} is not bootstrapped for the CDK: there is no parameter {name}", remedy)
        return
    if not value.isdecimal() or int(value) < _BOOTSTRAP_VERSION:
        yield check.error(
            f"the bootstrap stack of {where} should have at least version {_BOOTSTRAP_VERSION}, got {value}",
            remedy,
        )
        return
    yield check.ok(f"the bootstrap stack of {where} has version {value}")


def check_stack(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look whether the stack's state admits a deployment."""
    check, status = Check("stack"), deployment.stack_status
    command = f"aws cloudformation describe-stack-events --stack-name {deployment.stack}"
    delete = f"aws cloudformation delete-stack --stack-name {deployment.stack}"
    region = f" --region {deployment.region}"
    if status is None:
        yield check.ok(f"'{deployment.stack}' is new")
    elif status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
        yield check.error(f"'{deployment.stack}' is {status}, and takes no update", f"{delete}{region}")
    elif status == "UPDATE_ROLLBACK_FAILED":
        again = f"aws cloudformation continue-update-rollback --stack-name {deployment.stack}{region}"
        yield check.error(f"'{deployment.stack}' is {status}, and takes no update", again)
    elif status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        yield check.warning(f"'{deployment.stack}' is {status}; wait for its end", f"{command}{region}")
    else:
        yield check.ok(f"'{deployment.stack}' is {status}")


def check_topic(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for the topic of `[monitoring]`, which alarms are sent to, and for someone who gets them."""
    check, monitoring = Check("topic"), deployment.environment.monitoring
    if monitoring is None or monitoring.topic_arn is None:
        yield check.ok("alarms are sent nowhere" if monitoring is not None else "there are no alarms")
        return
    topic, region = monitoring.topic_arn, deployment.region
    if (of_topic := topic.split(":")[3]) != region:
        yield check.error(
            f"the topic should be in {region}, where the alarms are, got one in {of_topic}",
            _create_topic(topic, region),
        )
        return
    try:
        found = deployment.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    except ClientError as error:
        if code_of(error) not in ("NotFound", "NotFoundException"):
            raise
        yield check.error(f"there is no topic {topic}", _create_topic(topic, region))
        return
    if found.get("KmsMasterKeyId") == _KEY_OF_SNS:
        yield check.error(
            f"SNS's own key ({_KEY_OF_SNS}) encrypts {topic}, with which CloudWatch cannot publish; take a"
            " key whose policy lets cloudwatch.amazonaws.com use it",
            f"aws sns set-topic-attributes --topic-arn {topic} --attribute-name KmsMasterKeyId"
            f" --attribute-value KEY-ARN --region {region}",
        )
        return
    if found.get("SubscriptionsConfirmed") == "0":
        yield check.warning(
            f"nobody has a confirmed subscription to {topic}, so nobody gets an alarm",
            f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS"
            f" --region {region}",
        )
        return
    yield check.ok(f"alarms are sent to {topic}")


def _create_topic(topic: str, region: str) -> str:
    return f"aws sns create-topic --name {topic.rpartition(':')[2]} --region {region}"


def check_names(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for components of other endpoints with the prefixes of the environment."""
    check, environment = Check("names"), deployment.environment
    fleets = [fleet.component_prefix for fleet in environment.fleets.values()]
    prefixes = dict.fromkeys(filter(None, [environment.endpoint.component_prefix, *fleets]))
    taken: dict[str, str] = {}
    for prefix in prefixes:
        pages = (
            deployment.client("sagemaker")
            .get_paginator("list_inference_components")
            .paginate(NameContains=prefix, PaginationConfig=LARGE_PAGES)
        )
        for found in pages.search("InferenceComponents[]"):
            if _is_taken(deployment, prefix, found):
                taken[found["InferenceComponentName"]] = found["EndpointName"]
    if not taken:
        yield check.ok(
            f"nothing else begins with {', '.join(prefixes)}" if prefixes else "they are the stack's"
        )
        return
    names = sorted(taken)
    where = taken[names[0]]
    yield check.error(
        f"components of endpoint '{where}' have names of this endpoint's prefix: {few(names)}; give another"
        " 'component_prefix', or delete them",
        f"aws sagemaker delete-inference-component --inference-component-name {names[0]}"
        f" --region {deployment.region}",
    )


def _is_taken(deployment: Deployment, prefix: str, found: dict[str, Any]) -> bool:
    name = found["InferenceComponentName"].lower()
    mine = deployment.has_endpoint(found["EndpointName"])
    return not mine and (name == prefix.lower() or name.startswith(f"{prefix.lower()}-"))
