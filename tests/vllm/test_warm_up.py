"""Pings of a server that generates for the first time."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.vllm.engine.warm_up import WarmUp


class Engine:
    """An engine that generates once it is allowed to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        self.allowed = threading.Event()
        self.app = Starlette(
            routes=[
                Route("/ping", lambda _: Response()),
                Route("/v1/completions", self.complete, methods=["POST"]),
            ]
        )

    async def complete(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        while not self.allowed.is_set():
            await asyncio.sleep(0.01)
        return Response(status_code=self.status)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def ping(engine: Engine) -> Iterator[Callable[[], int]]:
    server = uvicorn.Server(uvicorn.Config(WarmUp(engine.app), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield lambda: httpx.get(f"http://127.0.0.1:{port}/ping", trust_env=False).status_code
    engine.allowed.set()
    server.should_exit = True
    thread.join()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ping_is_unavailable_until_texts_and_log_probabilities_were_generated(
    engine: Engine, ping: Callable[[], int]
) -> None:
    assert ping() == 503
    wait_until(lambda: bool(engine.bodies))
    assert ping() == 503
    engine.allowed.set()
    wait_until(lambda: ping() == 200)
    assert [body.get("logprobs") for body in engine.bodies] == [None, 1]


def test_engine_that_does_not_generate_ends(
    engine: Engine, ping: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda process, number: signals.append((process, number)))
    engine.status = 500
    engine.allowed.set()
    ping()
    wait_until(lambda: bool(signals))
    assert signals == [(os.getpid(), signal.SIGTERM)]
    assert ping() != 200
