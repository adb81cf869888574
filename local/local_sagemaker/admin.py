"""Client of the embedded cloud's admin paths, which `gateway/admin_paths.py` describes."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from local_sagemaker.control_plane.faults import is_write
from local_sagemaker.http_guards import ADMIN_PREFIX


class AdminClient:
    """Changes settings, counts calls and injects faults from another process.

    `local-sagemaker` prints its url as AWS_ENDPOINT_URL and its token as LOCAL_SAGEMAKER_TOKEN. Every method
    raises PermissionError if the token belongs to another cloud.
    """

    def __init__(self, url: str, token: str, ca_bundle: str | None = None):
        verify = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, verify=verify, trust_env=False)

    def settings(self) -> dict[str, Any]:
        """Every setting with its value."""
        return self._call("GET", "settings")

    def change_settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings and return all; ValueError for an unknown one or a wrong value."""
        return self._call("PATCH", "settings", changes)

    def calls(self) -> dict[str, int]:
        """API calls by operation since the start or reset."""
        return self._call("GET", "calls")

    def writes(self) -> dict[str, int]:
        """Calls of operations that change something."""
        return {operation: count for operation, count in self.calls().items() if is_write(operation)}

    def reset_calls(self) -> None:
        """Reset these counts."""
        self._call("DELETE", "calls")

    def requests(self) -> dict[str, int]:
        """Answered requests by component since the start."""
        return self._call("GET", "requests")

    def fail_calls(
        self,
        operation: str,
        *,
        code: str,
        message: str = "injected",
        status: int = 400,
        times: int | None = 1,
        share: float = 1.0,
        table: str | None = None,
    ) -> None:
        """Make calls of an operation, of all "writes" or of all "reads" fail.

        times is the largest number of calls that fail, None for no limit. share is the fraction of the calls
        that fail. The fault lasts until then, or until faults are cleared. DynamoDB's operations are named as
        IAM does: "dynamodb:PutItem", "dynamodb:writes". table limits a fault to the calls of a table.
        """
        fault = {"operation": operation, "code": code, "message": message, "status": status}
        self._call("POST", "faults", fault | {"times": times, "share": share, "table": table})

    def lose_answers(
        self, operation: str, *, times: int | None = 1, share: float = 1.0, table: str | None = None
    ) -> None:
        """Execute calls, but send no answer; botocore retries by default."""
        fault = {"operation": operation, "lost": True, "times": times, "share": share, "table": table}
        self._call("POST", "faults", fault)

    def slow_calls(
        self,
        operation: str,
        *,
        seconds: float,
        times: int | None = None,
        share: float = 1.0,
        table: str | None = None,
    ) -> None:
        """Answer calls late, by so many seconds; not those of CloudFormation."""
        fault = {"operation": operation, "seconds": seconds, "times": times, "share": share, "table": table}
        self._call("POST", "faults", fault)

    def fail_load(self, component: str, *, reason: str) -> None:
        """Make a component's artifact fail to load until faults are cleared."""
        self._call("POST", "faults", {"component": component, "reason": reason})

    def hold(self, component: str) -> None:
        """Keep a component in Creating, Updating or Deleting: no change of it ends."""
        self._call("POST", "faults", {"held": component})

    def release(self, component: str) -> None:
        """Let the changes of a held component end."""
        self._call("DELETE", f"faults?{urlencode({'held': component})}")

    def swap(self, component: str, *, directory: Path | None = None, copies: int | None = None) -> None:
        """Let copies answer for an adapter with other files until its next update; None for all copies.

        Without a directory, they have lost the adapter.
        """
        fault = {"swapped": component, "copies": copies}
        self._call("POST", "faults", fault if directory is None else fault | {"directory": str(directory)})

    def scale_waits(self, scale: float) -> None:
        """Scale the waits of state machines; 1 is the whole time, 0 none."""
        content = self._send("POST", "/_ministack/config", {"stepfunctions._SFN_WAIT_SCALE": scale})
        if not content["applied"]:
            raise ValueError(f"'scale' should be a number of at least 0, got {scale!r}")

    def clear_faults(self) -> None:
        """Clear all faults and holds; swapped adapters stay until their update."""
        self._call("DELETE", "faults")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._send(method, ADMIN_PREFIX + path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        answer = self._client.request(method, path, json=body)
        content: dict[str, Any] = answer.json()
        if answer.status_code == 400:
            raise ValueError(content["error"])
        if answer.status_code == 401:
            raise PermissionError(content["message"])
        answer.raise_for_status()
        return content
