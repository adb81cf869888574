"""LiteLLM: its providers `sagemaker/`, `sagemaker_chat/` and `openai/`."""

import asyncio
from typing import Any

import litellm

from adapter_fleet.openai.bearer_auth import BearerAuth
from tests.clients.calls import Calls


class Script:
    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given

    def run(self) -> None:
        # A greedy answer needs a temperature of 0, which `sagemaker/` changes without this.
        for adapter in ("base", "triage"):
            self.ask("sagemaker", adapter, aws_sagemaker_allow_zero_temp=True)
            self.ask("sagemaker_chat", adapter)
            self.ask_openai(adapter)
        with self.calls.call("sagemaker/ (AWS_ENDPOINT_URL alone)"):
            answer = litellm.completion(
                model=f"sagemaker/{self.given['endpoint']}",
                model_id=self.calls.component("triage"),
                timeout=5,
                num_retries=0,
                aws_sagemaker_allow_zero_temp=True,
                **self.prompt("sagemaker"),
            )
            self.calls.check("triage", answer.choices[0].message.content)

    def prompt(self, provider: str) -> dict[str, Any]:
        """Return the arguments of a request; `sagemaker/` sends the texts of messages as they are."""
        chat = self.calls.chat()
        if provider == "sagemaker":
            chat["messages"] = [{"role": "user", "content": self.given["prompt"]}]
        return chat

    def ask(self, provider: str, adapter: str, **further: Any) -> None:
        """Ask a component whole, streamed, and streamed asynchronously, by InvokeEndpoint."""
        endpoint = f"{self.given['url']}/endpoints/{self.given['endpoint']}"
        arguments = {
            "model": f"{provider}/{self.given['endpoint']}",
            "model_id": self.calls.component(adapter),
            "aws_region_name": "us-east-1",
            **self.prompt(provider),
            **further,
        }
        whole, streamed = f"{endpoint}/invocations", f"{endpoint}/invocations-response-stream"
        self._ask(provider, adapter, {**arguments, "sagemaker_base_url": whole}, streamed)

    def ask_openai(self, adapter: str) -> None:
        """Ask a component whole, streamed, and streamed asynchronously, on its OpenAI path."""
        # The base model's name in LMI. LiteLLM has no empty one, which the guide advises.
        model = "lmi" if adapter == "base" else self.calls.component(adapter)
        arguments = {
            "model": f"openai/{model}",
            "api_base": self.calls.url(adapter),
            "api_key": BearerAuth().token(),
            **self.calls.chat(),
        }
        self._ask("openai", adapter, arguments, None)

    def _ask(self, provider: str, adapter: str, arguments: dict[str, Any], streamed: str | None) -> None:
        stream = {**arguments, "stream": True}
        if streamed is not None:
            stream["sagemaker_base_url"] = streamed
        name, check = f"{provider}/ ({adapter}", self.calls.check
        with self.calls.call(f"{name})"):
            check(adapter, litellm.completion(**arguments).choices[0].message.content)
        with self.calls.call(f"{name}, streamed)"):
            check(adapter, "".join(map(_piece, litellm.completion(**stream))))
        with self.calls.call(f"{name}, asynchronous, streamed)"):
            check(adapter, asyncio.run(_streamed(stream)))


async def _streamed(arguments: dict[str, Any]) -> str:
    return "".join([_piece(chunk) async for chunk in await litellm.acompletion(**arguments)])


def _piece(chunk: Any) -> str:
    return chunk.choices[0].delta.content or ""


if __name__ == "__main__":
    Script(Calls()).run()
