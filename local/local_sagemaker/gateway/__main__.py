"""The serving process: ministack with SageMaker, its CloudFormation types and the patches.

`local_sagemaker.command` starts it in a process group of its own, with the environment that ministack reads
at import. On SIGTERM, SIGINT or the end of its standard input it ends its whole process group, and those of
the model servers.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import ministack.app
from hypercorn.asyncio import serve
from hypercorn.config import Config as ServerConfig

from local_sagemaker.cloudformation.resource_types import TYPE_PREFIX
from local_sagemaker.gateway import services, telemetry
from local_sagemaker.gateway.admin_paths import admin_application
from local_sagemaker.gateway.body_guard import BodyGuard
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.gateway.dynamodb_faults import install_dynamodb_faults
from local_sagemaker.gateway.monitor import Monitor
from local_sagemaker.gateway.openai_path import OpenAIPath
from local_sagemaker.http_guards import ADMIN_PREFIX, AdminGuard, DownloadSigner, RequestGuard
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms
from local_sagemaker.ministack_patches.install import install_patches
from local_sagemaker.runtime.invocations import VARIANT_HEADER, is_openai_path
from local_sagemaker.settings import Settings

_STOP_SECONDS = 1.0


def guarded_application(cloud: Cloud, token: str) -> Any:
    """The ASGI application of the port, behind its guards."""
    admin = admin_application(cloud)
    openai = OpenAIPath(cloud)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(ADMIN_PREFIX):
            await admin(scope, receive, send)
        elif scope["type"] == "http" and is_openai_path(scope["path"]):
            await openai(scope, receive, send)
        else:
            await ministack.app.app(scope, receive, send)

    return RequestGuard(AdminGuard(BodyGuard(application), token))


async def _serve(port: int, cloud: Cloud, monitor: Monitor, token: str, *, tls: bool) -> None:
    application = guarded_application(cloud, token)
    config = ServerConfig()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    if tls:
        config.certfile = os.environ["MINISTACK_SSL_CERT"]
        config.keyfile = os.environ["MINISTACK_SSL_KEY"]

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)
    server = loop.create_task(serve(application, config, shutdown_trigger=stop.wait))
    stopping = loop.create_task(stop.wait())
    watching = loop.create_task(monitor.run())
    await asyncio.wait({server, stopping}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    # TLS connections may take half a minute to close, and carry nothing worth the wait.
    await asyncio.wait({server}, timeout=_STOP_SECONDS)
    if server.done():
        server.result()


def main() -> None:
    """Serve until a signal or the end of the standard input.

    The one argument is the configuration as JSON. The token of the admin paths is the first line of the
    standard input: other users of the machine can read arguments, and functions inherit the environment.
    """
    configuration = json.loads(sys.argv[1])
    token = sys.stdin.readline().strip()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    cloud = Cloud(Path(configuration["state"]), Settings().changed(configuration["settings"]))
    services.install_sagemaker(cloud)
    services.install_autoscaling(cloud)
    install_dynamodb_faults(cloud.faults)
    telemetry.check_internals()
    alarms = Alarms(cloud.time_scale)
    install_patches(
        DownloadSigner(token),
        alarms,
        lambda: cloud.settings.value.parallel_creation,
        native_types=TYPE_PREFIX,
        runtime_header=VARIANT_HEADER,
    )
    loop = asyncio.new_event_loop()
    loop.run_until_complete(
        _serve(configuration["port"], cloud, Monitor(cloud, alarms), token, tls=configuration["tls"])
    )
    # Unfinished deployments have threads that wait for model servers and Lambda workers. All of these are in
    # this process group or in a recorded one, and none has anything to save.
    cloud.process_groups.kill_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
