"""What containers do differently in the container protocol, as one object for each container."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local_sagemaker.container_protocol import ADAPTER_HEADER
from local_sagemaker.model_server.bodies import name_in, parse_invocation, parse_object
from local_sagemaker.model_server.errors import (
    AdapterLoadError,
    BadRequestError,
    DuplicateAdapterError,
    LoraOffError,
    ModelServerError,
    NoAdapterFilesError,
    NotFoundError,
    UnknownModelError,
)
from local_sagemaker.model_server.invocations import Invocation, in_lines
from local_sagemaker.model_server.served_model import ServedModel


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A checked request to register an adapter."""

    name: str
    source: Path
    preload: bool = True
    pin: bool = False


def true_or_false(name: str, value: Any) -> bool:
    """Read a flag of a query or a JSON body."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in ("true", "false"):
        raise BadRequestError(f"'{name}' should be true or false, got '{value}'")
    return value.lower() == "true"


@dataclass(frozen=True)
class LmiDialect:
    """[V LMI's adapter docs, djl-serving] Registration by query; a body can name an adapter.

    [I] AWS does not name LMI among the containers that serve `/v1/chat/completions`. [T] One gateway's
    documentation does, with streams of JSON lines. Here, LMI chooses the adapter as on `/invocations`, and
    streams as OpenAI does.
    """

    ping_methods: ClassVar = ("GET",)
    needs_runtime_lora: ClassVar = False
    served: ServedModel

    async def registration(self, request: Request) -> Registration:
        """Read the query; a body is ignored."""
        query = request.query_params
        name, source = query.get("name"), query.get("src")
        if not name or not source:
            raise BadRequestError("the query should have 'name' and 'src'")
        return Registration(
            name=name,
            source=Path(source),
            preload=true_or_false("preload", query.get("preload", "true")),
            pin=true_or_false("pin", query.get("pin", "false")),
        )

    async def invocation(self, request: Request) -> Invocation:
        """Read any of the three forms; the header, the query or the body names the adapter, in this order.

        [V djl-serving, create_stream_chunk_output] Streams of all forms are lines of JSON.
        """
        in_query = request.query_params.get("adapter")
        return in_lines(await self._parse(request, in_query, ("prompt", "inputs", "messages")))

    async def chat(self, request: Request) -> Invocation:
        """Read OpenAI's chat form; the header or the body names the adapter."""
        return await self._parse(request, None, ("messages",))

    async def _parse(self, request: Request, in_query: str | None, forms: tuple[str, ...]) -> Invocation:
        content = parse_object(await request.body())
        # Whoever may invoke the base can use any adapter in this way.
        adapter = request.headers.get(ADAPTER_HEADER) or in_query
        for key in ("adapters", "model"):
            adapter = adapter or name_in(content, key, self.served)
        return parse_invocation(content, self.served, forms=forms, adapter=adapter)

    def done(self, message: str) -> Response:
        """Answer with an object."""
        return JSONResponse({"status": message})

    def refusal(self, error: ModelServerError) -> Response:
        """Answer with DJL serving's object."""
        content = {"code": error.status, "type": type(error).__name__, "message": str(error)}
        return JSONResponse(content, error.status)


# The types of errors, by status.
ERROR_TYPES = {400: "BadRequestError", 404: "NotFoundError"}


class VllmError(ModelServerError):
    """An error in vLLM's words."""

    def __init__(
        self, status: int, message: str, *, kind: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind or ERROR_TYPES.get(status, "InternalServerError")
        self.field = field


@dataclass(frozen=True)
class VllmDialect:
    """The header names the adapter on `/invocations`, and the body's `model` on `/v1/chat/completions`.

    The AWS vLLM image serves it. [V] vLLM's `entrypoints/sagemaker`, `entrypoints/openai/models/serving.py`
    and AWS's package model-hosting-container-standards; its words are those of vLLM 0.32.
    """

    ping_methods: ClassVar = ("GET", "POST")
    needs_runtime_lora: ClassVar = True
    served: ServedModel

    async def registration(self, request: Request) -> Registration:
        """Read the JSON body, or the query if the body is no JSON; `preload` and `pin` have no effect."""
        try:
            fields = await request.json()
        except ValueError:
            fields = request.query_params
        if not isinstance(fields, Mapping):
            raise BadRequestError("the body should be a JSON object")
        for name in ("name", "src"):
            if not isinstance(fields.get(name), str) or not fields[name]:
                raise BadRequestError(
                    f"'{name}' should be a text that is not empty, got {fields.get(name)!r}"
                )
        for name in ("preload", "pin"):
            true_or_false(name, fields.get(name, False))
        if fields["name"] in self.served.names:
            raise VllmError(
                400,
                f"The lora adapter '{fields['name']}' has the name of a base model.",
                kind="InvalidUserInput",
            )
        return Registration(name=fields["name"], source=Path(fields["src"]))

    async def invocation(self, request: Request) -> Invocation:
        """Read OpenAI's forms; the header alone names the adapter."""
        content = await self._content(request)
        content["model"] = request.headers.get(ADAPTER_HEADER)
        return self._parse(content, ("messages", "prompt"))

    async def chat(self, request: Request) -> Invocation:
        """Read OpenAI's chat form; `model` alone names the adapter."""
        return self._parse(await self._content(request), ("messages",))

    async def _content(self, request: Request) -> dict[str, Any]:
        media_type = request.headers.get("content-type", "").lower().partition(";")[0]
        if media_type != "application/json":
            raise BadRequestError("Unsupported Media Type: Only 'application/json' is allowed")
        return parse_object(await request.body())

    def _parse(self, content: dict[str, Any], forms: tuple[str, ...]) -> Invocation:
        adapter = name_in(content, "model", self.served)
        return parse_invocation(content, self.served, forms=forms, adapter=adapter)

    def done(self, message: str) -> Response:
        """Answer with the sentence."""
        return PlainTextResponse(message)

    def refusal(self, error: ModelServerError) -> Response:
        """Answer with OpenAI's error object, in vLLM's words."""
        worded = worded_by_vllm(error)
        content = {
            "message": str(worded),
            "type": worded.kind,
            "param": worded.field,
            "code": worded.status,
        }
        return JSONResponse({"error": content}, worded.status)


Dialect = LmiDialect | VllmDialect
"""How one container reads the requests of the protocol, and how it answers them."""


def worded_by_vllm(error: ModelServerError) -> VllmError:
    """Return an error as vLLM reports it."""
    match error:
        case VllmError():
            return error
        case DuplicateAdapterError(name=name):
            text = f"The lora adapter '{name}' has already been loaded."
            return VllmError(400, text, kind="InvalidUserInput")
        case UnknownModelError(name=name):
            return VllmError(404, f"The model `{name}` does not exist.", field="model")
        case NotFoundError(name=name):
            return VllmError(404, f"The lora adapter '{name}' cannot be found.")
        case NoAdapterFilesError(directory=directory):
            return VllmError(404, f"No adapter found for {directory}")
        case AdapterLoadError() | LoraOffError():
            return VllmError(500, f"Call to add_lora method failed: {error}")
        case _:
            return VllmError(400 if isinstance(error, BadRequestError) else 500, str(error))
