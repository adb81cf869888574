"""The SageMaker Python SDK 3: the resource classes of `sagemaker-core`, which its other parts build on."""

import json
import urllib.request
from typing import Any

from sagemaker.core.resources import Endpoint, EndpointConfig, InferenceComponent, Model
from sagemaker.core.shapes import (
    ContainerDefinition,
    InferenceComponentComputeResourceRequirements,
    InferenceComponentContainerSpecification,
    InferenceComponentRuntimeConfig,
    InferenceComponentSpecification,
    ProductionVariant,
    Tag,
)
from sagemaker.core.token_generator import generate_token

from tests.clients.calls import Calls

NAME, BASE, ADAPTER = "by-sdk-3", "by-sdk-3-base", "by-sdk-3-triage"


class Script:
    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given

    def run(self) -> None:
        self.read_fleet()
        self.create()
        self.adapter()
        self.delete()

    def ask(self, endpoint: Endpoint, component: str, adapter: str) -> None:
        answer = endpoint.invoke(
            body=json.dumps(self.calls.body()).encode(),
            content_type="application/json",
            inference_component_name=component,
        )
        self.calls.check(adapter, json.loads(answer.body.read())["generated_text"])

    def read_fleet(self) -> None:
        calls, name = self.calls, self.given["endpoint"]
        with calls.call("Endpoint.get"):
            endpoint = Endpoint.get(name)
        for adapter in ("base", "triage"):
            with calls.call(f"Endpoint.invoke ({adapter})"):
                self.ask(endpoint, calls.component(adapter), adapter)
            with calls.call(f"Endpoint.invoke_with_response_stream ({adapter})"):
                answer = endpoint.invoke_with_response_stream(
                    body=json.dumps(calls.body(stream=True)).encode(),
                    content_type="application/json",
                    inference_component_name=calls.component(adapter),
                )
                parts = b"".join(event["PayloadPart"]["Bytes"] for event in answer.body)
                calls.check(adapter, calls.text_of_lines(parts.splitlines()))
        with calls.call("generate_token"):
            self.chat("triage", generate_token(region="us-east-1"))
        with calls.call("InferenceComponent.get_all"):
            listed = InferenceComponent.get_all(endpoint_name_equals=name)
            found = [one.inference_component_name for one in listed]
            if len(found) != 1 + len(self.given["adapters"]):
                raise ValueError(f"there should be the base and its adapters, got {found}")

    def chat(self, adapter: str, token: str) -> None:
        request = urllib.request.Request(  # noqa: S310
            f"{self.calls.url(adapter)}/chat/completions",
            json.dumps({"model": self.calls.component(adapter), **self.calls.chat()}).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            chat: dict[str, Any] = json.load(answer)
        self.calls.check(adapter, chat["choices"][0]["message"]["content"])

    def create(self) -> None:
        calls, given = self.calls, self.given
        with calls.call("Model.create"):
            container = ContainerDefinition(image=given["image"], environment=given["environment"])
            Model.create(NAME, primary_container=container, execution_role_arn=given["role"])
        with calls.call("EndpointConfig.create"):
            variant = ProductionVariant(
                variant_name="AllTraffic", instance_type="ml.g5.2xlarge", initial_instance_count=1
            )
            EndpointConfig.create(NAME, [variant], execution_role_arn=given["role"])
        with calls.call("Endpoint.create"):
            Endpoint.create(NAME, NAME, tags=[Tag(key="team", value="blue")])
        with calls.call("Endpoint.wait_for_status"):
            Endpoint.get(NAME).wait_for_status("InService")
        compute = InferenceComponentComputeResourceRequirements(
            min_memory_required_in_mb=1024, number_of_accelerator_devices_required=1
        )
        with calls.call("InferenceComponent.create (base)"):
            InferenceComponent.create(
                BASE,
                NAME,
                variant_name="AllTraffic",
                specification=InferenceComponentSpecification(
                    model_name=NAME, compute_resource_requirements=compute
                ),
                runtime_config=InferenceComponentRuntimeConfig(copy_count=1),
            )
        with calls.call("InferenceComponent.wait_for_status"):
            InferenceComponent.get(BASE).wait_for_status("InService")
            self.ask(Endpoint.get(NAME), BASE, "base")

    def adapter(self) -> None:
        calls, archives = self.calls, self.given["archives"]
        with calls.call("InferenceComponent.create (adapter)"):
            triage = InferenceComponentContainerSpecification(artifact_url=archives["triage"])
            InferenceComponent.create(
                ADAPTER,
                NAME,
                specification=InferenceComponentSpecification(
                    base_inference_component_name=BASE, container=triage
                ),
            )
            InferenceComponent.get(ADAPTER).wait_for_status("InService")
            self.ask(Endpoint.get(NAME), ADAPTER, "triage")
        with calls.call("InferenceComponent.update (adapter)"):
            shout = InferenceComponentContainerSpecification(artifact_url=archives["shout"])
            InferenceComponent.get(ADAPTER).update(
                specification=InferenceComponentSpecification(container=shout)
            )
            InferenceComponent.get(ADAPTER).wait_for_status("InService")
            self.ask(Endpoint.get(NAME), ADAPTER, "shout")

    def delete(self) -> None:
        calls = self.calls
        for what, name in (("adapter", ADAPTER), ("base", BASE)):
            with calls.call(f"InferenceComponent.delete ({what})"):
                component = InferenceComponent.get(name)
                component.delete()
                component.wait_for_delete()
        with calls.call("Endpoint.delete"):
            endpoint = Endpoint.get(NAME)
            endpoint.delete()
            endpoint.wait_for_delete()
        with calls.call("EndpointConfig.delete"):
            EndpointConfig.get(NAME).delete()
        with calls.call("Model.delete"):
            Model.get(NAME).delete()


if __name__ == "__main__":
    Script(Calls()).run()
