"""Requests to inference components, each prompt in a form that the container takes."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from adapter_fleet.common.aws_errors import container_message, container_status, refuses_form
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    MissingError,
    ModelFailedError,
    UnansweredError,
)
from adapter_fleet.manifest.desired import SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptForm, PromptRequest, completion_of

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

_MAX_ANSWER_BYTES = 100_000


class Invocations:
    """Sends requests to the components of endpoints, and remembers the form that an endpoint takes.

    calling:
        Counts a call, and raises the port's errors.
    """

    def __init__(
        self, runtime: "SageMakerRuntimeClient", calling: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._runtime, self._calling = runtime, calling
        self._forms: dict[str, PromptForm] = {}

    def text(self, component: str, endpoint: str, smoke: SmokeRequest) -> str:
        """Send a smoke request; return the text generated for a prompt, the whole response to a body.

        A prompt that is refused is sent in the other form.
        """
        prompt = smoke.prompt
        if prompt is None:
            return self._invoke(component, endpoint, smoke.body)
        forms: list[PromptForm] = [PromptForm.COMPLETIONS, PromptForm.LMI]
        if self._forms.get(endpoint) is PromptForm.LMI:
            forms.reverse()
        text, form = next(self._tries(component, endpoint, prompt, forms))
        if form is not forms[0]:
            self._note(endpoint, form)
        completion = _completion(text)
        return text if completion is None else completion.text

    def complete(self, component: str, endpoint: str, prompt: PromptRequest) -> Completion:
        """Return what a component generates for a prompt."""
        forms = list(PromptForm)
        first = forms.index(self._forms.get(endpoint, forms[0]))
        forms = [*forms[first:], *forms[:first]]
        text = ""
        for text, form in self._tries(component, endpoint, prompt, forms):
            completion = _completion(text)
            if completion is not None:
                self._forms[endpoint] = form
                return completion
        raise ModelFailedError(f"the answer is in no known form, got {text[:200]!r}")

    def _note(self, endpoint: str, form: PromptForm) -> None:
        """Note the form of a smoke request that was taken after another one was refused.

        That a container takes completions does not tell whether it gives log probabilities.
        """
        if form is PromptForm.LMI:
            self._forms[endpoint] = form
        elif self._forms.get(endpoint) is PromptForm.LMI:
            del self._forms[endpoint]

    def _tries(
        self, component: str, endpoint: str, prompt: PromptRequest, forms: list[PromptForm]
    ) -> Iterator[tuple[str, PromptForm]]:
        """Yield the response to each form that is not refused. Raises the first error if all are refused."""
        refusal, answered = None, False
        for form in forms:
            try:
                text = self._invoke(component, endpoint, prompt.body(form))
            except ModelFailedError as error:
                if not refuses_form(container_status(str(error)), container_message(str(error))):
                    raise
                refusal = refusal or error
                continue
            answered = True
            yield text, form
        if refusal is not None and not answered:
            raise refusal

    def _invoke(self, component: str, endpoint: str, body: Mapping[str, object]) -> str:
        try:
            with self._calling("InvokeEndpoint"):
                answer = self._runtime.invoke_endpoint(
                    EndpointName=endpoint,
                    InferenceComponentName=component,
                    ContentType="application/json",
                    Body=json.dumps(body),
                )
                return answer["Body"].read(_MAX_ANSWER_BYTES).decode(errors="replace")
        except (MissingError, ConflictError) as error:
            # Another part of SageMaker has reported it in service.
            raise UnansweredError(str(error)) from error


def _completion(text: str) -> Completion | None:
    try:
        return completion_of(json.loads(text))
    except ValueError:
        return None
