"""Probes of adapters to publish: given, taken from a file beside the adapter, or found on a live endpoint."""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from adapter_fleet.documents.strict_json import loads
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    MissingError,
    ModelFailedError,
    ThrottledError,
)
from adapter_fleet.manifest.desired import Artifact, Probe, new_nonce
from adapter_fleet.manifest.manifest_adapter import ManifestAdapter, S3Artifact
from adapter_fleet.manifest.value_rules import MAX_PROMPT_CHARACTERS, problems_of_probe
from adapters_cli.artifacts.local_adapters import PROBE_FILE
from adapters_cli.aws.account import Account
from adapters_cli.output.errors import CommandError

_NONCES = 8
"""How often a probe is asked before it is recorded. An answer that depends on the nonce is no probe."""

_MAX_TOKENS = 32
_FOUND_CHARACTERS = 60
_SHORTEST_BEGINNING = 12
_WAIT_SECONDS = 2.0
_MAX_WAIT_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class ProbeSource:
    """What is known of an adapter's answers before it is published: a probe, or prompts to find one with."""

    probe: Probe | None = None
    prompts: tuple[str, ...] = ()

    @classmethod
    def beside(cls, adapter: Path) -> "ProbeSource":
        """Read the probe file of an adapter's directory. Raises CommandError if it is wrong."""
        path = adapter / PROBE_FILE
        if not path.is_file():
            return cls()
        try:
            content: Any = loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CommandError(f"{path}: it cannot be read: {error}") from None
        match content:
            case {"prompts": [*prompts], **other} if not other and all(map(_is_prompt, prompts)):
                return cls(prompts=tuple(prompts))
            case {"prompt": str(prompt), "answer": str(answer), **other} if not other.keys() - {"max_tokens"}:
                return cls(probe=checked(prompt, answer, other.get("max_tokens"), where=str(path)))
        raise CommandError(
            f"{path}: should have 'prompt' and 'answer', and perhaps 'max_tokens'; or 'prompts', a list of"
            f" texts, got {json.dumps(content)[:80]}"
        )


def _is_prompt(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= MAX_PROMPT_CHARACTERS


def checked(prompt: str, answer: str, max_tokens: object = None, *, where: str) -> Probe:
    """Return a probe. Raises CommandError if it breaks a rule of manifests."""
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int)):
        raise CommandError(f"{where}: max_tokens: should be a whole number, got {max_tokens!r}")
    probe = Probe(prompt=prompt, answer=answer, max_tokens=max_tokens)
    problems = [f"{where}: {key}: {problem}" for key, problem in problems_of_probe(probe)]
    if problems:
        raise CommandError("\n".join(problems))
    return probe


@dataclass(frozen=True, kw_only=True)
class ProbeFinder:
    """Finds and verifies probes with a component that it creates on a base component and deletes again."""

    account: Account
    endpoint: str
    base: str

    def find(self, name: str, artifact: Artifact, source: ProbeSource) -> Probe:
        """Return the given probe after a look at the answers, or the first prompt that tells the two apart.

        Raises CommandError if the given probe is wrong, or if no prompt tells them apart.
        """
        if source.probe is None and not source.prompts:
            raise CommandError(
                f"there is no prompt to find a probe with; give --probe-prompt or {PROBE_FILE}"
            )
        with self._preview(name, artifact) as component:
            if source.probe is not None:
                self._verify(component, source.probe)
                return source.probe
            for prompt in source.prompts:
                found = self._probe(component, prompt)
                if found is not None:
                    return found
        raise CommandError(
            f"of {len(source.prompts)} prompts, none has an answer that the base model does not give and that"
            " stays the same behind a random line; give others with --probe-prompt"
        )

    def _verify(self, component: str, probe: Probe) -> None:
        for nonce in _nonces():
            request = probe.request(nonce)
            answer = self.account.service.complete(component, self.endpoint, request)
            if not answer.begins_with(probe.answer):
                raise CommandError(
                    f"the probe's answer should begin with {probe.answer!r}, got {answer.text.strip()[:80]!r}"
                )
            if self.account.service.complete(self.base, self.endpoint, request).begins_with(probe.answer):
                raise CommandError(f"the base model gives the probe's answer, too: {probe.answer!r}")

    def _probe(self, component: str, prompt: str) -> Probe | None:
        """Return the probe of a prompt; None if its answers are no probe."""
        asked = Probe(prompt=prompt, answer="", max_tokens=_MAX_TOKENS)
        own, base = [], []
        for nonce in _nonces():
            request = asked.request(nonce)
            own.append(self.account.service.complete(component, self.endpoint, request).text.strip())
            base.append(self.account.service.complete(self.base, self.endpoint, request))
        answer = _common_beginning(own)[:_FOUND_CHARACTERS].rstrip()
        stays = len(answer) >= _SHORTEST_BEGINNING or (answer and len(set(own)) == 1)
        if not stays or any(other.begins_with(answer) for other in base):
            return None
        return replace(asked, answer=answer)

    @contextmanager
    def _preview(self, name: str, artifact: Artifact) -> Iterator[str]:
        """Yield a component with an adapter, in service. It is deleted in the end."""
        component = f"probe-{secrets.token_hex(4)}-{name}"[:63].rstrip("-")
        service = self.account.service
        service.create(component, endpoint=self.endpoint, base=self.base, artifact=artifact, tags={})
        try:
            live = self._ended(component)
            if live is not Status.IN_SERVICE:
                raise CommandError(f"{component} is {live}, so that it cannot be asked for its probe")
            yield component
        except ModelFailedError as error:
            raise CommandError(f"the container did not answer: {error}") from error
        finally:
            self._delete(component)

    def _ended(self, component: str) -> Status:
        """Wait until the creation has ended; return the status. Raises CommandError if it takes too long."""
        began = self.account.now()
        while self.account.now() - began < _MAX_WAIT_SECONDS:
            with suppress(ThrottledError):
                live = self.account.service.describe(component)
                if live is not None and not live.status.in_transition:
                    return live.status
            self.account.sleep(_WAIT_SECONDS)
        raise CommandError(f"{component} does not come into service; delete it once it can be deleted")

    def _delete(self, component: str) -> None:
        began = self.account.now()
        while True:
            try:
                self.account.service.delete(component)
            except MissingError:
                return
            except (ConflictError, ThrottledError):
                if self.account.now() - began >= _MAX_WAIT_SECONDS:
                    raise
                self.account.sleep(_WAIT_SECONDS)
            else:
                return


def _common_beginning(texts: Sequence[str]) -> str:
    same = takewhile(lambda characters: len(set(characters)) == 1, zip(*texts, strict=False))
    return "".join(characters[0] for characters in same)


def _nonces() -> Sequence[str]:
    return [new_nonce() for _ in range(_NONCES)]


def is_entry_of(artifact: Artifact, entry: ManifestAdapter) -> bool:
    """Return True if the entry has this very archive."""
    return entry.artifact == S3Artifact(uri=artifact.uri)


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """The options of a command that publishes: where the probes of its adapters come from.

    prompts, answer:
        A probe for a single adapter, or prompts to find one with.
    finder:
        Asks on a live endpoint; None if there is none.
    """

    prompts: tuple[str, ...] = ()
    answer: str | None = None
    finder: ProbeFinder | None = None

    def probe_of(self, adapter: Path, artifact: Artifact, entry: ManifestAdapter | None) -> Probe | None:
        """Return the probe to record; None to keep the one that the entry has.

        Raises CommandError if the probe is wrong, and ServiceError if the endpoint cannot be asked.
        """
        source = self._source(adapter)
        recorded = entry.probe if entry is not None and is_entry_of(artifact, entry) else None
        if recorded is not None and not self.prompts and source.probe in (None, recorded):
            return None  # it was recorded with this very archive
        if self.finder is None:
            return source.probe
        smoke = None if entry is None or entry.smoke is None else entry.smoke.prompt
        if source.probe is None and smoke is not None:
            source = replace(source, prompts=(*source.prompts, smoke.prompt))
        name = adapter.name if entry is None else entry.name
        return self.finder.find(name, artifact, source)

    def _source(self, adapter: Path) -> ProbeSource:
        if self.answer is not None:
            return ProbeSource(probe=checked(self.prompts[0], self.answer, where="'--probe-answer'"))
        return ProbeSource(prompts=self.prompts) if self.prompts else ProbeSource.beside(adapter)
