"""Invoking the components of an endpoint: by OpenAI's completions, or by the schema of earlier LMI releases.

https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/lmi_input_output_schema.html
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from adapter_fleet.common.aws_errors import (
    PASSING,
    code_of,
    container_message,
    meaning_of,
    meaning_of_status,
    message_of,
    refuses_form,
)
from adapter_fleet.serving.completions import PromptForm, PromptRequest, completion_of
from adapters_cli.aws.account import Account
from adapters_cli.aws.generation import Generation, GenerationRequest, generation_of
from adapters_cli.output.errors import error_text

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

# SageMaker answers within 60 seconds, or 8 minutes for a stream. No retries: botocore would also repeat a
# request whose answer is only slow.
_CONFIG = Config(read_timeout=500, connect_timeout=10, retries={"total_max_attempts": 1})


class InvocationError(Exception):
    """A component did not answer. The text is the reason.

    temporary:
        True if the same request may be answered later.
    """

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        super().__init__(text)
        self.temporary = temporary


class UnaskedError(InvocationError):
    """The request could not be sent: no credentials, or no connection."""


class RuntimeEndpoint:
    """An endpoint with inference components."""

    def __init__(self, name: str, client: "SageMakerRuntimeClient") -> None:
        self._name = name
        self._client = client
        self._form = -1

    @classmethod
    def connect(cls, name: str, account: Account, *, connections: int = 10) -> "RuntimeEndpoint":
        """Return an endpoint of an account, for so many requests at once.

        Raises BotoCoreError without a region.
        """
        config = _CONFIG.merge(Config(max_pool_connections=connections))
        return cls(name, account.client("sagemaker-runtime", config))

    def generate(self, component: str, request: GenerationRequest) -> Generation:
        """Return a component's whole answer, with its tokens and seconds. Raises InvocationError."""
        try:
            return self._generated(component, request)
        except (ClientError, BotoCoreError) as error:
            raise invocation_error(error) from error

    def _generated(self, component: str, request: GenerationRequest) -> Generation:
        """Ask in the first form that the container takes; it is the only form from then on."""
        bodies = request.bodies()
        forms = [self._form] if self._form in range(len(bodies)) else range(len(bodies))
        refusal: ClientError | None = None
        for form in forms:
            started = time.perf_counter()
            try:
                content = self._send(component, bodies[form], stream=False)["Body"].read()
            except ClientError as error:
                if not _refuses_form(error):
                    raise
                refusal = refusal or error
                continue
            seconds = time.perf_counter() - started
            answer = _parse(content)
            found = generation_of(answer, seconds)
            if found is None:
                raise _unknown(answer)
            if len(bodies) > 1:
                self._form = form
            return found
        assert refusal is not None
        raise refusal

    def answer(self, component: str, prompt: PromptRequest, *, stream: bool) -> Iterator[str]:
        """Yield a component's answer: in one piece, or in many for a stream. Raises InvocationError."""
        try:
            yield from self._answered(component, prompt, stream=stream)
        except (ClientError, BotoCoreError) as error:
            raise invocation_error(error) from error

    def _answered(self, component: str, prompt: PromptRequest, *, stream: bool) -> Iterator[str]:
        """Yield the answer to a prompt. A container that refuses completions gets it in LMI's own schema."""
        ask = self._pieces if stream else self._whole
        try:
            response = self._send(component, prompt.body(stream=stream), stream=stream)
        except ClientError as error:
            if not _refuses_form(error):
                raise
            try:
                response = self._send(component, prompt.body(PromptForm.LMI, stream=stream), stream=stream)
            except ClientError:
                raise error from None
        yield from ask(response)

    def _send(self, component: str, body: Mapping[str, object], *, stream: bool) -> Any:
        client = self._client
        send: Any = client.invoke_endpoint_with_response_stream if stream else client.invoke_endpoint
        return send(
            EndpointName=self._name,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps(body).encode(),
        )

    def _whole(self, response: Any) -> Iterator[str]:
        answer = _parse(response["Body"].read())
        completion = completion_of(answer)
        if completion is None:
            raise _unknown(answer)
        yield completion.text

    def _pieces(self, response: Any) -> Iterator[str]:
        for line in lines(event["PayloadPart"]["Bytes"] for event in response["Body"]):
            # Completions come as server-sent events, LMI's own schema as lines of JSON.
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]" or line.startswith(b":") or not data:
                continue
            match _parse(data):
                case {"choices": [{"text": str(text)}, *_]} | {"token": {"text": str(text)}}:
                    yield text
                case {"choices": []}:
                    continue  # the usage
                case other:
                    raise _unknown(other)


def lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream, whose parts end anywhere."""
    pending = b""
    for part in parts:
        *lines, pending = (pending + part).split(b"\n")
        yield from filter(None, lines)
    if pending:
        yield pending


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InvocationError(f"the answer is not JSON: {text!r:.200}") from None


def _unknown(answer: Any) -> InvocationError:
    match answer:
        case {"error": str(error)} | {"message": str(error)}:
            return InvocationError(f"the container reports: {error}")
        case _:
            return InvocationError(
                f"the answer is neither a completion nor in the schema of LMI containers: {answer!r:.200}"
            )


def _refuses_form(error: ClientError) -> bool:
    """Return True if the container refuses the form of a request, as LMI did before its async service."""
    status = error.response.get("OriginalStatusCode")
    message = str(error.response.get("OriginalMessage") or container_message(message_of(error)))
    return code_of(error) == "ModelError" and refuses_form(status, message)


def invocation_error(error: ClientError | BotoCoreError) -> InvocationError:
    """Return an error of AWS as the reason why there is no answer."""
    if isinstance(error, ClientError):
        return InvocationError(_error_text(error), temporary=_is_temporary(error))
    if isinstance(error, HTTPClientError):
        return InvocationError(_error_text(error), temporary=True)
    return UnaskedError(error_text(error), temporary=isinstance(error, NoConnectionError))


def _is_temporary(error: ClientError) -> bool:
    """Return True for what passes by itself, such as throttling or a container that is busy.

    That no copy is there to ask, which may be scaled out meanwhile, has the code of any wrong request [T].
    """
    if code_of(error) == "ModelError":
        return meaning_of_status(error.response.get("OriginalStatusCode")) in PASSING
    return meaning_of(error) in PASSING


def _error_text(error: Exception) -> str:
    if not isinstance(error, ClientError) or code_of(error) != "ModelError":
        return error_text(error)
    # The container's own status and message are shorter than the service's.
    status = error.response.get("OriginalStatusCode")
    return f"the container answered {status}: {error.response.get('OriginalMessage') or message_of(error)}"
