"""Tables have the time to live, the point-in-time recovery and the encryption of their template.

Fault of ministack: it ignores these three properties.
"""

from typing import Any

from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import expect

_TYPE = "AWS::DynamoDB::Table"
_RECOVERY = "PointInTimeRecoverySpecification"
_EXPIRY = "TimeToLiveSpecification"
_ENCRYPTION = "SSESpecification"


def install() -> None:
    """Set the properties with DynamoDB's API after a create, and after an update that changes them."""
    handlers = provisioners._RESOURCE_HANDLERS.get(_TYPE, {})
    expect({"create", "update"} <= handlers.keys(), f"{_TYPE} has create and update handlers")
    for name in ("_update_ttl", "_update_continuous_backups", "_update_table"):
        expect(hasattr(dynamodb, name), f"dynamodb.{name} exists")
    create, update = handlers["create"], handlers["update"]

    def create_with_properties(
        logical_id: str, properties: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        table: tuple[str, dict[str, Any]] = create(logical_id, properties, stack)
        _apply(table[0], {}, properties)
        return table

    def update_with_properties(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, *names: Any
    ) -> tuple[str, dict[str, Any]]:
        encryption = {_ENCRYPTION: None}  # templates and the API have different forms of it
        table: tuple[str, dict[str, Any]] = update(
            physical_id, old | encryption, new | encryption, stack, *names
        )
        _apply(table[0], old if table[0] == physical_id else {}, new)
        return table

    handlers["create"], handlers["update"] = create_with_properties, update_with_properties


def _apply(table: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = {name for name in (_RECOVERY, _EXPIRY, _ENCRYPTION) if old.get(name) != new.get(name)}
    if _RECOVERY in changed:
        off = {"PointInTimeRecoveryEnabled": False}
        _call(dynamodb._update_continuous_backups, table, {_RECOVERY: new.get(_RECOVERY) or off})
    if _EXPIRY in changed:
        expiry = new.get(_EXPIRY) or old[_EXPIRY] | {"Enabled": False}
        _call(dynamodb._update_ttl, table, {_EXPIRY: expiry})
    if _ENCRYPTION in changed:
        wanted = new.get(_ENCRYPTION) or {}
        encryption = {"Enabled": wanted.get("SSEEnabled", False)}
        encryption |= {name: wanted[name] for name in ("SSEType", "KMSMasterKeyId") if name in wanted}
        _call(dynamodb._update_table, table, {_ENCRYPTION: encryption})


def _call(operation: Any, table: str, request: dict[str, Any]) -> None:
    status, _, body = operation({"TableName": table} | request)
    if status >= 400:
        raise ValueError(f"{_TYPE} {table}: {body!r}")
