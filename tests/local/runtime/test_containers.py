"""Real processes: what answers on a container's port is the container."""

import asyncio
import shlex
import socket
import sys
from pathlib import Path

import httpx
import pytest

from local_sagemaker.errors import HostingError
from local_sagemaker.process_groups import ProcessGroups
from local_sagemaker.runtime.containers import ContainerProcess, CopyLog, lacks_adapter_paths, reserved_port
from tests.local.engine import COMMAND
from tests.local.processes import needs_proc, processes_of

# Ends when it is pinged, and the ping is answered all the same.
IMPOSTOR = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connection, _ = server.accept()
if os.fork() == 0:
    time.sleep(0.5)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""


# The engine of the tests, with a child that no polite signal ends, as vLLM's has when it is killed.
WITH_CHILD = f"""
import os, signal, sys, time
if os.fork():
    os.execv({sys.executable!r}, {shlex.split(COMMAND)[:2]!r} + sys.argv[1:])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""
PARENT = f"{sys.executable} -c {shlex.quote(WITH_CHILD)} {{model_dir}} {{port}}"


async def start(
    tmp_path: Path, command: str = COMMAND, start_seconds: float = 30, **environment: str
) -> ContainerProcess:
    return await ContainerProcess.start(
        command, tmp_path, environment, tmp_path / "log", start_seconds, groups=ProcessGroups(tmp_path)
    )


@pytest.mark.parametrize(
    ("command", "seconds"),
    [(f"-c {shlex.quote(IMPOSTOR)} {{port}}", 30), ("-c 'import time; time.sleep(60)'", 0.5)],
    ids=["has ended, though another one answers on its port", "takes longer than it has"],
)
def test_process_is_not_healthy_that(tmp_path: Path, command: str, seconds: float) -> None:
    with pytest.raises(HostingError, match="ping health check"):
        asyncio.run(start(tmp_path, f"{sys.executable} {command}", seconds))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot keep a port for a child")
def test_reserved_port_is_for_a_server_and_for_nobody_else() -> None:
    with reserved_port() as port:
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)) as server:
            socket.create_connection(server.getsockname()).close()


def test_container_that_dies_of_a_call_has_ended_when_the_call_fails_and_refuses_others(
    tmp_path: Path,
) -> None:
    async def register_what_kills() -> bool:
        container = await start(tmp_path)
        with pytest.raises(HostingError, match="did not answer"):
            await container.register("deadly", tmp_path)
        ended = not container.running
        await container.stop(drain=False)
        with pytest.raises(HostingError, match="did not answer"):
            await container.unregister("one")
        return ended

    assert asyncio.run(register_what_kills())


@needs_proc
@pytest.mark.parametrize("ends", ["stopped", "killed and stopped", "killed"])
def test_child_of_a_server_ends_with_it(tmp_path: Path, ends: str) -> None:
    async def run() -> None:
        container = await start(tmp_path, PARENT)
        assert len(processes_of(tmp_path)) == 2
        if "killed" in ends:
            container._process.kill()
        if "stopped" in ends:
            await container.stop(drain=False)
        await container.ended()

    asyncio.run(run())
    assert processes_of(tmp_path) == []


@needs_proc
def test_server_that_ends_leaves_the_children_of_another_alone(tmp_path: Path) -> None:
    async def run() -> list[str]:
        first, second = [await start(tmp_path, PARENT) for _ in range(2)]
        await first.stop(drain=False)
        left = processes_of(tmp_path)
        await second.stop(drain=False)
        return left

    assert len(asyncio.run(run())) == 2


@pytest.mark.parametrize(
    ("status", "content", "lacks"),
    [
        (404, {"detail": "Not Found"}, True),
        (404, {"error": {"message": "Not Found", "type": "Not Found", "code": 404}}, True),
        (404, {"code": 404, "type": "HTTPException", "message": "Not Found"}, True),
        (404, {"error": {"message": "No adapter found for /a", "type": "Not Found", "code": 404}}, False),
        (404, "Not Found", False),
        (400, {"detail": "Not Found"}, False),
    ],
)
def test_container_without_paths_for_adapters_is_told_from_one_without_the_adapter(
    status: int, content: object, lacks: bool
) -> None:
    assert lacks_adapter_paths(httpx.Response(status, json=content)) is lacks
    assert not lacks_adapter_paths(httpx.Response(status, text="Not Found"))


def test_container_without_paths_for_adapters_takes_any(tmp_path: Path) -> None:
    async def register() -> None:
        container = await start(tmp_path, WITHOUT_ADAPTERS="1")
        await container.register("one", tmp_path)
        await container.stop()

    asyncio.run(register())


def test_lines_are_read_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = CopyLog(path)
    assert log.new_lines() == []
    path.write_text("one\ntw")
    assert log.new_lines() == ["one"]
    path.write_text("one\ntwo\nthr")
    assert log.new_lines() == ["two"]
    assert log.new_lines(whole=True) == ["thr"]
    assert log.new_lines(whole=True) == []


def test_line_longer_than_one_look_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{'x' * 1_500_000}\nnext\n")
    log = CopyLog(path)
    assert [len(line) for line in log.new_lines()] == [1_000_000]
    assert [len(line) for line in log.new_lines()] == [500_000, len("next")]
