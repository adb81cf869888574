"""Stacks create the resources that do not depend on each other together, as on AWS.

Fault of ministack: it creates one resource after another. With the setting `parallel_creation`, when a
deployment reaches a resource whose handler runs on a thread, all other such resources whose dependencies
exist are created with it. The deployment continues when all have ended, and takes each result in turn. If it
fails before, the rollback deletes what it did not reach. Updates and deletions stay one by one.
"""

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, stacks

from local_sagemaker.ministack_patches.internals import expect_names, replace_everywhere, replaces

# The deployment that is running in this context.
_deployment: ContextVar["_Deployment | None"] = ContextVar("deployment", default=None)


def install(enabled: Callable[[], bool]) -> None:
    """Create together where a deployment awaits a creation, and tell the rollback what was created."""
    expect_names(stacks, "_deploy_stack_async", "_provision_keeping_seed")
    expect_names(stacks, "_runs_on_worker_thread", "_with_stack_tags", "_topological_sort")
    expect_names(stacks, "_resolve_refs", "_resolve_dynamic_references")
    expect_names(engine, "_evaluate_conditions", "_extract_deps", "_NO_VALUE")
    expect_names(cloudformation, "_stacks")
    deploy = stacks._deploy_stack_async

    async def deploy_together(
        name: str, stack: str, template: Any, values: Any, *how: Any, **more: Any
    ) -> None:
        _deployment.set(_Deployment(name, template, values) if enabled() else None)
        await deploy(name, stack, template, values, *how, **more)

    # Only in this module, as below: deployments look the functions up here.
    @replaces(stacks, "run_reentrant")
    async def run_together(run: Any, function: Any, *arguments: Any) -> Any:
        deployment = _deployment.get()
        if deployment is None or function is not stacks._provision_keeping_seed:
            return await run(function, *arguments)
        kind, logical_id, properties, name = arguments
        results = deployment.results
        if logical_id not in results:
            together = {logical_id: (kind, properties)} | dict(deployment.ready_beside(logical_id))
            creations = (run(function, of, other, given, name) for other, (of, given) in together.items())
            ended = await asyncio.gather(*creations, return_exceptions=True)
            for (other, (_, given)), result in zip(together.items(), ended, strict=True):
                results[other] = given, result
        _, result = results.pop(logical_id)
        if isinstance(result, BaseException):
            raise result
        return result

    @replaces(stacks, "_failed_operation")
    def fail_with_unreached(fail: Any, is_update: bool, previous: Any, created: list[str], *rest: Any) -> Any:
        deployment = _deployment.get()
        created += deployment.record_unreached() if deployment else []
        return fail(is_update, previous, created, *rest)

    replace_everywhere(cloudformation, deploy, deploy_together)


class _Deployment:
    """One deployment of a stack; `results` has what was created, or raised, before its turn came."""

    def __init__(self, name: str, template: dict[str, Any], parameters: Any):
        self.results: dict[str, Any] = {}
        self._name, self._template, self._parameters = name, template, parameters
        self._stack = cloudformation._stacks[name]

    def ready_beside(self, reached: str) -> Iterator[tuple[str, tuple[str, Any]]]:
        """Yield what to create together with a resource: logical id, type and properties."""
        conditions = engine._evaluate_conditions(self._template, self._parameters)
        ordered = stacks._topological_sort(self._template["Resources"], conditions)
        waiting = ordered[ordered.index(reached) :]
        for logical_id in waiting[1:]:
            definition = self._template["Resources"][logical_id]
            kind = definition.get("Type", "")
            if (
                logical_id in self._stack["_resources"]
                or logical_id in self.results
                or not stacks._runs_on_worker_thread(kind)
                or engine._extract_deps(definition, set(waiting)) - {logical_id}
            ):
                continue
            try:
                properties = self._resolve(definition, conditions)
            except Exception:  # noqa: S112 - the deployment fails with this error when it gets there
                continue
            place = (self._name, self._stack["StackId"], logical_id)
            tags = self._stack.get("Tags") or []
            yield logical_id, (kind, stacks._with_stack_tags(kind, properties, tags, *place))

    def _resolve(self, definition: dict[str, Any], conditions: Any) -> Any:
        properties = copy.deepcopy(definition.get("Properties", {}))
        known = (self._stack["_resources"], self._parameters, conditions, self._template.get("Mappings", {}))
        resolved = stacks._resolve_refs(properties, *known, self._name, self._stack["StackId"])
        given = {name: value for name, value in resolved.items() if value is not engine._NO_VALUE}
        return stacks._resolve_dynamic_references(given, None, reuse_ssm=False, reuse_secrets=False)[0]

    def record_unreached(self) -> list[str]:
        """Record what was created and not reached, for the rollback; return the logical ids."""
        created = []
        for logical_id, (properties, result) in self.results.items():
            if isinstance(result, BaseException):
                continue
            (physical_id, attributes), _ = result
            created.append(logical_id)
            self._stack["_resources"][logical_id] = {
                "PhysicalResourceId": physical_id,
                "ResourceType": self._template["Resources"][logical_id]["Type"],
                "ResourceStatus": "CREATE_COMPLETE",
                "LogicalResourceId": logical_id,
                "Properties": properties,
                "Attributes": attributes,
                "Timestamp": now_iso(),
            }
        return created
