"""The AWS CLI: an endpoint from its model to its deletion, and the stack of a deployed fleet."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.clients.calls import Calls
from tests.clients.command_line import CommandLine

NAME, BASE, ADAPTER = "by-cli", "by-cli-base", "by-cli-triage"
DIMENSION = "inference-component/by-cli-base"
COPIES = "sagemaker:inference-component:DesiredCopyCount"


class Script:
    """The calls, in their order."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given
        self.aws = CommandLine(calls)
        self.folder = Path(self.given["folder"])
        self.variant = {
            "VariantName": "AllTraffic",
            "InstanceType": "ml.g5.2xlarge",
            "InitialInstanceCount": 1,
        }

    def run(self) -> None:
        """Make all calls."""
        self.create()
        self.read_endpoint()
        self.invoke()
        self.scale()
        self.measure()
        self.read_stack()
        self.delete()

    def settled(self, component: str, *, gone: bool = False) -> None:
        """Wait until a component is in service, or gone: the CLI has no waiter for that."""
        wanted = [] if gone else ["InService"]
        for _ in range(600):
            listed = self.aws.run("sagemaker list-inference-components", name_contains=component)
            found = [
                one for one in listed["InferenceComponents"] if one["InferenceComponentName"] == component
            ]
            if [one["InferenceComponentStatus"] for one in found] == wanted:
                return
            time.sleep(0.1)
        raise TimeoutError(f"{component} is not {'gone' if gone else 'in service'}")

    def create(self) -> None:
        """Create an endpoint with a base and an adapter."""
        aws, given = self.aws, self.given
        container = {"Image": given["image"], "Environment": given["environment"]}
        role = given["role"]
        aws("sagemaker create-model", model_name=NAME, execution_role_arn=role, primary_container=container)
        config = {"execution_role_arn": role, "production_variants": [self.variant]}
        aws("sagemaker create-endpoint-config", endpoint_config_name=NAME, **config)
        aws("sagemaker create-endpoint", endpoint_name=NAME, endpoint_config_name=NAME)
        aws("sagemaker wait endpoint-in-service", endpoint_name=NAME)
        compute = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": 1}
        specification = {"ModelName": NAME, "ComputeResourceRequirements": compute}
        component = "sagemaker create-inference-component"
        aws(
            component,
            inference_component_name=BASE,
            endpoint_name=NAME,
            variant_name="AllTraffic",
            specification=specification,
            runtime_config={"CopyCount": 1},
        )
        self.settled(BASE)
        archive = {"ArtifactUrl": given["archives"]["triage"]}
        with self.calls.call(f"{component} (adapter)"):
            aws.run(
                component,
                inference_component_name=ADAPTER,
                endpoint_name=NAME,
                specification={"BaseInferenceComponentName": BASE, "Container": archive},
                tags=[{"Key": "tenant", "Value": "acme"}],
            )
            self.settled(ADAPTER)

    def read_endpoint(self) -> None:
        """Describe, list and tag what was created."""
        aws = self.aws
        aws("sagemaker describe-model", model_name=NAME)
        aws("sagemaker describe-endpoint-config", endpoint_config_name=NAME)
        aws("sagemaker describe-endpoint", endpoint_name=NAME)
        arn = aws("sagemaker describe-inference-component", inference_component_name=ADAPTER)[
            "InferenceComponentArn"
        ]
        aws("sagemaker list-models", max_items="1")
        aws("sagemaker list-endpoint-configs", page_size="1")
        aws("sagemaker list-endpoints", name_contains="by-cli", status_equals="InService")
        listed = {"endpoint_name_equals": self.given["endpoint"], "page_size": "1"}
        with self.calls.call("sagemaker list-inference-components (pages)"):
            found = aws.run("sagemaker list-inference-components", **listed)["InferenceComponents"]
            if len(found) != 1 + len(self.given["adapters"]):
                raise ValueError(f"there should be the base and its adapters, got {found}")
        aws("sagemaker add-tags", resource_arn=arn, tags=[{"Key": "team", "Value": "blue"}])
        aws("sagemaker list-tags", resource_arn=arn)
        aws("sagemaker delete-tags", resource_arn=arn, tag_keys=["team"])
        filters = {"resource_type_filters": ["sagemaker:inference-component"]}
        tags = [{"Key": "tenant", "Values": ["acme"]}]
        with self.calls.call("resourcegroupstaggingapi get-resources"):
            found = aws.run("resourcegroupstaggingapi get-resources", **filters, tag_filters=tags)
            if [one["ResourceARN"] for one in found["ResourceTagMappingList"]] != [arn]:
                raise ValueError(f"the adapter should be found, got {found}")

    def invoke(self) -> None:
        """Invoke components, and update them in place."""
        aws, answer = self.aws, self.folder / "answer.json"
        body = self.folder / "body.json"
        body.write_text(json.dumps(self.calls.body()))
        request = {"endpoint_name": NAME, "content_type": "application/json", "body": f"fileb://{body}"}

        def ask(name: str, component: str, adapter: str) -> None:
            with self.calls.call(f"sagemaker-runtime invoke-endpoint ({name})"):
                aws.run(
                    "sagemaker-runtime invoke-endpoint",
                    str(answer),
                    inference_component_name=component,
                    **request,
                )
                self.calls.check(adapter, json.loads(answer.read_text())["generated_text"])

        ask("base", BASE, "base")
        ask("adapter", ADAPTER, "triage")
        aws("sagemaker-runtime invoke-endpoint-with-response-stream", str(answer), **request)
        archive = {"Container": {"ArtifactUrl": self.given["archives"]["shout"]}}
        aws("sagemaker update-inference-component", inference_component_name=ADAPTER, specification=archive)
        self.settled(ADAPTER)
        ask("adapter after its update", ADAPTER, "shout")
        aws(
            "sagemaker update-inference-component-runtime-config",
            inference_component_name=BASE,
            desired_runtime_config={"CopyCount": 1},
        )
        self.settled(BASE)
        second = {
            "execution_role_arn": self.given["role"],
            "production_variants": [{**self.variant, "InitialInstanceCount": 2}],
        }
        aws.run("sagemaker create-endpoint-config", endpoint_config_name=f"{NAME}-2", **second)
        aws("sagemaker update-endpoint", endpoint_name=NAME, endpoint_config_name=f"{NAME}-2")
        aws.run("sagemaker wait endpoint-in-service", endpoint_name=NAME)
        weights = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}]
        aws(
            "sagemaker update-endpoint-weights-and-capacities",
            endpoint_name=NAME,
            desired_weights_and_capacities=weights,
        )

    def scale(self) -> None:
        """Let copies follow a metric and a schedule."""
        aws, scaling = self.aws, "application-autoscaling"
        target = {"service_namespace": "sagemaker", "resource_id": DIMENSION, "scalable_dimension": COPIES}
        aws(f"{scaling} register-scalable-target", **target, min_capacity="1", max_capacity="2")
        metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
        policy = {"TargetValue": 100.0, "PredefinedMetricSpecification": metric}
        aws(
            f"{scaling} put-scaling-policy",
            **target,
            policy_name="by-cli",
            policy_type="TargetTrackingScaling",
            target_tracking_scaling_policy_configuration=policy,
        )
        action = {"schedule": "at(2099-01-01T00:00:00)", "scalable_target_action": {"MinCapacity": 1}}
        aws(f"{scaling} put-scheduled-action", **target, scheduled_action_name="by-cli", **action)
        for kind in ("scalable-targets", "scaling-policies", "scaling-activities", "scheduled-actions"):
            aws(f"{scaling} describe-{kind}", service_namespace="sagemaker")
        aws("cloudwatch describe-alarms", alarm_name_prefix="TargetTracking")
        aws(f"{scaling} delete-scheduled-action", **target, scheduled_action_name="by-cli")
        aws(f"{scaling} delete-scaling-policy", **target, policy_name="by-cli")
        aws(f"{scaling} deregister-scalable-target", **target)

    def measure(self) -> None:
        """Read metrics and logs."""
        aws, now = self.aws, time.time()
        times = {"start_time": str(int(now - 3600)), "end_time": str(int(now + 60))}
        dimensions = [{"Name": "InferenceComponentName", "Value": ADAPTER}]
        metric = {"namespace": "AWS/SageMaker", "metric_name": "Invocations"}
        aws("cloudwatch list-metrics", namespace="AWS/SageMaker", dimensions=dimensions)
        statistics = {"period": "60", "statistics": ["Sum"]}
        with self.calls.call("cloudwatch get-metric-statistics"):
            found = aws.run(
                "cloudwatch get-metric-statistics", **metric, dimensions=dimensions, **statistics, **times
            )
            if sum(point["Sum"] for point in found["Datapoints"]) != 2:
                raise ValueError(f"the adapter was invoked twice, got {found}")
        named = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Dimensions": dimensions}
        query = {"Id": "m", "MetricStat": {"Metric": named, "Period": 60, "Stat": "p99"}}
        aws("cloudwatch get-metric-data", metric_data_queries=[query], **times)
        group = f"/aws/sagemaker/InferenceComponents/{BASE}"
        aws("logs describe-log-groups", log_group_name_prefix="/aws/sagemaker/")
        aws("logs describe-log-streams", log_group_name=group)
        aws("logs filter-log-events", log_group_name=group)
        aws("logs tail", group)

    def read_stack(self) -> None:
        """Read the fleet's stack."""
        aws, stack = self.aws, {"stack_name": self.given["stack"]}
        for command in (
            "describe-stacks",
            "describe-stack-events",
            "list-stack-resources",
            "get-template",
            "list-change-sets",
            "describe-stack-resource-drifts",
        ):
            aws(f"cloudformation {command}", **stack)
        drift = aws("cloudformation detect-stack-drift", **stack)
        identity = drift["StackDriftDetectionId"] if drift else "none"
        aws("cloudformation describe-stack-drift-detection-status", stack_drift_detection_id=identity)
        templates = Path(__file__).parent / "templates"
        aws("cloudformation validate-template", template_body=f"file://{templates / 'adapters.yaml'}")
        kind = {"type": "RESOURCE", "type_name": "AWS::SageMaker::InferenceComponent"}
        aws("cloudformation describe-type", **kind)
        aws("service-quotas list-service-quotas", service_code="sagemaker", max_items="1")

    def delete(self) -> None:
        """Delete what was created, the adapters first."""
        aws = self.aws
        with self.calls.call("sagemaker delete-inference-component"):
            for component in (ADAPTER, BASE):
                aws.run("sagemaker delete-inference-component", inference_component_name=component)
                self.settled(component, gone=True)
        aws("sagemaker delete-endpoint", endpoint_name=NAME)
        aws("sagemaker wait endpoint-deleted", endpoint_name=NAME)
        aws("sagemaker delete-endpoint-config", endpoint_config_name=NAME)
        aws("sagemaker delete-model", model_name=NAME)


if __name__ == "__main__":
    Script(Calls()).run()
