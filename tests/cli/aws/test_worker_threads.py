"""The wait for threads, which Ctrl-C may interrupt."""

import signal
import threading
import time
from queue import SimpleQueue

import pytest

from adapters_cli.aws.worker_threads import WorkerThreads


@pytest.mark.parametrize("count", [0, 5])
def test_all_threads_have_ended_after_a_run(count: int) -> None:
    ended: list[int] = []
    WorkerThreads(lambda: ended.append(1), count).run(stop=lambda: None, grace_seconds=0)
    assert len(ended) == count


def test_interrupted_run_still_waits_for_each_thread() -> None:
    stopped = threading.Event()
    ended: list[int] = []
    order = SimpleQueue[int]()
    for number in range(3):
        order.put(number)

    def work() -> None:
        number = order.get()
        stopped.wait()
        time.sleep(0.03 * (3 - number))  # the first one, which is waited for at Ctrl-C, ends last
        ended.append(number)

    threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        WorkerThreads(work, 3).run(stop=stopped.set, grace_seconds=30)
    assert sorted(ended) == [0, 1, 2]


def test_run_that_is_interrupted_while_a_thread_starts_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    def work() -> None:
        time.sleep(0.05)
        ended.append(1)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WorkerThreads(work, 2).run(stop=lambda: None, grace_seconds=30)
    assert len(ended) == 1


def test_interrupted_run_waits_no_longer_than_the_grace() -> None:
    release = threading.Event()
    threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        WorkerThreads(release.wait, 2).run(stop=lambda: None, grace_seconds=0.2)
    release.set()
    assert time.monotonic() - started < 20


def test_thread_that_fails_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def work() -> None:
        raise OSError("no space left")

    WorkerThreads(work, 2).run(stop=lambda: None, grace_seconds=0)
