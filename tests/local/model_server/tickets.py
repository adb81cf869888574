"""The committed tickets model, its adapters and the answers expected of them."""

import json
from pathlib import Path
from typing import Any

TICKETS = Path(__file__).parents[3] / "examples" / "tickets"
BASE = TICKETS / "base"
ADAPTERS = {
    "triage": TICKETS / "adapters" / "triage",
    "summary": TICKETS / "adapters" / "summary",
    "shout": TICKETS / "adapters" / "shout",
    "summary-v2": TICKETS / "adapters-v2" / "summary",
}
KINDS = ("base", *ADAPTERS)
PROMPTS: list[dict[str, Any]] = json.loads((TICKETS / "prompts.json").read_text(encoding="utf-8"))
