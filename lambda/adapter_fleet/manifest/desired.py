"""What a fleet should be: every adapter with its component's name and its artifact's address in S3.

A manifest with nothing left to look up. It is what the registry keeps of each generation.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_fleet.common.serialization import converter

DEFAULT_MAX_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One version of an adapter: its archive in S3, and the identity of what is in it.

    digest:
        SHA-256 of the canonical tar in hexadecimal (docs/adr/0005-adapter-identity.md), or None where
        nobody has told, as for a component that was made by hand.
    checksum:
        S3's SHA-256 of the archive (`archive_version.checksum_text`), where the manifest has it. With it the
        archive need not be read to be verified.
    source:
        Where the archive is copied from, if `uri` is the fleet's own copy.
    """

    uri: str
    digest: str | None = None
    # Two artifacts are the same whoever vouches for them.
    checksum: str | None = field(default=None, compare=False)
    source: str | None = field(default=None, compare=False)

    @property
    def version(self) -> str:
        """A short name of this version, for people."""
        return self.digest[:12] if self.digest else self.uri.rpartition("/")[2]

    def same_as(self, other: "Artifact | None") -> bool:
        """Tell whether both are the same object with the same content, as far as is known."""
        if other is None or self.uri != other.uri:
            return False
        return self.digest is None or other.digest is None or self.digest == other.digest

    def same_version_as(self, other: "Artifact | None") -> bool:
        """Tell whether both are the same adapter, wherever it lies: by digests, else as the same object.

        Archives move: to another prefix, or from a directory of a stack to a bucket. What serves has to be
        the declared object (`same_as`); what a person goes back to has to be another adapter.
        """
        if other is not None and self.digest is not None and other.digest is not None:
            return self.digest == other.digest
        return self.same_as(other)


@dataclass(frozen=True, kw_only=True)
class SmokeRequest:
    """A request that an adapter has to answer before it is believed to be in service.

    body:
        The JSON body of the request.
    expect:
        A regular expression to be found in the answer's text; None for any answer with a 2XX code.
    """

    body: Mapping[str, object]
    expect: str | None = None

    @classmethod
    def from_prompt(
        cls, prompt: str, *, max_tokens: int | None = None, expect: str | None = None
    ) -> "SmokeRequest":
        """Return the request of a prompt, in the schema of LMI containers."""
        parameters = {"max_new_tokens": max_tokens or DEFAULT_MAX_TOKENS, "temperature": 0}
        return cls(body={"inputs": prompt, "parameters": parameters}, expect=expect)

    @property
    def digest(self) -> str:
        """SHA-256 of its JSON, in hexadecimal: tells whether two ask the same."""
        text = json.dumps([self.body, self.expect], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class DesiredAdapter:
    """One adapter as the manifest wants it."""

    name: str
    component: str
    artifact: Artifact
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | None = None


@dataclass(frozen=True, kw_only=True)
class DesiredFleet:
    """All adapters of one generation, in the order of the manifest."""

    adapters: tuple[DesiredAdapter, ...] = ()

    def to_json(self) -> bytes:
        """Return it as JSON: equal fleets give equal bytes."""
        return json.dumps(converter.unstructure(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "DesiredFleet":
        """Read what `to_json` wrote."""
        return converter.structure(json.loads(text), cls)

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal: tells whether two generations want the same."""
        return hashlib.sha256(self.to_json()).hexdigest()
