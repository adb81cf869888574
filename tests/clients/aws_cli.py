"""The AWS CLI: an endpoint from its model to its deletion, and the stack of a deployed fleet."""

import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

from awscli.clidriver import create_clidriver

from tests.clients.calls import Calls

NAME, BASE, ADAPTER = "by-cli", "by-cli-base", "by-cli-triage"


class CommandError(Exception):
    """A command that ended with another status than 0."""


class CommandLine:
    """The commands of the AWS CLI in this process: its start would take most of the time."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __call__(self, command: str, *arguments: str, **options: Any) -> Any:
        """Run a command and report it by its name; return what it prints, or None if it fails."""
        with self._calls.call(command):
            return self.run(command, *arguments, **options)

    def run(self, command: str, *arguments: str, **options: Any) -> Any:
        """Run a command without a report; CommandError if it fails.

        An option is given as text, or as JSON if it is a list or a dictionary.
        """
        words = [*command.split(), *arguments]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
        printed, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            try:
                status = create_clidriver().main(words)
            except SystemExit as ended:  # an argument that it does not know
                status = ended.code
        printed.seek(0)
        text = printed.read()
        if status:
            raise CommandError(f"{errors.getvalue().strip()} {text.strip()}".strip())
        return json.loads(text) if text.startswith(("{", "[")) else text


class Script:
    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given
        self.aws = CommandLine(calls)
        self.folder = Path(self.given["folder"])

    def run(self) -> None:
        self.create()
        self.read()
        self.invoke()
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
        aws, given, role = self.aws, self.given, self.given["role"]
        container = {"Image": given["image"], "Environment": given["environment"]}
        variant = {"VariantName": "AllTraffic", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
        config = {"execution_role_arn": role, "production_variants": [variant]}
        compute = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": 1}
        component = "sagemaker create-inference-component"
        aws("sagemaker create-model", model_name=NAME, execution_role_arn=role, primary_container=container)
        aws("sagemaker create-endpoint-config", endpoint_config_name=NAME, **config)
        aws("sagemaker create-endpoint", endpoint_name=NAME, endpoint_config_name=NAME)
        aws("sagemaker wait endpoint-in-service", endpoint_name=NAME)
        aws(
            component,
            inference_component_name=BASE,
            endpoint_name=NAME,
            variant_name="AllTraffic",
            specification={"ModelName": NAME, "ComputeResourceRequirements": compute},
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
            )
            self.settled(ADAPTER)

    def read(self) -> None:
        aws = self.aws
        aws("sagemaker describe-endpoint", endpoint_name=NAME)
        arn = aws("sagemaker describe-inference-component", inference_component_name=ADAPTER)[
            "InferenceComponentArn"
        ]
        aws("sagemaker list-endpoints", name_contains=NAME, status_equals="InService")
        listed = {"endpoint_name_equals": self.given["endpoint"], "page_size": "1"}
        with self.calls.call("sagemaker list-inference-components (pages)"):
            found = aws.run("sagemaker list-inference-components", **listed)["InferenceComponents"]
            if len(found) != 1 + len(self.given["adapters"]):
                raise ValueError(f"there should be the base and its adapters, got {found}")
        aws("sagemaker add-tags", resource_arn=arn, tags=[{"Key": "team", "Value": "blue"}])
        aws("sagemaker list-tags", resource_arn=arn)
        for command in ("describe-stacks", "describe-stack-events", "list-stack-resources", "get-template"):
            aws(f"cloudformation {command}", stack_name=self.given["stack"])

    def invoke(self) -> None:
        aws, answer, body = self.aws, self.folder / "answer.json", self.folder / "body.json"
        body.write_text(json.dumps(self.calls.body()))
        request = {"endpoint_name": NAME, "content_type": "application/json", "body": f"fileb://{body}"}

        def ask(name: str, component: str, adapter: str) -> None:
            asked = {"inference_component_name": component, **request}
            with self.calls.call(f"sagemaker-runtime invoke-endpoint ({name})"):
                aws.run("sagemaker-runtime invoke-endpoint", str(answer), **asked)
                self.calls.check(adapter, json.loads(answer.read_text())["generated_text"])

        ask("base", BASE, "base")
        ask("adapter", ADAPTER, "triage")
        aws("sagemaker-runtime invoke-endpoint-with-response-stream", str(answer), **request)
        archive = {"Container": {"ArtifactUrl": self.given["archives"]["shout"]}}
        aws("sagemaker update-inference-component", inference_component_name=ADAPTER, specification=archive)
        self.settled(ADAPTER)
        ask("adapter after its update", ADAPTER, "shout")

    def delete(self) -> None:
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
