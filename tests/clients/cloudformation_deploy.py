"""`aws cloudformation deploy` with templates that were written by hand."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.clients.calls import Calls, pause
from tests.clients.command_line import CommandError, CommandLine

STACK, FAILING = "by-hand", "by-hand-failing"
TEMPLATES = Path(__file__).parent / "templates"


class Script:
    """The calls, in their order."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given
        self.aws = CommandLine(calls)
        archives = self.given["archives"]
        self.parameters = {
            "RoleArn": self.given["role"],
            "Image": self.given["image"],
            "ModelLocation": self.given["environment"]["HF_MODEL_ID"],
            "TriageArchive": archives["triage"],
            "SummaryArchive": archives["summary"],
        }
        self.outputs: dict[str, str] = {}

    def run(self) -> None:
        """Make all calls."""
        with self.calls.call("deploy: a base and two adapters"):
            self.deploy()
            self.outputs = self.read_outputs()
            self.answers(base="base", triage="triage", summary="summary")
        with self.calls.call("deploy: no change"):
            printed = self.deploy("--no-fail-on-empty-changeset")
            if "No changes to deploy" not in printed:
                raise ValueError(f"there should be no changes, got {printed!r}")
        with self.calls.call("deploy: another archive of an adapter"):
            self.deploy(SummaryArchive=self.given["archives"]["summary-v2"])
            self.answers(triage="triage", summary="summary-v2")
        with self.calls.call("deploy: tags of the stack"):
            self.deploy("--tags", "team=blue")
            tags = self.aws.run("sagemaker list-tags", resource_arn=self.outputs["TriageArn"])["Tags"]
            if {"Key": "team", "Value": "blue"} not in tags:
                raise ValueError(f"the adapter should have the stack's tag, got {tags}")
        self.fail()
        with self.calls.call("deploy: a condition removes an adapter"):
            self.deploy(WithSummary="false")
            self.answers(base="base", triage="triage")
            if f"{STACK}-summary" in self.components():
                raise ValueError("the adapter should be gone")
        self.delete()

    def fail(self) -> None:
        """Deploy what fails, to a stack that is there and to a new one."""
        with self.calls.call("deploy: a broken archive, rolled back"):
            self.fails(lambda: self.deploy(TriageArchive=self.given["archives"]["broken"]))
            self.has_status(STACK, "UPDATE_ROLLBACK_COMPLETE")
            self.answers(base="base", triage="triage", summary="summary-v2")
        with self.calls.call("deploy: a new stack that fails, rolled back"):
            self.fails(self.deploy_failing)
            self.has_status(FAILING, "ROLLBACK_COMPLETE")
            reasons = [
                event.get("ResourceStatusReason", "")
                for event in self.aws.run("cloudformation describe-stack-events", stack_name=FAILING)[
                    "StackEvents"
                ]
                if event["LogicalResourceId"] == "Bad" and event["ResourceStatus"] == "CREATE_FAILED"
            ]
            if len(reasons) != 1 or "Resource handler returned message" not in reasons[0]:
                raise ValueError(f"there should be the service's reason, got {reasons}")
            if len(self.components()) != 3:
                raise ValueError(f"the good adapter should be gone with the bad one, got {self.components()}")
        with self.calls.call("deploy: over a stack in ROLLBACK_COMPLETE"):
            self.deploy_failing()

    def delete(self) -> None:
        """Delete both stacks."""
        with self.calls.call("delete-stack and wait"):
            for stack in (FAILING, STACK):
                self.aws.run("cloudformation delete-stack", stack_name=stack)
                self.aws.run("cloudformation wait stack-delete-complete", stack_name=stack)
            if self.components():
                raise ValueError(f"nothing should be left, got {self.components()}")

    def deploy(self, *options: str, **parameters: str) -> str:
        """Deploy the template of a base and two adapters, with some parameters changed."""
        self.parameters |= parameters
        return self._deploy("adapters.yaml", STACK, self.parameters, *options)

    def deploy_failing(self) -> str:
        """Deploy the template that fails."""
        archives = self.given["archives"]
        parameters = {
            "EndpointName": self.outputs["EndpointName"],
            "BaseName": self.outputs["BaseName"],
            "GoodArchive": archives["shout"],
            "BadArchive": archives["broken"],
        }
        return self._deploy("failing.yaml", FAILING, parameters)

    def _deploy(self, template: str, stack: str, parameters: dict[str, str], *options: str) -> str:
        # A change set's name has the second in which it is created.
        pause(1)
        printed = self.aws.run(
            "cloudformation deploy",
            *options,
            *("--stack-name", stack, "--template-file", str(TEMPLATES / template)),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        )
        return str(printed)

    def fails(self, deploy: Any) -> None:
        """Raise ValueError unless a deployment fails as a failed deployment does."""
        before = dict(self.parameters)
        try:
            deploy()
        except CommandError as error:
            self.parameters = before
            if "Failed to create/update the stack" not in str(error):
                raise
            return
        raise ValueError("the deployment should have failed")

    def has_status(self, stack: str, status: str) -> None:
        """Wait until a stack has a status: the command returns when the rollback begins."""
        found = ""
        for _ in range(300):
            (described,) = self.aws.run("cloudformation describe-stacks", stack_name=stack)["Stacks"]
            found = described["StackStatus"]
            if found == status:
                return
            time.sleep(0.2)
        raise ValueError(f"{stack} should be {status}, got {found}")

    def read_outputs(self) -> dict[str, str]:
        """Return the outputs of the stack with the base."""
        (stack,) = self.aws.run("cloudformation describe-stacks", stack_name=STACK)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def components(self) -> list[str]:
        """Return the components on the stack's endpoint."""
        listed = self.aws.run(
            "sagemaker list-inference-components", endpoint_name_equals=self.outputs["EndpointName"]
        )
        return [one["InferenceComponentName"] for one in listed["InferenceComponents"]]

    def answers(self, **expected: str) -> None:
        """Raise ValueError if a component of the stack says another thing than it should."""
        folder = Path(self.given["folder"])
        body, answer = folder / "body.json", folder / "answer.json"
        body.write_text(json.dumps(self.calls.body()))
        for component, adapter in expected.items():
            self.aws.run(
                "sagemaker-runtime invoke-endpoint",
                str(answer),
                endpoint_name=self.outputs["EndpointName"],
                inference_component_name=f"{STACK}-{component}",
                content_type="application/json",
                body=f"fileb://{body}",
            )
            self.calls.check(adapter, json.loads(answer.read_text())["generated_text"])


if __name__ == "__main__":
    Script(Calls()).run()
