"""The reason of a generation of which too many adapters failed."""

from __future__ import annotations

from adapter_fleet.fleet.planning.progress import failure_reason
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Request, Source, Target


def test_reason_ends_with_what_helps_however_long_the_adapters_reasons_are() -> None:
    target = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())
    request = Request(delivery="1", source=Source.DEPLOYMENT, target=target, at=0.0)
    failed = [(f"adapter-{number}", "no such tensor " * 200) for number in range(7)]
    reason = str(FleetError(failure_reason(Generation(number=1, request=request, changes=40), failed)))
    assert reason.startswith("7 of the 40 adapters that this changes failed, and 'failure_policy' allows 2: ")
    assert reason.endswith(
        "; mend or leave out what failed, and deploy again; or let more fail with 'failure_policy'"
    )
