from adapter_fleet.fleet.reconcile.session import PassInput, Session
from tests.adapter_fleet.fleet_world import UID, World, adapter, deployed


def session_of(world: World) -> Session:
    now = world.clock.now()
    lease = world.registry.acquire("me", now, 900)
    assert lease is not None
    given = PassInput(execution="one", started_at=now, owner="me", trigger="order", deadline=now + 600)
    return Session(
        uid=UID,
        registry=world.registry,
        service=world.service,
        telemetry=world.log,
        clock=world.clock,
        pass_input=given,
        lease=lease,
    )


def test_abandoned_pass_stays_late_when_it_finds_no_newer_generation() -> None:
    world = deployed(adapter("acme"))
    session = session_of(world)
    session.look_for_newer_generation()
    assert not session.is_late()
    session.abandon()
    session.look_for_newer_generation()
    assert session.is_late()


def test_newer_generation_ends_the_pass() -> None:
    world = deployed(adapter("acme"))
    session = session_of(world)
    world.deploy(adapter("beta"))
    session.look_for_newer_generation()
    assert session.is_late()
