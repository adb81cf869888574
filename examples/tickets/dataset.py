"""Write held-out tickets as a dataset for `adapters evaluate`: JSON lines on standard output.

    python -m examples.tickets.dataset 400 > tickets.jsonl

Each line has the prompt, and what the base and each adapter should answer, in a column of its name. The same
number gives the same lines.
"""

import json
import random
import sys
from collections.abc import Iterator

from examples.tickets.tickets import ANSWERS, draw_ticket, prompt

_SEED = 13
"""Not one of the training's or of its test."""


def rows(count: int) -> Iterator[dict[str, str]]:
    """Yield so many different tickets that training never saw."""
    source = random.Random(_SEED)
    seen: set[str] = set()
    while len(seen) < count:
        ticket = draw_ticket(source, held_out=True)
        if ticket.text in seen:
            continue
        seen.add(ticket.text)
        answers = {name: answer(ticket) for name, answer in ANSWERS.items()}
        yield {"id": f"ticket-{len(seen):04d}", "ticket": ticket.text, "prompt": prompt(ticket), **answers}


def main() -> None:
    """Write the lines."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    for row in rows(count):
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
