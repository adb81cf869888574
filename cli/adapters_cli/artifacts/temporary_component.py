"""Temporary components: one adapter on a base component under a throw-away name, deleted in the end."""

import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    MissingError,
    ModelFailedError,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.aws.account import Account
from adapters_cli.aws.components import EndpointComponents
from adapters_cli.output.errors import CommandError
from adapters_cli.output.exit_codes import INTERRUPTED
from adapters_cli.output.text import print_note, whole_second

TAG = "adapters-preview"
"""The tag of temporary components. Its value is the time of creation, as in `2026-03-01T09:30:00Z`."""

LEFTOVER_SECONDS = 3600
"""Age above which a temporary component counts as a leftover. A command that runs longer may still use it."""

_NAME = re.compile("preview-[0-9a-f]{8}-.")
_LONGEST_NAME = 63
_WAIT_SECONDS = 2.0
_MAX_WAIT_SECONDS = 900.0
_LANDING_SECONDS = 10.0
"""For how long a component may still appear whose creation has no answer."""

_ENDING_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # no SIGHUP on Windows
)
"""Signals that end Python at once, without the deletion. Ctrl-C is an exception already."""


@contextmanager
def temporary_component(
    account: Account, endpoint: str, base: str, name: str, artifact: Artifact
) -> Iterator[str]:
    """Yield the name of a new component with an adapter, in service. It is deleted in the end.

    It is also deleted after an exception, Ctrl-C, SIGTERM and SIGHUP. Only `kill -9` leaves it, and so does a
    second Ctrl-C while it is deleted; `leftovers` finds it. Raises CommandError if it does not come into
    service.
    """
    component = f"preview-{secrets.token_hex(4)}-{name}"[:_LONGEST_NAME].rstrip("-")
    tags = {TAG: whole_second(account.now())}
    with _signals(_ENDING_SIGNALS, _end_by):
        try:
            # A creation without an answer may have taken effect, so it is deleted like any other.
            _write_patiently(
                account,
                lambda: account.service.create(
                    component, endpoint=endpoint, base=base, artifact=artifact, tags=tags
                ),
            )
            live = _ended(account, component)
            if live.status is not Status.IN_SERVICE:
                why = f": {live.failure_reason}" if live.failure_reason else ""
                raise CommandError(f"{component} is {live.status}{why}")
            yield component
        except ModelFailedError as error:
            raise CommandError(f"the container did not answer: {error}") from error
        finally:
            _delete_patiently(account, endpoint, component)


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A temporary component that nobody deleted: its command was killed, or runs very long."""

    component: str
    age_seconds: float


def leftovers(account: Account, endpoint: str) -> list[Leftover]:
    """Return the temporary components of an endpoint that are older than `LEFTOVER_SECONDS`."""
    components = EndpointComponents(account, endpoint)
    now = account.now()
    old = {
        name: live
        for name, live in components.listed().items()
        if _NAME.match(name) and now - live.created > LEFTOVER_SECONDS and live.status is not Status.DELETING
    }
    tagged = components.tags(old)
    return [
        Leftover(component=name, age_seconds=now - live.created)
        for name, live in old.items()
        if TAG in tagged.get(name, {})
    ]


def print_leftovers_of(account: Account, endpoint: str) -> None:
    """Name the leftovers of an endpoint. They are a courtesy: without permission to list, nothing is said."""
    with suppress(ServiceError):
        for found in leftovers(account, endpoint):
            print_note(
                f"{found.component} is left from {found.age_seconds / 3600:.0f} h ago;"
                f" {_clean_up(found.component, endpoint)} deletes it"
            )


def _clean_up(component: str, endpoint: str) -> str:
    return f"'adapters prune {component} --endpoint {endpoint}'"


def delete_component(account: Account, component: str, *, appears_within: float = 0.0) -> bool:
    """Delete a component, and wait until its deletion is accepted. Return False if there is none.

    appears_within:
        For how many seconds a missing component may still appear.
    """
    began = account.now()
    while True:
        try:
            _write_patiently(account, lambda: account.service.delete(component))
        except MissingError:
            if account.now() - began >= appears_within:
                return False
            account.sleep(_WAIT_SECONDS)
        else:
            return True


def _write_patiently(account: Account, write: Callable[[], object]) -> None:
    """Create or delete a component, again while one of its base is created, updated or deleted.

    [T] SageMaker may refuse a second write meanwhile. A command that asks several adapters one after the
    other meets its own deletions.
    """
    began = account.now()
    while True:
        try:
            write()
        except (ConflictError, ThrottledError):
            if account.now() - began >= _MAX_WAIT_SECONDS:
                raise
            account.sleep(_WAIT_SECONDS)
        else:
            return


def _ended(account: Account, component: str) -> ObservedComponent:
    """Wait until the creation has ended. Raises CommandError if it takes too long."""
    began = account.now()
    while account.now() - began < _MAX_WAIT_SECONDS:
        with suppress(ThrottledError):
            live = account.service.describe(component)
            if live is not None and not live.status.in_transition:
                return live
        account.sleep(_WAIT_SECONDS)
    raise CommandError(f"{component} does not come into service within {_MAX_WAIT_SECONDS / 60:.0f} minutes")


def _delete_patiently(account: Account, endpoint: str, component: str) -> None:
    """Delete a component. A first signal meanwhile only says so; the second one leaves the component."""
    received: list[int] = []
    error = sys.exc_info()[1]
    interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
    # The creation may have been on its way, and then SageMaker acts on it a moment later.
    appears_within = _LANDING_SECONDS if interrupted or isinstance(error, UnansweredError) else 0.0

    def wait(number: int, _: FrameType | None) -> None:
        if received:
            raise SystemExit(128 + number)
        received.append(number)
        print_note(f"{component} is being deleted; another Ctrl-C leaves it")

    with _signals((signal.SIGINT, *_ENDING_SIGNALS), wait):
        try:
            found = delete_component(account, component, appears_within=appears_within)
        except BaseException:
            print_note(f"{component} is left; {_clean_up(component, endpoint)} deletes it after an hour")
            raise
    if appears_within and not found:
        command = _clean_up(component, endpoint)
        print_note(f"{component} is not there; {command} deletes it after an hour if it appears")
    elif received or interrupted:
        print_note(f"{component} is deleted")
    if received:
        raise SystemExit(INTERRUPTED if received[0] == signal.SIGINT else 128 + received[0])


def _end_by(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _signals(numbers: tuple[int, ...], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals meanwhile, but for those that are ignored, as SIGHUP is by `nohup`.

    Only the main thread may, so another one leaves them as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
