"""vLLM's dialect of the container protocol, which the AWS vLLM image serves.

[V] vLLM's `entrypoints/sagemaker`, `entrypoints/openai/models/serving.py` and AWS's package
model-hosting-container-standards; its words are those of vLLM 0.32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local_sagemaker.container_protocol import ADAPTER_HEADER
from local_sagemaker.model_server.bodies import name_in, parse_invocation, parse_object
from local_sagemaker.model_server.dialect import Dialect, Registration, true_or_false
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
from local_sagemaker.model_server.invocations import Invocation

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


class VllmDialect(Dialect):
    """The header names the adapter on `/invocations`, and the body's `model` on `/v1/chat/completions`."""

    ping_methods = ("GET", "POST")
    needs_runtime_lora = True

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
        if fields["name"] in self._served.names:
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
        adapter = name_in(content, "model", self._served)
        return parse_invocation(content, self._served, forms=forms, adapter=adapter)

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
