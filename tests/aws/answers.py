"""The answers of a run, in a file; the embedded cloud's have to be those of its settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_sagemaker.settings import Settings


@dataclass(kw_only=True)
class Answers:
    """What was answered so far.

    settings:
        Those of the embedded cloud; None for AWS, whose answers nobody knows.
    """

    path: Path
    settings: Settings | None
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, name: str, question: str, seen: dict[str, Any], settings: dict[str, Any]) -> None:
        """Record what was seen, and the outcome of each setting, None where it tells nothing."""
        self.told[name] = {"question": question, "seen": seen, "settings": settings}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.told, indent=2, default=str, ensure_ascii=False) + "\n")
        if self.settings is None:
            return
        for setting, value in settings.items():
            expected = getattr(self.settings, setting)
            # Of a number an answer says only whether it is above zero.
            assert value in (None, bool(expected) if isinstance(value, bool) else expected), setting
