"""Onboarding 100 adapters the ways people do it today, beside a fleet. On the emulator, with these limits.

The cloud takes 10 writes a second and 2 s for a creation, and CloudFormation creates independent resources
together. Each way starts from an existing endpoint. Then adapter 50 is broken, and what
counts is how many of the other 99 answer in the end.

Nothing here is a speed on AWS: there, a creation takes longer, and Lambda functions do not share two cores.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter

from bench.cloud import PREFIX, Account, Synthesized, endpoint_in, synthesize  # isort: skip - before the CDK

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import custom_resources as cr

from bench.harness import Claim, publish
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    FleetAdapter,
    MultiAdapterEndpoint,
)
from tests.integration.fleet_stack import BROKEN as NO_ARCHIVE

ADAPTERS = 100
RATE = 10.0
DELAY_SECONDS = 2.0
LIMITS = {"write_rate": RATE, "component_create_seconds": DELAY_SECONDS, "parallel_creation": True}
BROKEN = 50
SYNTHS = 7

Uris = Mapping[str, str]
"""Where the archives are, by the adapters' names."""

# What a team writes for itself with the CDK's Provider framework: create, wait, delete.
_HANDLERS = """
import boto3
from botocore.config import Config

sagemaker = boto3.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 12}))

def describe(name):
    try:
        return sagemaker.describe_inference_component(InferenceComponentName=name)
    except sagemaker.exceptions.ClientError as error:
        if "Could not find" in str(error):
            return None
        raise

def on_event(event, context):
    properties = event["ResourceProperties"]
    name = properties["Name"]
    if event["RequestType"] == "Create":
        sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName=properties["EndpointName"],
            Specification={
                "BaseInferenceComponentName": properties["Base"],
                "Container": {"ArtifactUrl": properties["ArtifactUrl"]},
            },
        )
    elif event["RequestType"] == "Update":
        sagemaker.update_inference_component(
            InferenceComponentName=name,
            Specification={"Container": {"ArtifactUrl": properties["ArtifactUrl"]}},
        )
    elif describe(name) is not None:
        sagemaker.delete_inference_component(InferenceComponentName=name)
    return {"PhysicalResourceId": name}

def is_complete(event, context):
    found = describe(event["PhysicalResourceId"])
    if event["RequestType"] == "Delete":
        return {"IsComplete": found is None}
    if found["InferenceComponentStatus"] == "Failed":
        raise RuntimeError(found.get("FailureReason", "failed"))
    return {"IsComplete": found["InferenceComponentStatus"] == "InService"}
"""


def natively(_stack: cdk.Stack, endpoint: MultiAdapterEndpoint, uris: Uris) -> None:
    """One native resource for each."""
    for name, uri in uris.items():
        endpoint.add_adapter(name, artifact=AdapterArtifact.from_uri(uri), component_name=f"{PREFIX}-{name}")


def by_custom_resources(stack: cdk.Stack, endpoint: MultiAdapterEndpoint, uris: Uris) -> None:
    """One custom resource for each, all by one provider."""
    statement = iam.PolicyStatement(actions=["sagemaker:*InferenceComponent"], resources=["*"])

    def handler(name: str) -> lambda_.Function:
        return lambda_.Function(
            stack,
            name,
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler=f"index.{name}",
            code=lambda_.Code.from_inline(_HANDLERS),
            timeout=cdk.Duration.minutes(2),
            initial_policy=[statement],
        )

    provider = cr.Provider(
        stack,
        "Provider",
        on_event_handler=handler("on_event"),
        is_complete_handler=handler("is_complete"),
        query_interval=cdk.Duration.seconds(3),
    )
    for name, uri in uris.items():
        adapter = cdk.CustomResource(
            stack,
            name,
            service_token=provider.service_token,
            resource_type="Custom::Adapter",
            properties={
                "Name": f"{PREFIX}-{name}",
                "EndpointName": endpoint.endpoint_name,
                "Base": endpoint.base_component_name,
                "ArtifactUrl": uri,
            },
        )
        adapter.node.add_dependency(*endpoint.adapters_depend_on)


def by_fleet(stack: cdk.Stack, endpoint: MultiAdapterEndpoint, uris: Uris) -> None:
    """One fleet for all."""
    AdapterFleet(
        stack,
        "Tenants",
        endpoint=endpoint,
        manifest=AdapterManifest.from_adapters(
            [FleetAdapter(name=name, artifact=AdapterArtifact.from_uri(uri)) for name, uri in uris.items()]
        ),
        request_rate=RATE,
    )


Builder = Callable[[cdk.Stack, MultiAdapterEndpoint, Uris], None]
WAYS: Mapping[str, Builder] = {
    "a native resource each": natively,
    "a custom resource each": by_custom_resources,
    "a fleet": by_fleet,
}
SCRIPT = "the seed's script"


@dataclass(kw_only=True)
class Way:
    """What one way takes; what it has no such thing of is None."""

    name: str
    deploy: float = 0.0
    synth: float | None = None
    template: int | None = None
    resources: int | None = None
    writes: int = 0
    reads: int = 0
    serving: int = 0

    def figures(self) -> dict[str, str]:
        def shown(value: float | None, form: str) -> str:
            return "" if value is None else format(value, form)

        return {
            "way": self.name,
            "deployment, s": shown(self.deploy, ".1f"),
            "synth, s": shown(self.synth, ".2f"),
            "template, bytes": shown(self.template, ","),
            "resources": shown(self.resources, ""),
            "writes, throttled ones too": str(self.writes),
            "reads": str(self.reads),
            f"of the other {ADAPTERS - 1} serve": str(self.serving),
        }


def build(way: Builder | None, uris: Uris) -> Callable[[cdk.Stack], None]:
    """Return what fills the stack: the endpoint, and the adapters in one way."""

    def fill(stack: cdk.Stack) -> None:
        endpoint = endpoint_in(stack)
        if way is not None:
            way(stack, endpoint, uris)

    return fill


@contextmanager
def account_with(endpoint: Synthesized) -> Iterator[Account]:
    """Start a cloud of these limits, and deploy the endpoint."""
    with LocalCloud(settings=LIMITS) as running:
        account = Account(running)
        account.deploy(endpoint)
        yield account


def uris_in(account: Account, *, broken: bool) -> dict[str, str]:
    """Return the adapters, the example's three in turn; one of them perhaps an archive that is none."""
    wrong = account.archives.uri(NO_ARCHIVE)
    return {
        f"T{number:03}": wrong
        if broken and number == BROKEN
        else account.adapters[number % len(account.adapters)]
        for number in range(1, ADAPTERS + 1)
    }


def run_script(account: Account, uris: Uris) -> None:
    """Do what the seed's post says, one adapter after the other; RuntimeError at one that fails."""
    sagemaker = account.sagemaker
    (endpoint,) = (found["EndpointName"] for found in sagemaker.list_endpoints()["Endpoints"])
    (base,) = account.components()
    for name, uri in uris.items():
        component = f"{PREFIX}-{name}"
        sagemaker.create_inference_component(
            InferenceComponentName=component,
            EndpointName=endpoint,
            Specification={"BaseInferenceComponentName": base, "Container": {"ArtifactUrl": uri}},
        )
        while True:
            found = sagemaker.describe_inference_component(InferenceComponentName=component)
            if found["InferenceComponentStatus"] == "InService":
                break
            if found["InferenceComponentStatus"] == "Failed":
                raise RuntimeError(found["FailureReason"])
            time.sleep(0.3)


def serving(account: Account, uris: Uris) -> int:
    """Ask every adapter but the broken one, and return how many answer."""
    runtime = account.client("sagemaker-runtime")
    (endpoint,) = (found["EndpointName"] for found in account.sagemaker.list_endpoints()["Endpoints"])
    there, answers = account.components(), 0
    for number, name in enumerate(uris, start=1):
        component = f"{PREFIX}-{name}"
        if number == BROKEN or there.get(component) != "InService":
            continue
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps({"inputs": "Hello", "parameters": {"max_new_tokens": 1}}),
        )
        answers += answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    return answers


def counted(way: Way, running: LocalCloud) -> None:
    """Note the calls of SageMaker's API since they were reset."""
    way.writes = sum(running.admin.writes().values())
    way.reads = sum(running.admin.calls().values()) - way.writes


def measure_script(way: Way, endpoint: Synthesized) -> None:
    """Run the script."""
    with account_with(endpoint) as account:
        uris = uris_in(account, broken=False)
        account.cloud.admin.reset_calls()
        started = time.perf_counter()
        run_script(account, uris)
        way.deploy = time.perf_counter() - started
        counted(way, account.cloud)


def measure_synths(ways: Sequence[Way]) -> None:
    """Synthesize each way in turn, again and again, as a machine is not always equally fast."""
    with LocalCloud(settings=LIMITS) as running:
        uris = uris_in(Account(running), broken=False)
        rounds = [[synthesize(build(WAYS[way.name], uris)).seconds for way in ways] for _ in range(SYNTHS)]
    for way, seconds in zip(ways, zip(*rounds, strict=True), strict=True):
        way.synth = min(seconds)


def measure(way: Way, endpoint: Synthesized) -> None:
    """Deploy the endpoint, then the adapters."""
    with account_with(endpoint) as account:
        uris = uris_in(account, broken=False)
        made = synthesize(build(WAYS[way.name], uris))
        account.cloud.admin.reset_calls()
        way.deploy = account.deploy(made)
        counted(way, account.cloud)
        way.template, way.resources = len(made.template.encode()), len(made.resources)
        in_service = sum(status == "InService" for status in account.components().values())
        if in_service != ADAPTERS + 1:
            raise RuntimeError(f"{way.name}: {in_service} components are in service")


def break_one(way: Way, endpoint: Synthesized) -> None:
    """Deploy the endpoint, then the adapters with a broken one."""
    with account_with(endpoint) as account:
        uris = uris_in(account, broken=True)
        if way.name == SCRIPT:
            with suppress(RuntimeError):
                run_script(account, uris)
        else:
            account.deploy(synthesize(build(WAYS[way.name], uris)), may_fail=True)
        way.serving = serving(account, uris)


def main() -> int:
    endpoint = synthesize(build(None, {}))
    script, *others = (Way(name=name) for name in (SCRIPT, *WAYS))
    measure_synths(others)
    measure_script(script, endpoint)
    for way in others:
        measure(way, endpoint)
    # Only answers are counted from here on: the script's pauses need not be waited for alone.
    with ThreadPoolExecutor() as beside:
        broken = beside.submit(break_one, script, endpoint)
        for way in others:
            break_one(way, endpoint)
        broken.result()
    native, custom, fleet = others
    what = f"on the emulator, with these limits: {ADAPTERS} adapters"

    def claims_of(
        claim: Callable[..., Claim], times: float, figure: str, value: Callable[[Way], float], *ways: Way
    ) -> list[Claim]:
        """Return what is claimed of a figure of the fleet beside that of each of these ways."""
        return [
            claim(times, f"{what}, {figure} (other: {way.name})", ours=value(fleet), other=value(way))
            for way in ways
        ]

    claims = [
        *claims_of(Claim.at_least, 5, "deployment, s", attrgetter("deploy"), script),
        *claims_of(Claim.at_least, 1, "deployment, s", attrgetter("deploy"), native, custom),
        *claims_of(Claim.at_most, 1.2, "synth, s", attrgetter("synth"), native, custom),
        *claims_of(Claim.at_least, 1, "template, bytes", attrgetter("template"), native, custom),
        *claims_of(Claim.at_least, 1, "API calls", lambda way: way.writes + way.reads, script, custom),
        Claim.at_most(
            1,
            f"{what}, writes (other: {native.name}, whose reads are the emulator's own)",
            ours=fleet.writes,
            other=native.writes,
        ),
        *(
            Claim(
                claim=f"{what}, the {BROKEN}th broken: others that serve (other: {way.name})",
                ours=fleet.serving,
                other=way.serving,
                ratio=way.serving / max(fleet.serving, 1),
                goal=f"all {ADAPTERS - 1}",
                holds=fleet.serving == ADAPTERS - 1,
            )
            for way in (script, native, custom)
        ),
    ]
    return publish("comparison", claims, figures=[way.figures() for way in (script, *others)])


if __name__ == "__main__":
    sys.exit(main())
