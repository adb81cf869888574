"""The OpenAI path of endpoints and components, in front of ministack.

    POST /endpoints/E/inference-components/C/openai/v1/chat/completions
    POST /endpoints/E/openai/v1/chat/completions

Its requests have a bearer token instead of a signature, so ministack would not find the service.

[V developer guide, realtime-endpoints-openai-compatible] The caller needs `sagemaker:CallWithBearerToken`,
which has no resource, and `sagemaker:InvokeEndpoint` on the endpoint. [I] On the component, too, as for
InvokeEndpoint.
"""

import functools
from collections.abc import Mapping

import ministack.app
from ministack.core import iam_evaluator, responses
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_sagemaker.errors import ApiError
from local_sagemaker.gateway import iam
from local_sagemaker.gateway.bearer_token import BearerToken
from local_sagemaker.gateway.cloud import Cloud, refusal, send_parts
from local_sagemaker.http_guards import Receive, Scope, Send
from local_sagemaker.runtime.invocations import Runtime, RuntimeAnswer, RuntimeRequest


class OpenAIPath:
    """An ASGI application for requests whose path is one of `is_openai_path`."""

    def __init__(self, cloud: Cloud):
        self._cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the container's answer, or with the reason why there is none."""
        try:
            answer = await self._answer(Request(scope, receive))
        except ApiError as error:
            await self._refusal(error)(scope, receive, send)
            return
        assert not isinstance(answer.body, bytes)  # the runtime passes the answers of chats on as they come
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send_parts(answer.body, send, receive)

    async def _answer(self, request: Request) -> RuntimeAnswer:
        path: str = request.scope["path"]
        # Even for a refusal: the server closes the connection of a request that was not read to its end.
        body = await request.body()
        chat = RuntimeRequest.of_chat(request.method, path, request.headers)
        token = BearerToken.parse(request.headers.get("authorization"))
        _enter(token, request)
        authorize = functools.partial(iam.authorize, {}, token.query)
        if ministack.app.AUTH:
            token.verify(responses.get_account_id())
            authorize("CallWithBearerToken", "*")
            authorize(
                chat.operation,
                iam.resource_arn(
                    path, "", b"", region=responses.get_region(), account=responses.get_account_id()
                ),
            )
        # After the checks, since it creates the control plane of the token's region.
        runtime = Runtime(self._cloud.plane())
        return await runtime.invoke(chat, request.headers, body, authorize)

    def _refusal(self, error: ApiError) -> Response:
        if self._cloud.settings.value.openai_errors == "openai":
            content, status = _openai_error(error)
            return JSONResponse(content, status, {"x-amzn-errortype": error.code})
        status, headers, body = refusal(error, "application/json", "Message")
        return Response(body, status, headers)


def _enter(token: BearerToken, request: Request) -> None:
    """Let ministack answer in the token's account and region, as it does for a signed request."""
    address = request.client.host if request.client else "127.0.0.1"
    account = iam_evaluator.find_iam_access_key_account(token.access_key)
    responses.set_request_account_id(account or token.access_key)
    responses.set_request_region(token.region)
    responses.set_request_client_ip(address)
    iam_evaluator.pin_request_origin(address, request.url.scheme == "https")


def _openai_error(error: ApiError) -> tuple[Mapping[str, object], int]:
    """An error as OpenAI's error object, and its status.

    [T stdapi.ai] `validation_error` and `model_error` are quoted from the service. [I] Other errors have
    their own codes, and a container's refusal keeps the container's status.
    """
    kind, code = {
        "ModelError": ("server_error", "model_error"),
        "ValidationError": ("invalid_request_error", "validation_error"),
    }.get(error.code, ("invalid_request_error", error.code))
    status = error.members.get("OriginalStatusCode", error.status)
    return {"error": {"message": error.message, "type": kind, "code": code}}, status
