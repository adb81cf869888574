"""Takes out of a text or an answer what is secret, names an account or a person, or differs between runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

LONGEST_TEXT = 600
MOST_ITEMS = 20

# Stands for the run's id meanwhile, since no pattern takes it for a part of a word.
_RUN = "\ue000"
_SECRET_MEMBERS = re.compile(r"(?i)authorization|credential|secret|token|password|signature|api.?key")
_PATTERNS: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"sagemaker-api-key-[\w+/=-]*", "[TOKEN]"),
        (r"(?i)\bbearer\s+\S+", "Bearer [TOKEN]"),
        (r"\bhf_[A-Za-z0-9]{8,}", "[TOKEN]"),
        (r"(?i)\bX-Amz-(Signature|Credential|Security-Token|Date)=[^&\s\"']*", r"X-Amz-\1=[SECRET]"),
        (r"\b(AKIA|ASIA|AROA|AIDA|ANPA|AGPA)[A-Z0-9]{12,}", "[KEY]"),
        (r"[\w.+-]+@[\w-]+\.[\w.-]+", "[MAIL]"),
        # Whoever calls: users, roles and sessions that are not the run's own.
        (r"\b(user|assumed-role|federated-user|role)/(?!verify-aws)[\w+=,.@/-]+", r"\1/[NAME]"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "[ID]"),
        (r"(?i)\b(request ?id|host ?id|x-amz-id-2)(['\"]?\s*[:=]\s*['\"]?)[\w+/=-]+", r"\1\2[ID]"),
        (r"\b[\w.-]+\.amazonaws\.com(?:\.cn)?(?::\d+)?", "[HOST]"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "[HOST]"),
        (r"\b(?:localhost|ip-[\d-]+[\w.-]*)(?::\d+)?", "[HOST]"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?", "[TIME]"),
        (r"(?<![\w.])1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?(?![\w.])", "[TIME]"),
        (r"(?<!\d)\d{12}(?!\d)", "[ACCOUNT]"),
    )
)
# Service principals look like hosts, and say nothing about anybody.
_PRINCIPAL = re.compile(r"\b(sagemaker|s3|iam|sts|ecr|logs|monitoring)\.amazonaws\.com\b")
# What is left of keys and tokens: long, with both cases and digits, as no word and no path is.
_RANDOM = re.compile(r"[A-Za-z0-9+=_-]{32,}|[A-Za-z0-9+/=_-]{40,}")


class Redactor:
    """Redacts the texts and answers of one run.

    run is the id of the run, which becomes RUN. account is the number of the account. secrets are taken out
    wherever they are. began is the moment, in seconds since the epoch, from which times are counted.
    """

    def __init__(
        self, *, run: str, account: str = "", began: float = 0.0, secrets: Sequence[str] = ()
    ) -> None:
        self._run = run
        self._account = account
        self._began = began
        # The longest first: one may begin with another.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Redact a text, and cut it if it is long."""
        text = text.replace(self._run, _RUN)
        if self._account:
            text = text.replace(self._account, "[ACCOUNT]")
        for secret in self._secrets:
            text = text.replace(secret, "[SECRET]")
        text = _PRINCIPAL.sub(r"\1.service", text)
        for pattern, mask in _PATTERNS:
            text = pattern.sub(mask, text)
        text = _RANDOM.sub(_mask_random, text).replace(_RUN, "RUN")
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"

    def value(self, value: Any, name: str = "") -> Any:
        """Redact a request or an answer: JSON, times and bytes."""
        # Paging tokens and the like are of no use to anybody, and members of tags have no other name.
        if name and _SECRET_MEMBERS.search(name) and not isinstance(value, (int, float)):
            return "[SECRET]"
        match value:
            case str():
                return self.text(value)
            case datetime():
                return f"T+{value.timestamp() - self._began:.0f}s"
            case bytes():
                return f"{len(value)} bytes"
            case Mapping():
                return {self.text(str(key)): self.value(member, str(key)) for key, member in value.items()}
            case list() | tuple():
                shown = [self.value(item) for item in value[:MOST_ITEMS]]
                return shown if len(value) <= MOST_ITEMS else [*shown, f"… {len(value) - MOST_ITEMS} more"]
            case None | bool() | int() | float():
                return value
        return self.text(str(value))


def _mask_random(found: re.Match[str]) -> str:
    word = found[0]
    kinds = ("[a-z]", "[A-Z]", r"\d")
    digest = re.fullmatch("[0-9a-f]{32,}", word)
    return "[SECRET]" if digest or all(re.search(kind, word) for kind in kinds) else word
