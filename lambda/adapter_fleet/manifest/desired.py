"""The desired state of a fleet: every adapter with its component's name and its artifact's URI in S3.

It is a manifest in which every reference is resolved. The registry stores one for each generation.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_fleet.common.serialization import converter
from adapter_fleet.evaluation import EvaluationRecord
from adapter_fleet.serving.completions import PromptForm, PromptRequest

DEFAULT_MAX_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A prompt, and how the adapter's answer to it begins. The base model and others answer something else.

    prompt:
        The prompt. It is sent with eight random digits and an empty line in front, which no cache has.
    answer:
        The beginning of the adapter's answer at temperature 0.
    max_tokens:
        How many tokens are generated at most; None for as many as `answer` may have.
    """

    prompt: str
    answer: str
    max_tokens: int | None = None

    def request(self, nonce: str) -> PromptRequest:
        """Return the request, with a nonce in front: no prefix cache can answer it."""
        # A token has at least one byte.
        most = self.max_tokens or len(self.answer.encode(errors="replace")) + 1
        return PromptRequest(prompt=with_nonce(self.prompt, nonce), max_tokens=most)

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal: equal for equal probes."""
        return _digest([self.prompt, self.answer, self.max_tokens])


def new_nonce() -> str:
    """Return a text that no prompt has begun with. It is short, so that it changes no answer of its own."""
    return secrets.token_hex(4)


def with_nonce(prompt: str, nonce: str) -> str:
    """Return a prompt with a nonce in a paragraph of its own in front.

    Prefix caches hash the blocks of a prompt in a chain, so that another beginning matches no block.
    """
    return f"{nonce}\n\n{prompt}"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One version of an adapter: its archive in S3, and the identity of its content.

    digest:
        SHA-256 of the canonical tar in hexadecimal (docs/adr/0005-adapter-identity.md); None if it is not
        known, as for a component that was made by hand.
    checksum:
        S3's SHA-256 of the archive (`archive_version.checksum_text`), if the manifest has it. With it the
        archive is verified without reading it.
    source:
        The archive to copy from, if `uri` is the fleet's own copy.
    probe:
        What this version answers, and no other one. A rollback goes back to the version's own probe.
    evaluation:
        How this version did beside the base model, if the manifest has it.
    """

    uri: str
    digest: str | None = None
    # These fields do not tell artifacts apart.
    checksum: str | None = field(default=None, compare=False)
    source: str | None = field(default=None, compare=False)
    probe: Probe | None = field(default=None, compare=False)
    evaluation: EvaluationRecord | None = field(default=None, compare=False)

    @property
    def version(self) -> str:
        """A short name of this version, for people."""
        return self.digest[:12] if self.digest else self.uri.rpartition("/")[2]

    def same_as(self, other: "Artifact | None") -> bool:
        """Tell whether both are the same object with the same content, as far as the digests are known."""
        if other is None or self.uri != other.uri:
            return False
        return self.digest is None or other.digest is None or self.digest == other.digest

    def same_version_as(self, other: "Artifact | None") -> bool:
        """Tell whether both are the same adapter in any place: by digests, else as the same object.

        Archives move to another prefix, or from an asset to a bucket. A serving adapter has to be the
        declared object (`same_as`), but a rollback has to lead to another adapter.
        """
        if other is not None and self.digest is not None and other.digest is not None:
            return self.digest == other.digest
        return self.same_as(other)


@dataclass(frozen=True, kw_only=True)
class SmokeRequest:
    """A request that an adapter has to answer before it counts as in service.

    body:
        The JSON body of the request.
    expect:
        A regular expression that has to match in the text generated for a prompt, or in the whole response to
        a body; None accepts any response with 2XX.
    is_prompt:
        True if `body` was made of a prompt, which may be sent in another form. A body that somebody gave is
        sent and compared as it is.
    """

    body: Mapping[str, object]
    expect: str | None = None
    is_prompt: bool = False

    @classmethod
    def from_prompt(
        cls, prompt: str, *, max_tokens: int | None = None, expect: str | None = None
    ) -> "SmokeRequest":
        """Return the request of a prompt, as OpenAI's completions."""
        request = PromptRequest(prompt=prompt, max_tokens=max_tokens or DEFAULT_MAX_TOKENS)
        return cls(body=request.body(), expect=expect, is_prompt=True)

    @property
    def prompt(self) -> PromptRequest | None:
        """The prompt that `body` was made of; None for a body that somebody gave."""
        return PromptRequest.of_body(self.body) if self.is_prompt else None

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal: equal for equal requests.

        The digest of a prompt is that of its form in LMI's schema, which the registries of running fleets
        have.
        """
        prompt = self.prompt
        return _digest([self.body if prompt is None else prompt.body(PromptForm.LMI), self.expect])


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class DesiredAdapter:
    """The desired state of one adapter.

    percent:
        The share of the callers whom a new version answers; None for what the fleet's releases say.
    """

    name: str
    component: str
    artifact: Artifact
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | None = None
    percent: int | None = None


@dataclass(frozen=True, kw_only=True)
class DesiredFleet:
    """The desired state of all adapters of one generation, in the order of the manifest."""

    adapters: tuple[DesiredAdapter, ...] = ()

    def to_json(self) -> bytes:
        """Return the fleet as JSON; equal fleets give equal bytes."""
        return json.dumps(converter.unstructure(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "DesiredFleet":
        """Read the JSON of `to_json`."""
        return converter.structure(json.loads(text), cls)

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal: equal for equal fleets."""
        return hashlib.sha256(self.to_json()).hexdigest()
