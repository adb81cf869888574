"""The copies of a base model follow the load, and deployments leave them alone."""

from collections.abc import Iterator

import aws_cdk as cdk
import pytest

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import ScalingTarget
from tests.integration.by_hand import changed_settings, client, until, wait_for_service
from tests.integration.fleet_stack import Deployment, Fleet, numbered, start_passes
from tests.integration.scaled_stack import ScaledStack
from tests.nightly import long, scaled_time
from tests.profiles import PROFILE

pytestmark = pytest.mark.integration

ADAPTERS = {"one": "triage", "two": "summary", "three": "shout"}
FLEETS = {"Tenants": Fleet(adapters=ADAPTERS)}
COPY_BY_COPY = {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 1}


@pytest.fixture(scope="module")
def stack(
    cloud: LocalCloud, short_waits: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScaledStack]:
    stack = ScaledStack(
        cloud,
        tmp_path_factory.mktemp("scaled"),
        min=0,
        max=3,
        max_instances=4,
        target=ScalingTarget.concurrent_requests(1),
        # Each test ends copies by hand, sooner than scaling would.
        wake_cooldown=cdk.Duration.seconds(10),
    )
    yield stack
    stack.delete().succeeded()


@pytest.fixture(scope="module")
def deployed(stack: ScaledStack) -> Deployment:
    return stack.create(FLEETS).succeeded()


@pytest.fixture
def base(deployed: Deployment) -> str:
    return deployed.outputs["BaseComponentName"]


def test_update_of_the_base_after_a_scale_out_keeps_the_copies(
    cloud: LocalCloud, stack: ScaledStack, deployed: Deployment, base: str
) -> None:
    stack.scale(base, 3)
    stack.change_container("1000")
    stack.update(FLEETS).succeeded()
    assert stack.copies_of(base) == (3, 3)
    described = client(cloud, "sagemaker").describe_inference_component(InferenceComponentName=base)
    assert described["LastDeploymentConfig"]["RollingUpdatePolicy"] == COPY_BY_COPY
    assert stack.wrong("Tenants", deployed.outputs["EndpointName"], ADAPTERS) == {}

    # Without a copy, the number is 1 again, which CloudFormation sends as it differs from the last one.
    stack.scale(base, 0)
    stack.change_container("2000")
    stack.update(FLEETS).succeeded()
    assert stack.copies_of(base) == (1, 1)


def test_deployment_onto_no_copy_ends_well_and_what_a_new_copy_lacks_is_sent_again(
    cloud: LocalCloud, stack: ScaledStack, deployed: Deployment, base: str
) -> None:
    endpoint, more = deployed.outputs["EndpointName"], {**ADAPTERS, "four": "triage"}
    stack.scale(base, 0)
    updated = stack.update({"Tenants": Fleet(adapters=more)}).succeeded()
    assert updated.outputs["TenantsFailed"] == "0"
    cloud.admin.reset_calls()
    with changed_settings(cloud, adapters_on_new_copies="lost"):
        stack.scale(base, 1)
        start_passes(cloud, deployed.outputs["TenantsMachine"], "scaling")
        until(lambda: stack.wrong("Tenants", endpoint, more) == {}, "the adapters answer")
    assert cloud.admin.writes()["UpdateInferenceComponent"] >= len(more)
    stack.update(FLEETS).succeeded()


@long
def test_fleet_is_deployed_while_its_base_scales_and_rolls(
    cloud: LocalCloud, stack: ScaledStack, deployed: Deployment, base: str
) -> None:
    sagemaker = client(cloud, "sagemaker")
    endpoint = deployed.outputs["EndpointName"]

    def change_by_hand(how: str) -> None:
        if how == "scale":
            copies = {"CopyCount": 3}
            sagemaker.update_inference_component_runtime_config(
                InferenceComponentName=base, DesiredRuntimeConfig=copies
            )
            return
        specification = sagemaker.describe_inference_component(InferenceComponentName=base)["Specification"]
        model = sagemaker.describe_model(ModelName=specification["ModelName"])
        specification["ModelName"] = f"{base}-{how}"
        model["PrimaryContainer"]["Environment"]["HOW"] = how
        sagemaker.create_model(
            ModelName=specification["ModelName"],
            **{key: model[key] for key in ("PrimaryContainer", "ExecutionRoleArn")},
        )
        sagemaker.update_inference_component(
            InferenceComponentName=base,
            Specification=specification,
            DeploymentConfig={"RollingUpdatePolicy": COPY_BY_COPY},
        )
        until(
            lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating",
            "the endpoint is updating",
        )

    def deploy(adapters: dict[str, str]) -> None:
        updated = stack.update({"Tenants": Fleet(adapters=adapters)})
        assert (updated.status, updated.outputs["TenantsFailed"]) == ("UPDATE_COMPLETE", "0")
        wait_for_service(cloud, base)
        # Where new copies lack the adapters, the fleet sends them again.
        start_passes(cloud, deployed.outputs["TenantsMachine"], "scaling")
        until(lambda: stack.wrong("Tenants", endpoint, adapters) == {}, "the adapters answer", seconds=120)

    stack.scale(base, 1)
    callers = stack.callers(endpoint, ADAPTERS)
    with callers.load(2, pause=0.05):
        for number, how in enumerate(("scale", "roll")):
            change_by_hand(how)
            deploy({**ADAPTERS, **numbered(number + 1)})
            callers.wait_for(callers.right.total() + 20)
    assert callers.errors.keys() <= ({"(404)"} if PROFILE == "hostile" else set())
    assert callers.wrong == []


@scaled_time
class TestLoad:
    """Scaling by itself, at a fiftieth of its time: a minute lasts 1.2 s."""

    @pytest.mark.parametrize("counted", ["base", "adapter"])
    def test_request_to_an_adapter_starts_a_copy_and_passes_wherever_its_failure_counts(
        self, cloud: LocalCloud, stack: ScaledStack, deployed: Deployment, base: str, counted: str
    ) -> None:
        stack.scale(base, 0)
        before = stack.executions(deployed.outputs["TenantsMachine"])
        # Callers go on: in the cool-down of the start before, a failure starts nothing.
        callers = stack.callers(deployed.outputs["EndpointName"], ADAPTERS)
        with changed_settings(cloud, time_scale=0.02, adapter_load=counted):
            # An alarm that still rings for the failures of the test before starts nothing.
            until(lambda: stack.ringing() == [], "no alarm rings")
            with callers.load(1):
                stack.wait_for_copies(base, 1, seconds=60)
        # The same alarm lets the fleet ask the copy.
        assert stack.executions(deployed.outputs["TenantsMachine"]) > before
