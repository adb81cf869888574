"""Reports the calls of a client, a line of JSON each, in a file.

The scripts beside this file run in the environments of their clients, so this file needs nothing but Python.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_SLEEP = 0.2


class Calls:
    """What a script was given on its standard input, and the report of its calls."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = json.load(sys.stdin)
        self._report = Path(self.given["report"])
        hurry(self.given.get("time_scale"))

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Make a call in the block, and report how it ended; a failure ends the block only."""
        error = None
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # commands raise SystemExit
            error = f"{type(raised).__name__}: {raised}"
        line = {"call": name, "ok": error is None, "error": error}
        with self._report.open("a") as report:
            report.write(f"{json.dumps(line)}\n")

    def component(self, adapter: str) -> str:
        return str(self.given["base"] if adapter == "base" else self.given["adapters"][adapter])

    def url(self, adapter: str) -> str:
        """Return the base URL of a component for clients of OpenAI's API."""
        cloud, endpoint = self.given["url"], self.given["endpoint"]
        return f"{cloud}/endpoints/{endpoint}/inference-components/{self.component(adapter)}/openai/v1"

    def body(self, **further: Any) -> dict[str, Any]:
        parameters = {"max_new_tokens": 60, "temperature": 0}
        return {"inputs": self.given["prompt"], "parameters": parameters, **further}

    def chat(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": self.given["ticket"]}]
        return {"messages": messages, "max_tokens": 60, "temperature": 0}

    @staticmethod
    def text_of_lines(lines: Iterable[bytes]) -> str:
        return "".join(json.loads(line)["token"]["text"] for line in lines if line.strip())

    def check(self, adapter: str, text: str) -> None:
        if text != self.given["answers"][adapter]:
            raise ValueError(f"{adapter} should answer {self.given['answers'][adapter]!r}, got {text!r}")


def hurry(scale: float | None) -> None:
    """Let clients that look every 20 or 30 seconds look more often: here nothing takes minutes.

    With `scale`, each wait takes that much of its time.
    """
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(
        min(float(seconds), LONGEST_SLEEP) if scale is None else float(seconds) * scale
    )
