"""The `openai` client on the OpenAI path of components."""

import asyncio

import openai

from adapter_fleet.openai.bearer_auth import BearerAuth
from tests.clients.calls import Calls


class Script:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def client(self, adapter: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.calls.url(adapter), api_key=BearerAuth().token, max_retries=0)

    def run(self) -> None:
        calls, chat = self.calls, self.calls.chat()
        for adapter in ("base", "triage"):
            model = "" if adapter == "base" else calls.component(adapter)
            client = self.client(adapter)
            name = "chat.completions.create"
            with calls.call(f"{name} ({adapter})"):
                answer = client.chat.completions.create(model=model, **chat)
                calls.check(adapter, answer.choices[0].message.content)
            with calls.call(f"{name} ({adapter}, streamed)"):
                stream = client.chat.completions.create(model=model, **chat, stream=True)
                calls.check(adapter, "".join(one.choices[0].delta.content or "" for one in stream))
        client, model = self.client("triage"), calls.component("triage")
        with calls.call("chat.completions.stream"):
            with client.chat.completions.stream(model=model, **chat) as events:
                final = events.get_final_completion()
            calls.check("triage", final.choices[0].message.content)
        with calls.call("chat.completions.create (asynchronous)"):
            asyncio.run(self.asynchronous())
        with calls.call("chat.completions.create (log probabilities)"):
            answer = client.chat.completions.create(model=model, **chat, logprobs=True, top_logprobs=2)
            if not answer.choices[0].logprobs.content[0].top_logprobs:
                raise ValueError(f"there should be log probabilities, got {answer}")
        with calls.call("chat.completions.with_raw_response.create"):
            raw = client.chat.completions.with_raw_response.create(model=model, **chat)
            calls.check("triage", raw.parse().choices[0].message.content)
        with calls.call("models.list"):
            client.models.list()
        with calls.call("completions.create"):
            client.completions.create(model=model, prompt=calls.given["prompt"])
        with calls.call("responses.create"):
            client.responses.create(model=model, input=calls.given["ticket"])

    async def asynchronous(self) -> None:
        """Ask with the asynchronous client, whose HTTP client signs each request."""
        http_client = openai.DefaultAsyncHttpxClient(auth=BearerAuth())
        url = self.calls.url("triage")
        async with openai.AsyncOpenAI(base_url=url, api_key="-", http_client=http_client) as client:
            answer = await client.chat.completions.create(
                model=self.calls.component("triage"), **self.calls.chat()
            )
        self.calls.check("triage", answer.choices[0].message.content)


if __name__ == "__main__":
    Script(Calls()).run()
