"""Errors of the control plane and the runtime, and what happens to unexpected ones."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger(__name__)


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


@contextmanager
def logged(what: str) -> Iterator[None]:
    """Log an exception instead of raising it, so that the next alarm, endpoint or action has its turn."""
    try:
        yield
    except Exception:
        _log.exception("%s failed", what)
