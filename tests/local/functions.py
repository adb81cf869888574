"""Lambda functions, made without the CDK."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any


def functions(lambda_: Any) -> Iterator[Callable[[str], str]]:
    """What makes functions of Python source with a `handler`; they are deleted afterwards."""
    made = []

    def make(source: str) -> str:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("index.py"), source)  # the same source is the same archive
        name = f"function-{time.monotonic_ns()}"
        answer = lambda_.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/Lambda",
            Handler="index.handler",
            Code={"ZipFile": buffer.getvalue()},
            Timeout=30,
        )
        made.append(name)
        return str(answer["FunctionArn"])

    yield make
    for name in made:
        lambda_.delete_function(FunctionName=name)
