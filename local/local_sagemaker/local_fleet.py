"""A deployed app on an embedded cloud: which adapters there are, what they answer, and assertions."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import Any

from botocore.exceptions import ClientError

from local_sagemaker.cdk_app import CdkApp, Stack
from local_sagemaker.server import LocalCloud

BASE = "base"
"""The name of the base model wherever an adapter's name is expected."""

_NESTED_STACK = "AWS::CloudFormation::Stack"
_TABLE = "AWS::DynamoDB::Table"
_HASHED = re.compile(r"-[0-9a-f]{8}\Z")


class LocalFleet:
    """A deployed `app` on a `cloud`, with its `stacks`."""

    cloud: LocalCloud
    app: CdkApp
    stacks: Sequence[Stack]

    def __init__(self, cloud: LocalCloud, app: CdkApp, stacks: Sequence[Stack]) -> None:
        self.cloud, self.app = cloud, app
        self._client = cache(lambda service, region: cloud.client(service, region_name=region))
        self.stacks = [stack for stack in stacks if self._is_deployed(stack)]

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of all stacks; LookupError for one that two stacks have."""
        owners: dict[str, str] = {}
        for stack in self.stacks:
            for name in stack.outputs:
                if name in owners:
                    raise LookupError(
                        f"an output '{name}' should be of one stack, got {owners[name]} and {stack.name};"
                        " 'stacks' has the outputs of each"
                    )
                owners[name] = stack.name
        return {name: value for stack in self.stacks for name, value in stack.outputs.items()}

    @property
    def endpoint_name(self) -> str:
        """The endpoint's name; LookupError for none or several."""
        return self._endpoint[1]

    def components(self) -> dict[str, str]:
        """The name of each component by its adapter's, and the base model's as `base`.

        An adapter of a fleet has the name in the manifest, a native one the id of its construct. A component
        has its own name if no such name is known, or if two have it. So have several base models.
        """
        region, endpoint = self._endpoint
        components = self._client("sagemaker", region).get_paginator("list_inference_components")
        pages = components.paginate(EndpointNameEquals=endpoint)
        listed = list(pages.search("InferenceComponents[].InferenceComponentName"))
        short = {name: self._adapter_name(name) for name in listed}
        counts = Counter(short.values())
        return {name if counts[short[name]] > 1 else short[name]: name for name in listed}

    def component(self, adapter: str) -> str:
        """The component of an adapter, of `base`, or of a component's own name; LookupError for none.

        In a fleet with releases, the one that answers most callers of the adapter.
        """
        if (routed := self._routed(adapter)) is not None:
            return routed
        components = self.components()
        if adapter in components:
            return components[adapter]
        if adapter in components.values():
            return adapter
        close = difflib.get_close_matches(adapter, components, n=1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise LookupError(
            f"the endpoint '{self.endpoint_name}' should have an adapter '{adapter}', got"
            f" {', '.join(sorted(components)) or 'no component'}{meant}"
        )

    def _routed(self, adapter: str) -> str | None:
        """The component that the route of an adapter names; None if no fleet has one."""
        key = {"pk": {"S": f"route#{adapter}"}, "sk": {"S": "route"}}
        for region, kind, table in self._resources:
            if kind == _TABLE:
                with suppress(ClientError):  # of a table with other keys
                    found = self._client("dynamodb", region).get_item(TableName=table, Key=key)
                    if "Item" in found:
                        return str(found["Item"]["component"]["S"])
        return None

    def invoke(self, adapter: str, prompt: str, *, max_tokens: int = 128, **parameters: Any) -> str:
        """Return an adapter's answer at temperature 0. Parameters are those of OpenAI's completions.

        Raises LookupError for an unknown adapter, and botocore's ClientError if the endpoint refuses.
        """
        return self._ask(self.component(adapter), prompt, {"max_tokens": max_tokens, **parameters})

    def assert_serves(
        self, adapter: str, prompt: str, expect: str | re.Pattern[str], *, max_tokens: int = 128
    ) -> str:
        """Assert that the answer is a text, or that a pattern is found in it; return the answer.

        A failure says what the adapter and the base model answered, and the state of the component.
        """
        __tracebackhide__ = True
        try:
            component = self.component(adapter)
        except LookupError as error:
            raise AssertionError(str(error)) from None
        got = self._answer_or_error(component, prompt, max_tokens)
        if isinstance(got, str) and (expect == got if isinstance(expect, str) else expect.search(got)):
            return got
        raise AssertionError(self._report(adapter, component, prompt, expect, got, max_tokens))

    def _answer_or_error(self, component: str, prompt: str, max_tokens: int) -> str | ClientError:
        try:
            return self._ask(component, prompt, {"max_tokens": max_tokens})
        except ClientError as error:
            return error

    def _report(
        self,
        adapter: str,
        component: str,
        prompt: str,
        expect: str | re.Pattern[str],
        got: str | ClientError,
        max_tokens: int,
    ) -> str:
        wanted = repr(expect) if isinstance(expect, str) else f"a match of {expect.pattern!r}"
        lines = [f"'{adapter}' should answer {prompt!r} with {wanted}, got {_text(got)}"]
        lines.append(f"  component {component}: {self._state(component)}")
        components = self.components()
        if adapter != BASE and BASE in components:
            base = self._answer_or_error(components[BASE], prompt, max_tokens)
            same = ", the same as the adapter" if isinstance(got, str) and base == got else ""
            lines.append(f"  the base model answered {_text(base)}{same}")
        return "\n".join(lines)

    def _state(self, component: str) -> str:
        try:
            found = self._client("sagemaker", self._endpoint[0]).describe_inference_component(
                InferenceComponentName=component
            )
        except ClientError as error:
            return _text(error)
        container = found.get("Specification", {}).get("Container", {})
        state = [found["InferenceComponentStatus"]]
        if artifact := container.get("ArtifactUrl"):
            state.append(f"artifact {artifact}")
        state.append(
            f"FailureReason {found['FailureReason']!r}" if "FailureReason" in found else "no FailureReason"
        )
        return ", ".join(state)

    def _ask(self, component: str, prompt: str, parameters: Mapping[str, Any]) -> str:
        region, endpoint = self._endpoint
        response = self._client("sagemaker-runtime", region).invoke_endpoint(
            EndpointName=endpoint,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps({"prompt": prompt, "temperature": 0, **parameters}),
        )
        return str(json.loads(response["Body"].read())["choices"][0]["text"])

    def _is_deployed(self, stack: Stack) -> bool:
        """Tell whether a stack is there: `stacks` of the app may have left it out."""
        try:
            self._client("cloudformation", stack.region).describe_stacks(StackName=stack.name)
        except ClientError:
            return False
        return True

    @cached_property
    def _resources(self) -> list[tuple[str, str, str]]:
        """The region, type and physical id of each resource of the stacks."""
        return [found for stack in self.stacks for found in self._resources_of(stack.name, stack.region)]

    def _resources_of(self, stack: str, region: str) -> Iterator[tuple[str, str, str]]:
        resources = self._client("cloudformation", region).get_paginator("list_stack_resources")
        for resource in resources.paginate(StackName=stack).search("StackResourceSummaries[]"):
            kind, physical_id = resource["ResourceType"], resource.get("PhysicalResourceId", "")
            yield region, kind, physical_id
            if kind == _NESTED_STACK:
                yield from self._resources_of(physical_id, region)

    @cached_property
    def _endpoint(self) -> tuple[str, str]:
        """The region and the name of the endpoint."""
        found = [
            (region, physical_id.rpartition("/")[2])
            for region, kind, physical_id in self._resources
            if kind == "AWS::SageMaker::Endpoint"
        ]
        if len(found) != 1:
            names = ", ".join(stack.name for stack in self.stacks)
            raise LookupError(
                f"the deployed stacks should have one endpoint, got {len(found)} in {names}; the 'stacks' of"
                " a CdkApp choose which are deployed"
            )
        region, endpoint = found[0]
        # The id may be an ARN, which has the name in lower case.
        described = self._client("sagemaker", region).describe_endpoint(EndpointName=endpoint)
        return region, described["EndpointName"]

    @cached_property
    def _native(self) -> frozenset[str]:
        """The names, in lower case, of components that are resources of the stacks."""
        return frozenset(
            physical_id.rpartition("/")[2].lower()
            for _, kind, physical_id in self._resources
            if kind == "AWS::SageMaker::InferenceComponent"
        )

    @cached_property
    def _prefixes(self) -> list[str]:
        """The prefixes of component names that the stacks' fleets have, the longest first."""
        found = set()
        stacks = [(stack.region, stack.name) for stack in self.stacks]
        stacks += [(region, name) for region, kind, name in self._resources if kind == _NESTED_STACK]
        for region, name in stacks:
            template = self._client("cloudformation", region).get_template(StackName=name)
            body = template["TemplateBody"]
            resources = (json.loads(body) if isinstance(body, str) else body)["Resources"]
            found |= {each.get("Properties", {}).get("ComponentPrefix") for each in resources.values()}
        return sorted((prefix for prefix in found if isinstance(prefix, str)), key=len, reverse=True)

    def _adapter_name(self, component: str) -> str:
        if component.lower() in self._native:
            return self._native_name(component)
        for prefix in self._prefixes:
            if component.startswith(f"{prefix}-"):
                return component.removeprefix(f"{prefix}-")
        return component

    def _native_name(self, component: str) -> str:
        """Return `base`, or the `<name>` of `<prefix>-<name>-<hash>`."""
        if component in self._bases:
            return BASE
        for base in self._bases:
            prefix = _HASHED.sub("", base).removesuffix(f"-{BASE}")
            if component.startswith(f"{prefix}-"):
                return _HASHED.sub("", component.removeprefix(f"{prefix}-"))
        return component

    @cached_property
    def _bases(self) -> list[str]:
        """The components that are no adapters."""
        region, _ = self._endpoint
        described = [
            self._client("sagemaker", region).describe_inference_component(InferenceComponentName=component)
            for component in self._native
        ]
        return [
            str(each["InferenceComponentName"])
            for each in described
            if "BaseInferenceComponentName" not in each.get("Specification", {})
        ]


def _text(answer: str | ClientError) -> str:
    return repr(answer) if isinstance(answer, str) else f"the error {answer}"
