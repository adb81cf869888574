"""Adapters of a fleet that are listed in code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapter_fleet.common.validators import check_known, check_whole_number
from adapter_fleet.manifest.desired import Probe, SmokeRequest
from adapter_fleet.manifest.value_rules import problems_of_probe, problems_of_smoke
from multi_adapter_inference._internal.argument_types import checked
from multi_adapter_inference.artifact import AdapterArtifact


@checked
@dataclass(frozen=True, kw_only=True)
class SmokeTest:
    """A request that an adapter must answer before it counts as in service.

    The request reaches one copy of the base model, whichever SageMaker picks. Give either `prompt` or `body`.

    A version that fails gives way to the last good one. A first version has none before it: it counts as
    failed, and its component stays reachable for callers who name it.

    prompt:
        What to ask, at temperature 0.
    max_tokens:
        The longest answer, with `prompt`. Default: 16 tokens.
    body:
        The whole JSON body of the request, for containers that take another one.
    expect:
        A regular expression that must be found in the answer. Default: any answer with a 2XX code passes.

    Example::

        SmokeTest(prompt="Summarize: revenue rose 4 %.", expect="revenue")
    """

    prompt: str | None = None
    max_tokens: int | None = None
    body: Mapping[str, Any] | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.body is None):
            given = "none" if self.prompt is None else "both"
            raise ValueError(f"one of 'prompt' and 'body' should be given, got {given}")
        if self.max_tokens is not None:
            check_whole_number("max_tokens", self.max_tokens, at_least=1)
            if self.prompt is None:
                raise ValueError(f"'max_tokens' should be given with 'prompt' only, got {self.max_tokens}")
        problems = [f"'{setting}' {problem}" for setting, problem in problems_of_smoke(self.request())]
        if problems:
            raise ValueError("; ".join(problems))
        for setting in ("prompt", "body", "expect"):
            # It becomes part of a JSON text, where a quote in the token's value would end the string.
            check_known(setting, getattr(self, setting))

    @property
    def document(self) -> dict[str, Any]:
        """The smoke test as an entry of a manifest."""
        entry: dict[str, Any] = {"prompt": self.prompt} if self.body is None else {"body": dict(self.body)}
        if self.max_tokens is not None:
            entry["max_tokens"] = self.max_tokens
        return entry if self.expect is None else {**entry, "expect": self.expect}

    def request(self) -> SmokeRequest:
        """Return the request that the Lambda functions send."""
        if self.body is not None:
            return SmokeRequest(body=dict(self.body), expect=self.expect)
        assert self.prompt is not None  # one of the two is given
        return SmokeRequest.from_prompt(self.prompt, max_tokens=self.max_tokens, expect=self.expect)


@checked
@dataclass(frozen=True, kw_only=True)
class AdapterProbe:
    """A prompt, and what one version of an adapter answers; its base model and others answer something else.

    The fleet asks the probe after each change, as often as the copies of the base model need it, and so does
    a `DriftCheck`. A wrong answer is a failure of the adapter that says who answers in its place.

    prompt:
        What to ask, at temperature 0. Eight random digits and an empty line are sent in front of it.
    answer:
        The beginning of the answer.
    max_tokens:
        The longest answer. Default: as many tokens as `answer` may have.

    Example::

        AdapterProbe(prompt="Ticket: the parcel is late.", answer='{"queue": "globex-returns"')
    """

    prompt: str
    answer: str
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for setting in ("prompt", "answer"):
            check_known(setting, getattr(self, setting))
        problems = [f"'{setting}' {problem}" for setting, problem in problems_of_probe(self.stored)]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def stored(self) -> Probe:
        """The probe that the fleet stores."""
        return Probe(prompt=self.prompt, answer=self.answer, max_tokens=self.max_tokens)


@checked
@dataclass(frozen=True, kw_only=True)
class FleetAdapter:
    """One adapter of a fleet, for `AdapterManifest.from_adapters`.

    name:
        The adapter's name, unique in the fleet. Its component's name is `<prefix>-<name>`.
    artifact:
        A directory of this machine, or an archive in S3.
    digest:
        The identity that `adapters publish` printed: 64 hexadecimal digits, with or without `sha256:` in
        front. Needed for an archive in S3 whose key does not contain it. Default: the one in the key.
    rank:
        The adapter's rank. With it, synth refuses a rank above the endpoint's limit also for an archive in
        S3. Default: that of the `AdapterDefaults`; without one, synth checks none.
    tags:
        Tags of the component, in addition to those of the fleet. Default: none.
    smoke:
        The adapter's own smoke test, or False for none. Default: that of the `AdapterDefaults`, else the
        fleet's.
    probe:
        What this version answers, and nobody else. Default: none, so that only a weaker check is made after a
        smoke test with a prompt: whether the answer differs from the base model's.
    component_name:
        The whole name of a component that existed before the fleet. Default: `<prefix>-<name>`.

    Example::

        FleetAdapter(
            name="ectsum",
            artifact=AdapterArtifact.from_uri(f"s3://models/adapters/sha256-{'0' * 64}.tar.gz"),
            rank=16,
        )
    """

    name: str
    artifact: AdapterArtifact
    digest: str | None = None
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeTest | Literal[False] | None = None
    probe: AdapterProbe | None = None
    component_name: str | None = None


@checked
@dataclass(frozen=True, kw_only=True)
class AdapterDefaults:
    """Settings for the adapters of `AdapterManifest.from_adapters` that have none of their own.

    rank, tags, smoke:
        As in a `FleetAdapter`. An adapter's own tags are added to these, and win. Default: no rank, no tags,
        and the fleet's smoke test.

    Example::

        AdapterDefaults(tags={"team": "a"}, smoke=SmokeTest(prompt="Hello"))
    """

    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeTest | Literal[False] | None = None
