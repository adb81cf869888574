"""Errors of the control plane and the runtime."""

from typing import Any


class ApiError(Exception):
    """An error answer of the emulated service; `members` are its modeled members except the message."""

    def __init__(self, code: str, message: str, *, status: int = 400, members: dict[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}


def validation_exception(message: str) -> ApiError:
    """SageMaker's answer to almost every wrong request, even for a resource that does not exist."""
    return ApiError("ValidationException", message)


class HostingError(Exception):
    """A deployment failed; the message becomes the resource's FailureReason."""
