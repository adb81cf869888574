"""Components that a command creates for a moment."""

import os
import re
import signal
from contextlib import AbstractContextManager
from typing import Any

import pytest

from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.sagemaker_port import ConflictError, RefusedError, UnansweredError
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.artifacts.temporary_component import TAG, leftovers, temporary_component
from adapters_cli.output.errors import CommandError
from tests.adapter_fleet.fake_service import FakeClock, FakeService
from tests.cli.publishing import FakeAccount
from tests.fakes import FakeS3

ARTIFACT = Artifact(uri="s3://my-adapters/acme.tar.gz")


@pytest.fixture
def account(service: FakeService) -> FakeAccount:
    return FakeAccount(FakeS3(), service)


def temporary(account: FakeAccount) -> AbstractContextManager[str]:
    return temporary_component(account, "endpoint", "base", "acme", ARTIFACT)


def gone(service: FakeService) -> bool:
    """Return True if no adapter is left once all writes have ended."""
    service.clock.sleep(60)
    return not service.serving()


def test_component_serves_meanwhile_and_is_gone_afterwards(
    service: FakeService, account: FakeAccount
) -> None:
    with temporary(account) as component:
        assert re.fullmatch("preview-[0-9a-f]{8}-acme", component)
        assert service.serving() == {component: ARTIFACT.uri}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", service.components[component].tags[TAG])
    assert gone(service)
    # The name of a long adapter is a valid one.
    with temporary_component(account, "endpoint", "base", f"{'a' * 45}-{'b' * 17}", ARTIFACT) as component:
        assert (component[-1], len(component) <= 63) == ("a", True)


@pytest.mark.parametrize(("error", "said"), [(ValueError, False), (KeyboardInterrupt, True)])
def test_component_is_gone_after_an_exception(
    service: FakeService,
    account: FakeAccount,
    error: type[BaseException],
    said: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(error), temporary(account) as component:
        raise error
    assert gone(service)
    assert (f"{component} is deleted" in capsys.readouterr().err) == said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_component_is_gone_after_a_signal(
    service: FakeService, account: FakeAccount, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, temporary(account):
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert gone(service)
    assert signal.getsignal(number) is before


def test_signal_that_is_ignored_stays_so(service: FakeService, account: FakeAccount) -> None:
    """`nohup` lets a command outlive its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with temporary(account) as component:
            os.kill(os.getpid(), signal.SIGHUP)
            assert list(service.serving()) == [component]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signal_while_it_comes_into_service_deletes_it(service: FakeService, account: FakeAccount) -> None:
    def end(operation: str, when: str) -> None:
        if operation.startswith("DescribeInferenceComponent") and when == "after":
            os.kill(os.getpid(), signal.SIGTERM)

    service.around = end
    with pytest.raises(SystemExit), temporary(account):
        pass
    assert gone(service)


@pytest.mark.parametrize(
    ("signals", "said", "left"),
    [
        (1, ["{} is being deleted; another Ctrl-C leaves it", "{} is deleted"], False),
        (2, ["{0} is left; 'adapters prune {0} --endpoint endpoint' deletes it"], True),
    ],
)
def test_first_signal_during_the_deletion_waits_for_it_and_the_second_leaves_it(
    service: FakeService,
    account: FakeAccount,
    capsys: pytest.CaptureFixture[str],
    signals: int,
    said: list[str],
    left: bool,
) -> None:
    def end(operation: str, when: str) -> None:
        if operation.startswith("DeleteInferenceComponent") and when == "before":
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit) as ended, temporary(account) as component:
        service.around = end
    service.around = lambda _operation, _when: None
    assert ended.value.code == 130
    errors = capsys.readouterr().err
    assert [text for text in said if text.format(component) not in errors] == []
    assert gone(service) is not left


def test_creation_waits_for_the_deletion_of_another_component(
    service: FakeService, account: FakeAccount
) -> None:
    refusals = [ConflictError("Cannot create it while another one is in state DELETE_IN_PROGRESS")] * 2

    def refuse(operation: str, when: str) -> None:
        if operation.startswith("CreateInferenceComponent") and when == "before" and refusals:
            raise refusals.pop()

    service.around = refuse
    with temporary(account) as component:
        assert service.serving() == {component: ARTIFACT.uri}
    assert gone(service)


class LateCreation(FakeService):
    """Acts on a creation three seconds after its client gave up."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__(FakeClock())
        self.add_base()
        self.error = error
        self.late: tuple[float, str, dict[str, Any]] | None = None

    def create(self, component: str, **creation: Any) -> str:
        self.late = self.clock.now() + 3, component, creation
        raise self.error

    def delete(self, component: str) -> None:
        if self.late is not None and self.clock.now() >= self.late[0]:
            super().create(component, **self.late[2])
            self.late = None
        super().delete(component)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, UnansweredError])
def test_creation_that_takes_effect_after_its_client_gave_up_is_deleted(error: type[BaseException]) -> None:
    service = LateCreation(error)
    with pytest.raises(error), temporary(FakeAccount(FakeS3(), service)):
        pass
    assert service.late is None
    assert gone(service)


def test_component_that_never_appears_is_not_called_deleted(
    service: FakeService, account: FakeAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    service.faults.lost_before = 1
    with pytest.raises(UnansweredError), temporary(account):
        pass
    said = capsys.readouterr().err
    assert "is not there; 'adapters prune preview-" in said
    assert "is deleted" not in said


def test_refused_creation_is_not_waited_for(service: FakeService, account: FakeAccount) -> None:
    service.faults.denied = True
    with pytest.raises(RefusedError), temporary(account):
        pass
    assert account.slept == []


def test_adapter_that_does_not_load_is_an_error_with_its_reason(
    service: FakeService, account: FakeAccount
) -> None:
    service.faults.broken[ARTIFACT.uri] = "bad tensors"
    with pytest.raises(CommandError, match=f"preview-.* is {Status.FAILED}: bad tensors"), temporary(account):
        pass
    assert gone(service)


def test_only_old_components_with_name_and_tag_are_leftovers(
    service: FakeService, account: FakeAccount
) -> None:
    old, recent = "preview-00000000-acme", "preview-11111111-acme"
    service.make(old, ARTIFACT.uri, tags={TAG: "2026-03-01T09:30:00Z"})
    service.make("preview-22222222-of-a-person", ARTIFACT.uri)
    service.make("llm-acme", ARTIFACT.uri, tags={TAG: "copied"})
    service.clock.sleep(3601)
    service.make(recent, ARTIFACT.uri, tags={TAG: "2026-03-01T10:30:00Z"})
    found = leftovers(account, "endpoint")
    assert [leftover.component for leftover in found] == [old]
    assert found[0].age_seconds == pytest.approx(3601, abs=1)
