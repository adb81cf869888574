"""Probes of adapters to publish: from a file beside the adapter, or found on a live endpoint."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from adapter_fleet.common.counts import counted
from adapter_fleet.documents.strict_json import loads
from adapter_fleet.fleet.state.sagemaker_port import RefusedError
from adapter_fleet.manifest.desired import Artifact, Probe, new_nonce
from adapter_fleet.manifest.manifest_adapter import BucketArtifact, ManifestAdapter, S3Artifact
from adapter_fleet.manifest.value_rules import MAX_PROMPT_CHARACTERS, problems_of_probe
from adapter_fleet.serving.completions import Completion
from adapters_cli.artifacts.local_adapters import PROBE_FILE
from adapters_cli.artifacts.temporary_component import temporary_component
from adapters_cli.aws.account import Account
from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import print_note

_NONCES = 100
"""How often a probe is asked before it is recorded. An answer that depends on the nonce is no probe.

A probe with a wrong answer to 2 % of the nonces is recorded with a chance of 13 %, to 5 % of them with 0.6 %.
"""

_NONCES_OF_OTHERS = 8
"""How often the base model and the earlier version are asked. One right answer refuses the probe."""

_AT_A_TIME = 8
"""Requests in progress. The runtime's client has ten connections."""

_MAX_TOKENS = 32
_FOUND_CHARACTERS = 60
_SHORTEST_BEGINNING = 12


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

    def find(
        self, name: str, artifact: Artifact, source: ProbeSource, earlier: Artifact | None = None
    ) -> Probe:
        """Return the given probe after a look at the answers, or the first prompt that tells all apart.

        `earlier` is the version that the new one replaces. Raises CommandError if the given probe is wrong,
        or if no prompt tells the adapter, the base model and the earlier version apart.
        """
        if source.probe is None and not source.prompts:
            raise CommandError(f"there is no prompt to find a probe with; write some into {PROBE_FILE}")
        with ExitStack() as previews:
            component = previews.enter_context(self._preview(name, artifact))
            others = {"the base model": self.base}
            if earlier is not None:
                try:
                    others["the earlier version"] = previews.enter_context(self._preview(name, earlier))
                except (CommandError, RefusedError) as error:
                    # It may be the reason for the new version.
                    print_note(f"{name}: the probe is not compared with the earlier version: {error}")
            if source.probe is not None:
                self._verify(component, others, source.probe)
                return source.probe
            for prompt in source.prompts:
                found = self._probe(component, others, prompt)
                if found is not None:
                    return found
        raise CommandError(
            f"of {counted(len(source.prompts), 'prompt')}, none has an answer that stays the same behind a"
            f" random line and differs from that of {' and '.join(others)}; write others into {PROBE_FILE}"
        )

    def _verify(self, component: str, others: Mapping[str, str], probe: Probe) -> None:
        for answer in self._answers(component, probe, _NONCES):
            if not answer.begins_with(probe.answer):
                raise CommandError(
                    f"the probe's answer should begin with {probe.answer!r}, got {answer.text.strip()[:80]!r}"
                )
        for who, other in others.items():
            if self._gives(other, probe):
                raise CommandError(f"{who} gives the probe's answer, too: {probe.answer!r}")

    def _probe(self, component: str, others: Mapping[str, str], prompt: str) -> Probe | None:
        """Return the probe of a prompt; None if its answers are no probe."""
        asked = Probe(prompt=prompt, answer="", max_tokens=_MAX_TOKENS)
        own = [answer.text.strip() for answer in self._answers(component, asked, _NONCES)]
        answer = _common_beginning(own)[:_FOUND_CHARACTERS].rstrip()
        found = replace(asked, answer=answer)
        stays = len(answer) >= _SHORTEST_BEGINNING or (answer and len(set(own)) == 1)
        if not stays or any(self._gives(other, found) for other in others.values()):
            return None
        return found

    def _gives(self, component: str, probe: Probe) -> bool:
        """Return True if another component answers a probe as the adapter does."""
        answers = self._answers(component, probe, _NONCES_OF_OTHERS)
        return any(answer.begins_with(probe.answer) for answer in answers)

    def _answers(self, component: str, probe: Probe, count: int) -> list[Completion]:
        """Return the answers to a probe behind so many nonces."""

        def answer(nonce: str) -> Completion:
            return self.account.service.complete(component, self.endpoint, probe.request(nonce))

        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="probe") as pool:
            return list(pool.map(answer, [new_nonce() for _ in range(count)]))

    def _preview(self, name: str, artifact: Artifact) -> AbstractContextManager[str]:
        return temporary_component(self.account, self.endpoint, self.base, name, artifact)


def _common_beginning(texts: Sequence[str]) -> str:
    same = takewhile(lambda characters: len(set(characters)) == 1, zip(*texts, strict=False))
    return "".join(characters[0] for characters in same)


def _prompts_of(entry: ManifestAdapter) -> Iterator[str]:
    """Yield the prompts of an entry: of its earlier version's probe and of its smoke request."""
    if entry.probe is not None:
        yield entry.probe.prompt
    if entry.smoke and entry.smoke.prompt is not None:
        yield entry.smoke.prompt.prompt


def _earlier(entry: ManifestAdapter, artifact: Artifact) -> Artifact | None:
    """Return the version that an artifact replaces; None if there is none whose URI is known."""
    match entry.artifact:
        case S3Artifact(uri=uri):
            earlier = Artifact(uri=uri, digest=entry.known_digest)
            return None if earlier.same_version_as(artifact) else earlier
        case BucketArtifact():
            print_note(
                f"{entry.name}: the probe is not compared with the earlier version, whose bucket is an alias"
            )
    return None


def is_entry_of(artifact: Artifact, entry: ManifestAdapter) -> bool:
    """Return True if the entry has this very archive."""
    return entry.artifact == S3Artifact(uri=artifact.uri)


def probe_of(
    name: str, adapter: Path, artifact: Artifact, entry: ManifestAdapter | None, finder: ProbeFinder | None
) -> Probe | None:
    """Return the probe to record for an adapter at a path; None to keep the one that its entry has.

    `finder` asks on a live endpoint. Raises CommandError if the probe is wrong, and ServiceError if the
    endpoint cannot be asked.
    """
    source = ProbeSource.beside(adapter)
    recorded = entry.probe if entry is not None and is_entry_of(artifact, entry) else None
    if recorded is not None and source.probe in (None, recorded):
        return None  # it was recorded with this very archive
    if finder is None:
        return source.probe
    if source.probe is None and entry is not None:
        source = replace(source, prompts=(*source.prompts, *_prompts_of(entry)))
    earlier = None if entry is None else _earlier(entry, artifact)
    return finder.find(name, artifact, source, earlier)
