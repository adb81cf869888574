"""Two base models share an endpoint: what happens to one, the callers of the other do not see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterFleet,
    ArtifactSource,
    BaseComponent,
    BaseModel,
    ComputeRequirements,
    IBaseComponent,
    InferenceEndpoint,
    InstanceType,
    LmiContainer,
    LmiVersion,
)
from tests.integration.by_hand import TICKETS, until, wait_for_service
from tests.integration.fleet_stack import LORA, Fleet, components, numbered, start_passes
from tests.integration.scaled_stack import ScaledStack
from tests.nightly import NIGHTLY
from tests.profiles import PROFILE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ADAPTERS = numbered(6 if PROFILE == "kind" and not NIGHTLY else 20)


class SharedStack(ScaledStack):
    """An endpoint with the base models of `names`, and a fleet on each, which has its name."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        super().__init__(cloud, folder)
        self.names: Sequence[str] = ("Large", "Small")
        self._bases: dict[str, BaseComponent] = {}

    def deploy(self) -> dict[str, str]:
        """Create or update the stack; return its outputs."""
        fleets = {name: Fleet(adapters=ADAPTERS) for name in self.names}
        done = self.create(fleets) if self._id is None else self.update(fleets)
        return dict(done.succeeded().outputs)

    def _endpoint(self, stack: cdk.Stack) -> IBaseComponent:
        archives = s3.Bucket.from_bucket_name(stack, "Archives", self.archives.bucket)
        endpoint = InferenceEndpoint(
            stack, "Shared", instance_type=InstanceType.ML_G5_12XLARGE, max_instances=2
        )
        settings: dict[str, Any] = {
            "model": BaseModel.from_directory(TICKETS / "base"),
            "lora": LORA,
            "artifact_sources": [ArtifactSource(bucket=archives, prefix="adapters/")],
        }
        for name in self.names:
            self._bases[name] = endpoint.add_base_model(
                name,
                container=self.container if name == "Large" else LmiContainer(version=LmiVersion.V19),
                compute=ComputeRequirements(
                    accelerators=2 if name == "Large" else 1, min_memory=cdk.Size.mebibytes(1024)
                ),
                component_prefix=f"{self.prefix}-of-{name.lower()}",
                **settings,
            )
            self._bases[name].auto_scale_copies(min=0, max=2, wake_for_adapters=False)
            cdk.CfnOutput(stack, f"{name}Base", value=self._bases[name].component_name)
        cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
        return self._bases[self.names[0]]

    def _fleet(
        self, stack: cdk.Stack, id: str, fleet: Fleet, endpoint: IBaseComponent, folder: Path
    ) -> AdapterFleet:
        return super()._fleet(stack, id, fleet, self._bases[id], folder)


def test_callers_of_a_base_model_do_not_see_that_the_other_is_updated_asleep_woken_and_removed(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    stack = SharedStack(cloud, tmp_path)
    outputs = stack.deploy()
    endpoint, large_base = outputs["EndpointName"], outputs["LargeBase"]
    large, small = (stack.callers(endpoint, ADAPTERS, fleet=name) for name in stack.names)
    assert large.ask_all() == 0
    with small.load(1, pause=0.15):
        stack.change_container("512")
        stack.deploy()
        wait_for_service(cloud, large_base)
        assert large.ask_all() == 0

        stack.scale(large_base, 0)
        assert large.ask_all() == len(ADAPTERS)
        small.wait_for(small.right.total() + len(ADAPTERS))
        stack.scale(large_base, 1)
        start_passes(cloud, outputs["LargeMachine"], "scaling")
        until(lambda: large.ask_all() == 0, "all adapters of the large one answer", seconds=300)

        stack.names = ("Small",)
        stack.deploy()
        small.wait_for(small.right.total() + len(ADAPTERS))
    assert (small.wrong, dict(small.errors), len(small.right)) == ([], {}, len(ADAPTERS)), str(small)
    assert large.wrong == []
    left = components(cloud, endpoint)
    assert len(left) == 1 + len(ADAPTERS)
    assert not [name for name in left if "large" in name]
    stack.delete().succeeded()
