"""Ask an adapter with the `openai` client, which signs a bearer token for each request.

`adapters describe` shows the base URL and the model:

    python client.py BASE_URL MODEL "Where is my parcel?"
"""

import sys

from openai import OpenAI

from adapter_fleet.openai.bearer_auth import BearerAuth


def main(base_url: str, model: str, question: str) -> None:
    """Print the answer as it is written."""
    client = OpenAI(base_url=base_url, api_key=BearerAuth().token)
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=60,
        temperature=0,
        stream=True,
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
