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


class MissingResourceError(ApiError):
    """The resource that a call is for does not exist."""


class ResourceStateError(ApiError):
    """The resource, or one that shares its base, is in a state that allows no such call."""


def validation_exception(message: str, kind: type[ApiError] = ApiError) -> ApiError:
    """SageMaker's answer to almost every wrong request; kind tells those apart that share the code."""
    return kind("ValidationException", message)


class HostingError(Exception):
    """A deployment failed; the message becomes the resource's FailureReason."""
