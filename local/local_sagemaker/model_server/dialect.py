"""What containers do differently in the container protocol, as one object for each container."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from local_sagemaker.model_server.errors import BadRequestError, ModelServerError
from local_sagemaker.model_server.invocations import Invocation
from local_sagemaker.model_server.served_model import ServedModel


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A checked request to register an adapter."""

    name: str
    source: Path
    preload: bool = True
    pin: bool = False


class Dialect(ABC):
    """How one container reads the requests of the protocol, and how it answers them."""

    ping_methods: ClassVar[tuple[str, ...]]
    needs_runtime_lora: ClassVar[bool]

    def __init__(self, served: ServedModel) -> None:
        self._served = served

    @abstractmethod
    async def registration(self, request: Request) -> Registration:
        """Read a request to register an adapter."""

    @abstractmethod
    async def invocation(self, request: Request) -> Invocation:
        """Read a request to `/invocations`."""

    @abstractmethod
    async def chat(self, request: Request) -> Invocation:
        """Read a request to `/v1/chat/completions`."""

    @abstractmethod
    def done(self, message: str) -> Response:
        """Answer that an adapter was registered or unregistered."""

    @abstractmethod
    def refusal(self, error: ModelServerError) -> Response:
        """Answer with an error."""


def true_or_false(name: str, value: Any) -> bool:
    """Read a flag of a query or a JSON body."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in ("true", "false"):
        raise BadRequestError(f"'{name}' should be true or false, got '{value}'")
    return value.lower() == "true"
