"""What a person can do about an adapter: one that failed, by the recorded cause, or one that is released."""

from adapter_fleet.fleet.state.failures import Cause
from adapters_cli.fleets.adapter_states import AdapterState

_RETRY = "'adapters apply --retry NAME'"
_REMEDIES = {
    Cause.ARTIFACT: "repair it and publish it again ('adapters check' names what is wrong), or keep an"
    " earlier version, if there is one: 'adapters rollback NAME'; if the fault was elsewhere: " + _RETRY,
    Cause.SMOKE: "correct the adapter, or 'expect' of the smoke request, or keep an earlier version, if"
    " there is one: 'adapters rollback NAME'; if the fault was elsewhere: " + _RETRY,
    Cause.IDENTITY: f"{_RETRY} asks it again, and sends it again if its probe was right before; if that"
    " recurs, 'adapters rollback NAME' if a version served before; if the answer is right, record a new"
    " probe",
    Cause.CANARY: "publish a better version; or give this one its share again: " + _RETRY,
    Cause.UPDATE_REFUSED: "give the fleet 'releases': each version then has a component of its own",
    Cause.ACCESS: "publish what is missing again with '--manifest', or give the right that the reason names;"
    " the fleet tries again by itself, at once with: " + _RETRY,
    Cause.CAPACITY: "the fleet tries again by itself, and 'adapters rollback NAME' ends that if a version"
    " served before; out of memory: lower 'max_loras' or 'max_lora_rank'; no capacity: raise 'max_instances'"
    " or give 'instance_pools'",
    Cause.QUOTA: "the fleet tries again by itself; 'adapters preflight' has the command for a higher quota",
    Cause.REFUSED: "the fleet tries again by itself; if that does not end, repair what the reason names",
    Cause.UNEXPECTED: "the fleet tries again by itself; 'adapters logs' has the exception",
}


def remedy_of(cause: Cause, adapter: str = "NAME") -> str | None:
    """Return what helps an adapter; None where the reason itself says it."""
    remedy = _REMEDIES.get(cause)
    return None if remedy is None else remedy.replace("NAME", adapter)


def next_step(adapter: AdapterState, name: str = "NAME") -> str | None:
    """Return what helps an adapter that failed, or ends a release; None if there is nothing."""
    if adapter.cause is not None:
        return remedy_of(adapter.cause, name)
    if adapter.beside is not None and 0 < adapter.percent < 100:
        goes_on = f"'adapters promote {name}' gives the new version all callers"
        return f"{goes_on}, and 'adapters rollback {name}' takes its share"
    if adapter.pinned:
        return f"'adapters rollback {name} --undo' serves the manifest's version again"
    return None
