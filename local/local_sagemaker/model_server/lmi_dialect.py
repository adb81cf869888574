"""LMI's dialect of the container protocol (DJL serving)."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_sagemaker.container_protocol import ADAPTER_HEADER
from local_sagemaker.model_server.bodies import name_in_body, parse_invocation, parse_object
from local_sagemaker.model_server.dialect import Dialect, Registration, true_or_false
from local_sagemaker.model_server.errors import BadRequestError, ModelServerError
from local_sagemaker.model_server.invocations import Invocation


class LmiDialect(Dialect):
    """[V LMI's adapter docs, djl-serving] Registration by query; a body can name an adapter.

    [I] AWS does not name LMI among the containers that serve `/v1/chat/completions`. [T] One gateway's
    documentation does, with streams of JSON lines. Here, LMI chooses the adapter as on `/invocations`, and
    streams as OpenAI does.
    """

    ping_methods = ("GET",)
    needs_runtime_lora = False

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
        invocation = await self._parse(
            request, request.query_params.get("adapter"), ("prompt", "inputs", "messages")
        )
        return invocation.in_lines()

    async def chat(self, request: Request) -> Invocation:
        """Read OpenAI's chat form; the header or the body names the adapter."""
        return await self._parse(request, None, ("messages",))

    async def _parse(self, request: Request, in_query: str | None, forms: tuple[str, ...]) -> Invocation:
        content = parse_object(await request.body())
        # Whoever may invoke the base can use any adapter in this way.
        adapter = request.headers.get(ADAPTER_HEADER) or in_query or name_in_body(content, self._served)
        return parse_invocation(content, self._served, forms=forms, adapter=adapter)

    def done(self, message: str) -> Response:
        """Answer with an object."""
        return JSONResponse({"status": message})

    def refusal(self, error: ModelServerError) -> Response:
        """Answer with DJL serving's object."""
        content = {"code": error.status, "type": type(error).__name__, "message": str(error)}
        return JSONResponse(content, error.status)
