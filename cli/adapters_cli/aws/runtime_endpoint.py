"""Invoking the components of an endpoint: by OpenAI's completions, or by the schema of earlier LMI releases.

https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/lmi_input_output_schema.html
"""

import json
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
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
from adapters_cli.aws.account import Account
from adapters_cli.aws.generated_text import GeneratedText, TextRequest, text_of_answer
from adapters_cli.output.errors import error_text

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

_PATIENCE = 500.0
"""Seconds without a byte. SageMaker answers within 60 seconds, or 8 minutes for a stream."""
# No retries: botocore would also repeat a request whose answer is only slow.
_CONFIG = Config(connect_timeout=10, retries={"total_max_attempts": 1})


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
    def connect(
        cls, name: str, account: Account, *, connections: int = 10, patience: float = _PATIENCE
    ) -> "RuntimeEndpoint":
        """Return an endpoint of an account, for so many requests at once. `patience` is in seconds.

        Raises BotoCoreError without a region.
        """
        config = _CONFIG.merge(Config(max_pool_connections=max(10, connections), read_timeout=patience))
        return cls(name, account.client("sagemaker-runtime", config))

    def generate(self, component: str, request: TextRequest) -> GeneratedText:
        """Return a component's whole answer, with its tokens and seconds. Raises InvocationError."""
        with _reasons():
            response, started = self._asked(component, request, stream=False)
            answer = _parse(response["Body"].read())
            found = text_of_answer(answer, time.perf_counter() - started)
            if found is None:
                raise _unknown(answer)
            return found

    def stream(self, component: str, request: TextRequest) -> Iterator[str]:
        """Yield the pieces of a component's answer as they come. Raises InvocationError."""
        with _reasons():
            response, _ = self._asked(component, request, stream=True)
            for data in _data(response["Body"]):
                match _parse(data):
                    case {"choices": [{"text": str(text)}, *_]} | {"token": {"text": str(text)}}:
                        yield text
                    case {"choices": []}:
                        continue  # the usage
                    case other:
                        raise _unknown(other)

    def events(self, component: str, body: Mapping[str, Any]) -> Generator[Any, None, None]:
        """Yield the objects of the answer to a body as they come. Closing the iterator leaves the others.

        Raises what botocore raises, and ValueError for an object that is no JSON.
        """
        response = self._send(component, body, stream=True)
        with closing(response["Body"]) as answer:
            for data in _data(answer):
                yield json.loads(data)

    def _send(self, component: str, body: Mapping[str, Any], *, stream: bool) -> Any:
        client = self._client
        send: Any = client.invoke_endpoint_with_response_stream if stream else client.invoke_endpoint
        return send(
            EndpointName=self._name,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps(body).encode(),
        )

    def _asked(self, component: str, request: TextRequest, *, stream: bool) -> tuple[Any, float]:
        """Return the response to the first form that the container takes, and when it was asked so.

        That form is the only one from then on.
        """
        bodies = request.bodies(stream=stream)
        forms = [self._form] if self._form in range(len(bodies)) else range(len(bodies))
        refusal: ClientError | None = None
        for form in forms:
            started = time.perf_counter()
            try:
                response = self._send(component, bodies[form], stream=stream)
            except ClientError as error:
                if not _refuses_form(error):
                    raise
                refusal = refusal or error
                continue
            if len(bodies) > 1:
                self._form = form
            return response, started
        assert refusal is not None
        raise refusal


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn an error of AWS into the reason why there is no answer."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise invocation_error(error) from error


def _data(answer: Iterable[Any]) -> Iterator[bytes]:
    """Yield the texts of a stream's objects: of server-sent events, or of the lines of LMI's own schema."""
    for line in lines(event["PayloadPart"]["Bytes"] for event in answer):
        data = line.removeprefix(b"data:").strip()
        if data and data != b"[DONE]" and not line.startswith(b":"):
            yield data


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
