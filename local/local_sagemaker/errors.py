"""What the control plane and the runtime answer when they refuse a call."""

from typing import Any


class ServiceError(Exception):
    """An error answer of the emulated service; `members` are the modeled members beside the message."""

    def __init__(self, code: str, message: str, *, status: int = 400, members: dict[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}


def validation_exception(message: str) -> ServiceError:
    """What SageMaker answers to almost every wrong request, a resource that does not exist included."""
    return ServiceError("ValidationException", message)


def resource_limit_exceeded(message: str) -> ServiceError:
    """A quota is used up."""
    return ServiceError("ResourceLimitExceeded", message)


class HostingError(Exception):
    """Something behind the control plane failed; the message becomes the resource's FailureReason."""
