"""Invoking the components of an endpoint, in the schema of LMI containers.

https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/lmi_input_output_schema.html
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from adapter_fleet.common.aws_errors import code_of, message_of
from adapters_cli.aws.account import Account
from adapters_cli.output.errors import error_text

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

# SageMaker answers within 60 seconds, or 8 minutes for a stream. No retries: botocore would also repeat a
# request whose answer is only slow.
_CONFIG = Config(read_timeout=500, connect_timeout=10, retries={"total_max_attempts": 1})


class InvocationError(Exception):
    """A component did not answer. The text is the reason."""


class UnaskedError(InvocationError):
    """The request could not be sent: no credentials, or no connection."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt and the limits of its answer."""

    prompt: str
    max_new_tokens: int
    temperature: float

    def body(self, *, stream: bool) -> bytes:
        """Return the request's body."""
        parameters = {"max_new_tokens": self.max_new_tokens, "temperature": self.temperature}
        return json.dumps({"inputs": self.prompt, "parameters": parameters, "stream": stream}).encode()


class RuntimeEndpoint:
    """An endpoint with inference components."""

    def __init__(self, name: str, client: "SageMakerRuntimeClient") -> None:
        self._name = name
        self._client = client

    @classmethod
    def connect(cls, name: str, account: Account) -> "RuntimeEndpoint":
        """Return an endpoint of an account. Raises BotoCoreError without a region."""
        return cls(name, account.client("sagemaker-runtime", _CONFIG))

    def answer(self, component: str, question: Question, *, stream: bool) -> Iterator[str]:
        """Yield a component's answer: in one piece, or in many for a stream. Raises InvocationError."""
        try:
            yield from (self._pieces if stream else self._whole)(component, question)
        except (ClientError, HTTPClientError) as error:
            raise InvocationError(_error_text(error)) from error
        except BotoCoreError as error:
            raise UnaskedError(str(error)) from error

    def _whole(self, component: str, question: Question) -> Iterator[str]:
        response = self._client.invoke_endpoint(
            EndpointName=self._name,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=question.body(stream=False),
        )
        match _parse(response["Body"].read()):
            case {"generated_text": str(text)}:
                yield text
            case other:
                raise _unknown(other)

    def _pieces(self, component: str, question: Question) -> Iterator[str]:
        response = self._client.invoke_endpoint_with_response_stream(
            EndpointName=self._name,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=question.body(stream=True),
        )
        for line in _lines(event["PayloadPart"]["Bytes"] for event in response["Body"]):
            match _parse(line):
                case {"token": {"text": str(text)}}:
                    yield text
                case other:
                    raise _unknown(other)


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
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
            return InvocationError(f"the answer is not in the schema of LMI containers: {answer!r:.200}")


def _error_text(error: Exception) -> str:
    if not isinstance(error, ClientError) or code_of(error) != "ModelError":
        return error_text(error)
    # The container's own status and message are shorter than the service's.
    status = error.response.get("OriginalStatusCode")
    return f"the container answered {status}: {error.response.get('OriginalMessage') or message_of(error)}"
