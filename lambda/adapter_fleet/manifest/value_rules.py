"""The rules on the adapters of a manifest. `manifest.manifest` has the table of all rules."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from adapter_fleet.common.bounded_text import short_repr, without_query
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import (
    ARCHIVE_SUFFIX,
    DIGEST,
    FLEET_TAG,
    check_component_name,
    version_component,
    without_version,
)
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key, problem_of_bucket
from adapter_fleet.documents.schema import Keys, dotted
from adapter_fleet.evaluation import EvaluationBar, problems_of_record
from adapter_fleet.manifest.desired import Probe
from adapter_fleet.manifest.manifest_adapter import (
    AdapterSettings,
    ArtifactReference,
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    S3Artifact,
    named_digest,
    problems_of_smoke,
)

MAX_COMPONENT_TAGS = 50
"""TagList in the botocore service model of SageMaker."""

MAX_PROMPT_CHARACTERS = 2000
MAX_ANSWER_CHARACTERS = 200
MAX_ADAPTER_BYTES = 32_000
"""JSON bytes of an adapter with its defaults. A record has at most seven of its versions, in 400 KB."""

_MAX_URI_LENGTH = 1024
"""Url in the botocore service model of SageMaker."""
_MAX_KEY_BYTES = 1024
"""Keys of S3, in UTF-8."""
_CHECKSUM = re.compile(rf"sha256:{DIGEST.pattern}(-[1-9][0-9]{{0,4}})?")
# TagKey and TagValue in the botocore service model of SageMaker: [\p{L}\p{Z}\p{N}_.:/=+\-@]
_PLAIN_TAG = re.compile(r"[A-Za-z0-9 _.:/=+\-@]*")
_MAX_TAG_KEY_LENGTH = 128
_MAX_TAG_VALUE_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that an adapter breaks, and the keys in its entry that lead to the value that breaks it."""

    rule: str
    keys: Keys
    message: str

    def finding(self, adapter: ManifestAdapter) -> Finding:
        """Return it as an error of the adapter."""
        return Finding.error(self.rule, adapter.where, self.text(adapter))

    def text(self, adapter: ManifestAdapter) -> str:
        """Return the message of its finding."""
        return adapter_message(repr(adapter.name or "?"), self.keys, self.message)


def adapter_message(adapter: str, keys: Keys, message: str) -> str:
    """Return a message that begins with the adapter it is about."""
    return ": ".join(filter(None, (f"adapter {without_query(adapter):.80}", dotted(keys), message)))


def violations(adapter: ManifestAdapter) -> Iterator[Violation]:
    """Apply all rules that concern one adapter alone."""
    yield from _of_name(adapter.name, "name", "adapter-name")
    if adapter.component is not None:
        yield from _of_name(adapter.component, "component", "component-name")
    if problem := _problem_of_artifact(adapter.artifact):
        yield Violation("artifact-form", ("artifact",), problem)
    yield from _of_digest(adapter.artifact, adapter.digest)
    yield from _of_checksum(adapter.artifact, adapter.checksum)
    yield from violations_of_settings(adapter)
    if adapter.probe is not None:
        for key, problem in problems_of_probe(adapter.probe):
            yield Violation("probe-form", ("probe", key), problem)
    yield from _of_evaluation(adapter)
    if adapter.percent is not None and not 1 <= adapter.percent <= 100:
        yield Violation("percent-share", ("percent",), f"should be from 1 to 100, got {adapter.percent}")


def violations_of_settings(settings: AdapterSettings) -> Iterator[Violation]:
    """Apply the rules on what both an adapter and the defaults may set."""
    rank, tags = settings.rank, settings.tags
    if rank is not None and rank <= 0:
        yield Violation("rank-positive", ("rank",), f"should be above 0, got {rank}")
    for key, value in tags.items():
        if problem := problem_of_tag(key, value):
            yield Violation("tag-form", ("tags", key), problem)
    if settings.smoke:
        for key, problem in problems_of_smoke(settings.smoke):
            yield Violation("smoke-request", ("smoke", key), problem)


def violations_in_fleet(
    adapter: ManifestAdapter,
    prefix: str,
    max_lora_rank: int | None,
    earlier: dict[str, ManifestAdapter],
    fleet_tags: Mapping[str, str],
    *,
    releases: bool = False,
) -> Iterator[Violation]:
    """Apply the rules that need the fleet; `earlier` are the adapters before this one, by component."""
    if problem := problem_of_tag_count(adapter.tags, fleet_tags):
        yield Violation("tag-count", ("tags",), problem)
    if max_lora_rank is not None and adapter.rank is not None and adapter.rank > max_lora_rank:
        message = f"should be at most {max_lora_rank} ('max_lora_rank'), got {adapter.rank}"
        yield Violation("lora-rank", ("rank",), message)
    if adapter.percent is not None and not releases:
        yield Violation("percent-share", ("percent",), "is for fleets with 'releases' only")
    try:
        component = adapter.component_name(prefix)
        if releases:
            check_component_name(version_component(component, "0" * 64), what="component_name of a version")
    except ValueError as error:
        yield Violation("component-name", (), str(error))
        return
    other = earlier.setdefault(component.casefold(), adapter)
    if other is not adapter:
        yield Violation("component-unique", ("component",), _used_twice(component, other))


def violations_of_versions(
    components: Mapping[str, ManifestAdapter],
) -> Iterator[tuple[ManifestAdapter, Violation]]:
    """Find the adapters whose component may be that of another one's version, in a fleet with releases.

    components:
        The adapters by component, in lower case.
    """
    for component, adapter in components.items():
        other = components.get(without_version(component), adapter)
        if other is not adapter:
            message = (
                f"should be no name that a version of {_whose(other)} may get, which is the name of its"
                f" component and 8 digits of the version's digest, got {short_repr(component)}"
            )
            yield adapter, Violation("component-version", ("component",), message)


def violation_of_unique_name(
    adapter: ManifestAdapter, earlier: dict[str, ManifestAdapter]
) -> Iterator[Violation]:
    """Apply the rule that no two names are the same; `earlier` are the adapters before this one, by name."""
    other = earlier.setdefault(adapter.name.casefold(), adapter)
    if other is not adapter and adapter.name:
        yield Violation("adapter-unique", ("name",), _used_twice(adapter.name, other))


def shared_probes(adapters: Iterable[ManifestAdapter]) -> Iterator[tuple[ManifestAdapter, Violation]]:
    """Find the adapters whose probe another version answers as well: a swap of the two would go unseen.

    Each is compared with the one whose answer begins its own, so that a shared probe is one finding for each
    adapter and not for each pair.
    """
    probed = [
        (adapter.probe.prompt, adapter.probe.answer.lstrip(), adapter)
        for adapter in adapters
        if adapter.probe
    ]
    shortest: tuple[str, str, ManifestAdapter] | None = None
    # Texts that begin alike follow the text that begins them.
    for prompt, answer, adapter in sorted(probed, key=lambda probe: probe[:2]):
        if shortest is None or shortest[0] != prompt or not answer.startswith(shortest[1]):
            shortest = prompt, answer, adapter
            continue
        other = shortest[2]
        if adapter.known_digest is None or adapter.known_digest != other.known_digest:
            message = (
                f"should have an answer that no other adapter gives, and {_whose(other)} may give it, got"
            )
            yield adapter, Violation("probe-shared", ("probe", "answer"), f"{message} {short_repr(answer)}")


def unevaluated(
    adapters: Iterable[ManifestAdapter], bar: EvaluationBar, is_known: Callable[[str, str], bool]
) -> Iterator[tuple[ManifestAdapter, Violation]]:
    """Find the versions whose evaluation does not reach a bar, but for exempt adapters and known versions.

    `is_known` is called with an adapter's name and a version's digest.
    """
    for adapter in adapters:
        problems = list(bar.problems(adapter.evaluation, adapter=adapter.name))
        digest = adapter.known_digest
        if not problems or bar.is_exempt(adapter.name) or (digest and is_known(adapter.name, digest)):
            continue
        for key, problem in problems:
            yield adapter, Violation("evaluation-required", ("evaluation", *filter(None, [key])), problem)


def _used_twice(value: str, other: ManifestAdapter) -> str:
    return f"should be its own, whatever the case, and {_whose(other)} has it, got {short_repr(value)}"


def _whose(other: ManifestAdapter) -> str:
    return f"adapter {other.name or '?'!r:.80}" + (f" in {other.where}" if other.where else "")


def _of_name(name: str, key: str, rule: str) -> Iterator[Violation]:
    try:
        check_component_name(name, what=key)
    except ValueError as error:
        yield Violation(rule, (key,), f"{without_query(str(error)):.300}".removeprefix(f"'{key}' "))


def _problem_of_artifact(artifact: ArtifactReference) -> str | None:
    match artifact:
        case S3Artifact(uri=uri):
            return _problem_of_uri(uri)
        case BucketArtifact(bucket=alias, key=key):
            return _problem_of_key(key) if alias else "should have a 'bucket' that is not empty"
        case AssetArtifact(identity=identity):
            if not DIGEST.fullmatch(identity):
                return f"should be 'asset:' and 64 hexadecimal digits, got {short_repr(identity)}"
        case LocalArtifact(path=path):
            if not str(path).isprintable():
                return f"should be a path of printable characters, got {short_repr(str(path))}"
    return None


def _problem_of_uri(uri: str) -> str | None:
    bucket, key = bucket_and_key(uri)
    if not uri.startswith(f"{SCHEME}{bucket}/"):
        return f"should be 's3://<bucket>/<key>', got {short_repr(uri)}"
    if (problem := problem_of_bucket(bucket)) is not None:
        return problem
    if len(uri) > _MAX_URI_LENGTH:
        return f"should have at most {_MAX_URI_LENGTH} characters, got {len(uri)}"
    return _problem_of_key(key)


def _problem_of_key(key: str) -> str | None:
    if not key.endswith(ARCHIVE_SUFFIX) or key.rpartition("/")[2] == ARCHIVE_SUFFIX:
        return f"should be the key of an archive, '….tar.gz', got {short_repr(key)}"
    if not key.isprintable():
        return f"should be a key of printable characters, got {short_repr(key)}"
    if (size := len(key.encode())) > _MAX_KEY_BYTES:
        return f"should have a key of at most {_MAX_KEY_BYTES} bytes, got {size}"
    return None


def _of_digest(artifact: ArtifactReference, digest: str | None) -> Iterator[Violation]:
    named = named_digest(artifact)
    if digest is not None and not DIGEST.fullmatch(digest):
        yield Violation(
            "digest-form", ("digest",), f"should be 64 hexadecimal digits, got {short_repr(digest)}"
        )
    elif digest is not None and named is not None and digest != named:
        message = f"should be sha256:{named}, as the archive is named, got sha256:{digest}"
        yield Violation("digest-agrees", ("digest",), message)
    elif digest is None and named is None and not isinstance(artifact, LocalArtifact):
        message = (
            "should be given, as the key has none in its name ('sha256-<64 hex>.tar.gz'), got nothing;"
            " `adapters publish` writes it"
        )
        yield Violation("digest-required", ("digest",), message)


def _of_checksum(artifact: ArtifactReference, checksum: str | None) -> Iterator[Violation]:
    if checksum is None:
        return
    if not _CHECKSUM.fullmatch(checksum):
        message = (
            "should be S3's SHA-256 of the archive: 'sha256:' and 64 hexadecimal digits, and '-<parts>' if it"
            f" was uploaded in parts, got {short_repr(checksum)}"
        )
        yield Violation("checksum-form", ("checksum",), message)
    elif isinstance(artifact, LocalArtifact | AssetArtifact):
        yield Violation("checksum-form", ("checksum",), "is for an archive in S3, got a path or an asset")


def _of_evaluation(adapter: ManifestAdapter) -> Iterator[Violation]:
    evaluation = adapter.evaluation
    if evaluation is None:
        return
    problems = list(problems_of_record(evaluation))
    for key, problem in problems:
        yield Violation("evaluation-form", ("evaluation", key), problem)
    known = adapter.known_digest
    if not problems and known is not None and evaluation.identity != known:
        message = f"should be of this version, sha256:{known}, got one of sha256:{evaluation.identity}"
        yield Violation("evaluation-agrees", ("evaluation", "result"), message)


def problem_of_tag(key: str, value: str) -> str | None:
    """Return what is wrong with one tag of a component, the adapter's own or its fleet's; None if nothing."""
    if not 0 < len(key) <= _MAX_TAG_KEY_LENGTH:
        return f"a key should have 1 to {_MAX_TAG_KEY_LENGTH} characters, got {len(key)}"
    if len(value) > _MAX_TAG_VALUE_LENGTH:
        return f"should have at most {_MAX_TAG_VALUE_LENGTH} characters, got {len(value)}"
    # IAM ignores the case of tag keys.
    if key.casefold() == FLEET_TAG:
        return f"{FLEET_TAG!r} is the tag by which the fleet knows its own"
    if key.casefold().startswith("aws:"):
        return "keys that begin with 'aws:' are AWS's own"
    for text in (key, value):
        if not _PLAIN_TAG.fullmatch(text) and not all(map(_may_be_in_tag, text)):
            return f"should be letters, digits, spaces and _.:/=+-@, got {short_repr(text)}"
    return None


def _may_be_in_tag(character: str) -> bool:
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"


def problem_of_tag_count(tags: Mapping[str, str], fleet_tags: Mapping[str, str]) -> str | None:
    """Return what is wrong with the number of tags of a component, the fleet's included; None if nothing."""
    count = len({*tags, *fleet_tags, FLEET_TAG})
    if count <= MAX_COMPONENT_TAGS:
        return None
    return (
        f"should be at most {MAX_COMPONENT_TAGS} with the {len(fleet_tags)} of the fleet and {FLEET_TAG!r},"
        f" got {count}"
    )


def problems_of_probe(probe: Probe) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a probe: the key, and the problem of its value."""
    for key, text, most in (
        ("prompt", probe.prompt, MAX_PROMPT_CHARACTERS),
        ("answer", probe.answer, MAX_ANSWER_CHARACTERS),
    ):
        if not text.strip():
            yield key, f"should not be empty, got {short_repr(text)}"
        elif len(text) > most:
            yield key, f"should have at most {most} characters, got {len(text)}"
    if probe.max_tokens is not None and probe.max_tokens <= 0:
        yield "max_tokens", f"should be above 0, got {probe.max_tokens}"
