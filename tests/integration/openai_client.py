"""Asks questions with the unmodified `openai` client: a line of JSON each in, a line of JSON each out.

It runs in the environment of `make test-clients`. `test_openai_path.py` writes the questions.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai

from adapter_fleet.openai.bearer_auth import BearerAuth


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Return the answer's text and the number of its pieces, or the client's error.

    The client's own message has the service's words only if they come in OpenAI's form.
    """
    auth, base_url = BearerAuth(), question["base_url"]
    request = {
        "model": question["model"],
        "messages": [{"role": "user", "content": question["ticket"]}],
        "max_tokens": 60,
        "temperature": 0,
    }
    try:
        if question["client"] == "asynchronous":
            return asyncio.run(_ask_asynchronously(auth, base_url, request))
        if question["client"] == "http_client":
            http_client = openai.DefaultHttpxClient(auth=auth)
            client = openai.OpenAI(base_url=base_url, api_key="-", http_client=http_client, max_retries=0)
        else:
            client = openai.OpenAI(
                base_url=base_url, api_key=question.get("token") or auth.token, max_retries=0
            )
        if question["stream"]:
            pieces = [
                chunk.choices[0].delta.content or ""
                for chunk in client.chat.completions.create(**request, stream=True)
                if chunk.choices
            ]
            return {"text": "".join(pieces), "pieces": len([piece for piece in pieces if piece])}
        answer = client.chat.completions.create(**request)
        return {"text": answer.choices[0].message.content, "model": answer.model}
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "text": error.response.text}


async def _ask_asynchronously(auth: BearerAuth, base_url: str, request: dict[str, Any]) -> dict[str, Any]:
    http_client = openai.DefaultAsyncHttpxClient(auth=auth)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="-", http_client=http_client) as client:
        answer = await client.chat.completions.create(**request)
    return {"text": answer.choices[0].message.content, "model": answer.model}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(ask(json.loads(line)))}\n")
