"""Stacks create the resources that do not depend on each other together, as on AWS.

Fault of ministack: it creates one resource after the other. Here it creates them in waves. When a deployment
reaches a resource whose handler runs on a thread, a wave starts: that resource, and all other such resources
whose dependencies exist. The deployment continues when the whole wave has ended, and takes each result in
turn. If one creation fails, the others of its wave end first, and the rollback deletes them. Updates and
deletions stay one by one.
"""

import asyncio
import copy
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, stacks

from local_sagemaker.ministack_patches.internals import expect, replace_everywhere

_log = logging.getLogger(__name__)

Properties = dict[str, Any]

# The deployment that is running in this context.
_deployment: ContextVar["_Deployment | None"] = ContextVar("deployment", default=None)


def install() -> None:
    """Start waves where a deployment awaits a creation, and give the rollback all that a wave created."""
    for name in (
        "_deploy_stack_async",
        "_failed_operation",
        "_provision_keeping_seed",
        "_runs_on_worker_thread",
        "_with_stack_tags",
        "run_reentrant",
    ):
        expect(hasattr(stacks, name), f"stacks.{name} exists")
    deploy, run, fail = stacks._deploy_stack_async, stacks.run_reentrant, stacks._failed_operation

    async def deploy_in_waves(
        stack_name: str, stack_id: str, template: dict[str, Any], parameters: Any, *how: Any, **options: Any
    ) -> None:
        token = _deployment.set(_Deployment(stack_name, template, parameters))
        try:
            await deploy(stack_name, stack_id, template, parameters, *how, **options)
        finally:
            _deployment.reset(token)

    async def run_in_wave(function: Any, *arguments: Any, **options: Any) -> Any:
        deployment = _deployment.get()
        if deployment is None or function is not stacks._provision_keeping_seed:
            return await run(function, *arguments, **options)
        resource_type, logical_id, properties, _ = arguments
        if logical_id not in deployment.results:
            wave = {logical_id: (resource_type, properties)} | dict(deployment.ready_beside(logical_id))
            creations = (
                run(function, kind, other, tagged, deployment.stack_name)
                for other, (kind, tagged) in wave.items()
            )
            results = await asyncio.gather(*creations, return_exceptions=True)
            deployment.results.update(zip(wave, results, strict=True))
        result = deployment.results.pop(logical_id)
        if isinstance(result, BaseException):
            raise result
        return result

    def fail_with_wave(is_update: bool, previous: Any, created: list[str], *rest: Any) -> Any:
        deployment = _deployment.get()
        if deployment is not None:
            created += deployment.record_results()
        return fail(is_update, previous, created, *rest)

    replace_everywhere(cloudformation, deploy, deploy_in_waves)
    # Only in this module: deployments look the functions up here.
    stacks.run_reentrant = run_in_wave
    stacks._failed_operation = fail_with_wave


class _Deployment:
    """One deployment of a stack.

    results has what the creations of waves returned or raised, until the deployment reaches each resource.
    """

    def __init__(self, stack_name: str, template: dict[str, Any], parameters: Any):
        self.stack_name = stack_name
        self.results: dict[str, Any] = {}
        self._stack = cloudformation._stacks[stack_name]
        self._existing = set(self._stack.get("_resources", {}))
        self._template = template
        self._definitions: dict[str, Any] = template.get("Resources", {})
        self._parameters = parameters
        self._properties: dict[str, Properties] = {}

    def ready_beside(self, reached: str) -> Iterator[tuple[str, tuple[str, Properties]]]:
        """Yield what to create together with a resource: logical id, type and properties."""
        conditions = engine._evaluate_conditions(self._template, self._parameters)
        ordered = stacks._topological_sort(self._definitions, conditions)
        position = ordered.index(reached)
        unfinished = set(ordered[position:])
        for logical_id in ordered[position + 1 :]:
            definition = self._definitions[logical_id]
            resource_type = definition.get("Type", "")
            if (
                logical_id in self._existing
                or logical_id in self.results
                or not stacks._runs_on_worker_thread(resource_type)
                or engine._extract_deps(definition, unfinished) - {logical_id}
            ):
                continue
            try:
                properties = self._resolve(definition, conditions)
            except Exception as error:
                # The deployment fails with this error when it reaches the resource.
                _log.debug("%s joins no wave: %s", logical_id, error)
                continue
            self._properties[logical_id] = properties
            self._add_event(logical_id, "CREATE_IN_PROGRESS")
            tags = self._stack.get("Tags") or []
            identity = (self.stack_name, self._stack["StackId"], logical_id)
            yield (
                logical_id,
                (resource_type, stacks._with_stack_tags(resource_type, properties, tags, *identity)),
            )

    def _resolve(self, definition: dict[str, Any], conditions: Any) -> Properties:
        resolved = stacks._resolve_refs(
            copy.deepcopy(definition.get("Properties", {})),
            self._stack["_resources"],
            self._parameters,
            conditions,
            self._template.get("Mappings", {}),
            self.stack_name,
            self._stack["StackId"],
        )
        given = {name: value for name, value in resolved.items() if value is not engine._NO_VALUE}
        properties: Properties
        properties, _ = stacks._resolve_dynamic_references(given, None, reuse_ssm=False, reuse_secrets=False)
        return properties

    def record_results(self) -> list[str]:
        """Record the results that the deployment did not reach; return what was created."""
        created = []
        for logical_id, result in self.results.items():
            if isinstance(result, BaseException):
                self._add_event(logical_id, "CREATE_FAILED", str(result))
                continue
            (physical_id, attributes), _ = result
            self._add_event(logical_id, "CREATE_COMPLETE", physical_id=physical_id)
            self._stack["_resources"][logical_id] = {
                "PhysicalResourceId": physical_id,
                "ResourceType": self._definitions[logical_id]["Type"],
                "ResourceStatus": "CREATE_COMPLETE",
                "LogicalResourceId": logical_id,
                "Properties": self._properties[logical_id],
                "Attributes": attributes,
                "Timestamp": now_iso(),
            }
            created.append(logical_id)
        self.results.clear()
        return created

    def _add_event(self, logical_id: str, status: str, reason: str = "", *, physical_id: str = "") -> None:
        resource_type = self._definitions[logical_id]["Type"]
        stacks._add_event(
            self._stack["StackId"], self.stack_name, logical_id, resource_type, status, reason, physical_id
        )
