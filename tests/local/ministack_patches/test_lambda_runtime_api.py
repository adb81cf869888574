from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

RUNTIME = """#!/usr/bin/env python3
import json, os, urllib.error, urllib.request

events = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
try:
    page = urllib.request.Request(f"{events}/next", headers={"Origin": "http://127.0.0.1:8000"})
    status = urllib.request.urlopen(page, timeout=5).status
except urllib.error.HTTPError as error:
    status = error.code
while True:
    with urllib.request.urlopen(f"{events}/next") as event:
        number = event.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = urllib.request.Request(f"{events}/{number}/response", json.dumps(status).encode(), method="POST")
    urllib.request.urlopen(answer).read()
"""


def test_events_of_a_custom_runtime_are_refused_to_web_pages(client: Callable[..., Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, RUNTIME)
    lambda_, name = client("lambda"), f"custom-{time.monotonic_ns()}"
    lambda_.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role="arn:aws:iam::000000000000:role/Lambda",
        Handler="bootstrap",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=30,
    )
    try:
        answer = lambda_.invoke(FunctionName=name)
        assert ("FunctionError" in answer, json.loads(answer["Payload"].read())) == (False, 403)
    finally:
        lambda_.delete_function(FunctionName=name)
