"""Functions of a template send the events that they failed to handle to its queue, which ministack drops."""

from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import expect

_TYPE = "AWS::Lambda::Function"
_SETTING = "DeadLetterConfig"


def install() -> None:
    """Set the queue, or take it away, after a create and an update."""
    handlers = provisioners._RESOURCE_HANDLERS.get(_TYPE, {})
    expect({"create", "update"} <= handlers.keys(), f"{_TYPE} has create and update handlers")
    expect(hasattr(lambda_svc, "_functions"), "lambda_svc._functions exists")
    create, update = handlers["create"], handlers["update"]

    def create_wholly(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        function: tuple[str, dict[str, Any]] = create(logical_id, properties, stack)
        _apply(function[0], properties)
        return function

    def update_wholly(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, *names: Any, **named: Any
    ) -> tuple[str, dict[str, Any]]:
        function: tuple[str, dict[str, Any]] = update(physical_id, old, new, stack, *names, **named)
        _apply(function[0], new)
        return function

    handlers["create"], handlers["update"] = create_wholly, update_wholly


def _apply(function: str, properties: dict[str, Any]) -> None:
    config = lambda_svc._functions[function]["config"]
    config.pop(_SETTING, None)
    if properties.get(_SETTING):
        config[_SETTING] = properties[_SETTING]
