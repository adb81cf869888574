"""Functions send events that they fail to handle to the queue of their template.

Fault of ministack: it ignores the property DeadLetterConfig.
"""

from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import expect

_TYPE = "AWS::Lambda::Function"
_SETTING = "DeadLetterConfig"


def install() -> None:
    """Set or remove the queue after a create and an update."""
    handlers = provisioners._RESOURCE_HANDLERS.get(_TYPE, {})
    expect({"create", "update"} <= handlers.keys(), f"{_TYPE} has create and update handlers")
    expect(hasattr(lambda_svc, "_functions"), "lambda_svc._functions exists")
    create, update = handlers["create"], handlers["update"]

    def create_with_queue(
        logical_id: str, properties: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        function: tuple[str, dict[str, Any]] = create(logical_id, properties, stack)
        _apply(function[0], properties)
        return function

    def update_with_queue(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, *names: Any, **named: Any
    ) -> tuple[str, dict[str, Any]]:
        function: tuple[str, dict[str, Any]] = update(physical_id, old, new, stack, *names, **named)
        _apply(function[0], new)
        return function

    handlers["create"], handlers["update"] = create_with_queue, update_with_queue


def _apply(function: str, properties: dict[str, Any]) -> None:
    config = lambda_svc._functions[function]["config"]
    config.pop(_SETTING, None)
    if properties.get(_SETTING):
        config[_SETTING] = properties[_SETTING]
