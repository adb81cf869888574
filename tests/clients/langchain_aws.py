"""langchain-aws: completions and chats of components, whole and streamed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from langchain_aws.chat_models.sagemaker_endpoint import ChatModelContentHandler, ChatSagemakerEndpoint
from langchain_aws.llms.sagemaker_endpoint import LLMContentHandler, SagemakerEndpoint
from langchain_core.messages import AIMessage, AIMessageChunk

from tests.clients.calls import Calls


class LmiHandler(LLMContentHandler):  # type: ignore[misc]
    """Bodies in LMI's form, as the documentation of langchain-aws has its users write one."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, prompt: str, model_kwargs: dict[str, Any]) -> bytes:
        """Return the body of a prompt."""
        return json.dumps({"inputs": prompt, "parameters": model_kwargs}).encode()

    def transform_output(self, output: Any) -> str:
        """Return the text of a whole answer, or of a line of a stream."""
        if not isinstance(output, bytes):
            return str(json.loads(output.read())["generated_text"])
        # LMI ends its streams with empty lines.
        return str(json.loads(output)["token"]["text"]) if output.strip() else ""


class StreamingHandler(LmiHandler):
    """The same, asking LMI for a stream of lines."""

    def transform_input(self, prompt: str, model_kwargs: dict[str, Any]) -> bytes:
        """Return the body of a prompt."""
        return json.dumps({"inputs": prompt, "parameters": model_kwargs, "stream": True}).encode()


class ChatHandler(ChatModelContentHandler):  # type: ignore[misc]
    """Bodies in OpenAI's form."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> bytes:
        """Return the body of a chat."""
        return json.dumps({"messages": prompt, **model_kwargs}).encode()

    def transform_output(self, output: Any) -> AIMessage | AIMessageChunk:
        """Return the message of a whole answer, or of a line of a stream."""
        if not isinstance(output, bytes):
            return AIMessage(content=json.loads(output.read())["choices"][0]["message"]["content"])
        # LMI ends its streams with an empty line.
        text = json.loads(output)["choices"][0]["delta"].get("content") if output.strip() else ""
        return AIMessageChunk(content=text or "")


class Script:
    """The calls, in their order."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given

    def run(self) -> None:
        """Make all calls."""
        for adapter in ("base", "triage"):
            self.complete(adapter)
            self.chat(adapter)

    def endpoint(self, adapter: str, handler: LLMContentHandler) -> SagemakerEndpoint:
        """Return a model for completions of a component."""
        return SagemakerEndpoint(
            endpoint_name=self.given["endpoint"],
            inference_component_name=self.calls.component(adapter),
            region_name="us-east-1",
            content_handler=handler,
            model_kwargs={"max_new_tokens": 60, "temperature": 0},
        )

    def complete(self, adapter: str) -> None:
        """Complete the prompt in each way that a model of LangChain has."""
        calls, prompt = self.calls, self.given["prompt"]
        whole = self.endpoint(adapter, LmiHandler())
        with calls.call(f"SagemakerEndpoint.invoke ({adapter})"):
            calls.check(adapter, whole.invoke(prompt))
        with calls.call(f"SagemakerEndpoint.ainvoke ({adapter})"):
            calls.check(adapter, asyncio.run(whole.ainvoke(prompt)))
        with calls.call(f"SagemakerEndpoint.batch ({adapter})"):
            for text in whole.batch([prompt, prompt]):
                calls.check(adapter, text)
        streaming = self.endpoint(adapter, StreamingHandler())
        with calls.call(f"SagemakerEndpoint.stream ({adapter})"):
            calls.check(adapter, "".join(streaming.stream(prompt)))

    def chat(self, adapter: str) -> None:
        """Chat with a component."""
        calls, ticket = self.calls, self.given["ticket"]
        arguments = {
            "endpoint_name": self.given["endpoint"],
            "inference_component_name": calls.component(adapter),
            "region_name": "us-east-1",
            "content_handler": ChatHandler(),
        }
        options = {"max_tokens": 60, "temperature": 0}
        model = ChatSagemakerEndpoint(**arguments, model_kwargs=options)
        with calls.call(f"ChatSagemakerEndpoint.invoke ({adapter})"):
            calls.check(adapter, model.invoke(ticket).content)
        with calls.call(f"ChatSagemakerEndpoint.ainvoke ({adapter})"):
            calls.check(adapter, asyncio.run(model.ainvoke(ticket)).content)
        streaming = ChatSagemakerEndpoint(**arguments, model_kwargs={**options, "stream": True})
        with calls.call(f"ChatSagemakerEndpoint.stream ({adapter})"):
            calls.check(adapter, "".join(str(chunk.content) for chunk in streaming.stream(ticket)))


if __name__ == "__main__":
    Script(Calls()).run()
