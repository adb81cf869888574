"""Finding what an evaluation compares: adapters by name beside their base model, or two versions of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapter_fleet.common.naming import did_you_mean, digest_in_key
from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.aws.account import Account
from adapters_cli.evaluation.result import Subject, base_name
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.base_component import BasePlace
from adapters_cli.fleets.fleet_lookup import Fleet, newest_generation
from adapters_cli.fleets.named_components import find_components, live_component
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError


@dataclass(frozen=True, kw_only=True)
class FoundSubjects:
    """Components of one endpoint that are compared.

    base:
        The component of their base model.
    versions:
        What each component serves, by component: identities, or what else changes with them.
    against:
        Name of the subject that the other one is compared with.
    absent:
        Artifacts that no component serves, by component. They need temporary components, in whose place
        these names stand: they are the same in each run.
    fleet:
        The fleet that has the subjects; None for components of an endpoint.
    base_model:
        The name of the base model; None where it is unknown.
    """

    endpoint: str
    base: str
    baseline: Subject
    subjects: Sequence[Subject]
    versions: Mapping[str, str]
    against: str | None = None
    absent: Mapping[str, Artifact] = field(default_factory=dict)
    fleet: Fleet | None = None
    base_model: str | None = None

    def changed(self, account: Account) -> list[str]:
        """Describe the components once more; return the names of those that serve something else by now."""
        everyone = (self.baseline, *self.subjects)
        live = [subject for subject in everyone if subject.component not in self.absent]
        now = _versions(account, self.base, live)
        return [
            subject.name for subject in live if now[subject.component] != self.versions[subject.component]
        ]


def find_subjects(
    account: Account,
    names: Sequence[str],
    components: Sequence[str],
    *,
    against: str | None = None,
) -> FoundSubjects:
    """Return adapters and components beside their base model, and with the only one what it is compared with.

    `against` is a version, an archive in S3, an adapter or a component. Raises CommandError for names that do
    not exist, or that cannot be compared, and UsageError if nothing is named.
    """
    asked = find_components(account, names, components, base=None)
    if against is not None and len(asked.names) != 1:
        raise UsageError(f"--against is for one adapter, got {len(asked.names)}")
    lookup = _SubjectLookup(account, asked.fleet)
    subjects = [lookup.subject(component, name, asked.endpoint) for component, name in asked.names.items()]
    bases = {lookup.base_of(subject) for subject in subjects}
    if len(bases) > 1:
        raise CommandError(f"the adapters should have one base component, got {', '.join(sorted(bases))}")
    [base] = bases
    if len({subject.name for subject in subjects}) < len(subjects):
        raise UsageError("the adapters should have different names: reports tell them apart by these")
    base_model = None if asked.place is None else asked.place.base_model
    place = BasePlace(endpoint=asked.endpoint, base=base, base_model=base_model)
    return _found(account, place, subjects, {}, lookup, against=against)


def find_unpublished(
    account: Account,
    name: str,
    artifact: Artifact,
    place: BasePlace,
    *,
    against: str | None,
    fleet: Fleet | None,
) -> FoundSubjects:
    """Return an adapter that no component serves beside a base model, and what it is compared with."""
    subject, absent = _unserved(name, artifact)
    return _found(account, place, [subject], absent, _SubjectLookup(account, fleet), against=against)


def _found(
    account: Account,
    place: BasePlace,
    subjects: Sequence[Subject],
    absent: Mapping[str, Artifact],
    lookup: "_SubjectLookup",
    *,
    against: str | None,
) -> FoundSubjects:
    """Return subjects with the base model and `against`, and with the versions of all."""
    baseline = Subject(name=base_name([subject.name for subject in subjects]), component=place.base)
    other = None
    if against is not None:
        other, more = lookup.other(subjects[0], against, place.base, place.endpoint)
        subjects, absent = [*subjects, other], {**absent, **more}
    live = [subject for subject in (baseline, *subjects) if subject.component not in absent]
    versions = _versions(account, place.base, live)
    for component, artifact in absent.items():
        versions[component] = f"{_content(account, artifact)} on {versions[place.base]}"
    return FoundSubjects(
        endpoint=place.endpoint,
        base=place.base,
        baseline=baseline,
        subjects=subjects,
        versions=versions,
        against=None if other is None else other.name,
        absent=absent,
        fleet=lookup.fleet,
        base_model=place.base_model,
    )


def _unserved(name: str, artifact: Artifact) -> tuple[Subject, dict[str, Artifact]]:
    """Return the subject of a version that no component serves, and its artifact by component."""
    named = f"{name}@{artifact.version}"
    subject = Subject(name=named, component=named, artifact=artifact.uri, identity=artifact.digest)
    return subject, {named: artifact}


class _SubjectLookup:
    """Describes components, and finds what a fleet knows of them."""

    def __init__(self, account: Account, fleet: Fleet | None) -> None:
        self._account, self._service, self.fleet = account, account.service, fleet
        self._lookup = None if fleet is None else AdapterLookup(fleet, newest_generation(fleet))
        self._lives: dict[str, ObservedComponent] = {}

    def subject(self, component: str, name: str, endpoint: str) -> Subject:
        """Return a component with the artifact that it serves. Raises CommandError if it cannot be asked."""
        live = live_component(self._account, endpoint, component)
        if live.status is not Status.IN_SERVICE:
            raise CommandError(f"{name} is not in service: {live.status}")
        self._lives[component] = live
        return Subject(
            name=name,
            component=component,
            artifact=live.artifact_uri,
            identity=self._identity(component, live.artifact_uri),
        )

    def base_of(self, subject: Subject) -> str:
        """Return the base component of an adapter. Raises CommandError for a base component."""
        base = self._lives[subject.component].base
        if base is None:
            raise CommandError(f"{subject.component} is no adapter: it is compared as its adapters' base")
        return base

    def other(
        self, subject: Subject, against: str, base: str, endpoint: str
    ) -> tuple[Subject, dict[str, Artifact]]:
        """Return the subject that `against` means, and its artifact by component if none serves it."""
        artifact = self._version(subject, against)
        adapter = self._adapter_of(subject)
        if artifact is None:
            component, name = self._component(subject, against)
            if component == base:
                raise UsageError("'--against' should be no base model: it is asked in any case")
            return self._on_base(component, name, base, endpoint), {}
        if artifact.same_version_as(Artifact(uri=subject.artifact or "", digest=subject.identity)):
            raise CommandError(f"{subject.name} serves version {artifact.version} itself")
        serving = None if self._lookup is None else self._lookup.component_with(adapter, artifact)
        if serving not in (None, subject.component) and self._serves(serving, artifact):
            return self._on_base(serving, f"{adapter}@{artifact.version}", base, endpoint), {}
        return _unserved(adapter, artifact)

    def _on_base(self, component: str, name: str, base: str, endpoint: str) -> Subject:
        """Return a component as a subject. Raises CommandError if it is on another base component."""
        other = self.subject(component, name, endpoint)
        if (their_base := self.base_of(other)) != base:
            raise CommandError(f"{name} should be on the base component {base}, got {their_base}")
        return other

    def _serves(self, component: str, artifact: Artifact) -> bool:
        live = self._service.describe(component)
        return live is not None and live.status is Status.IN_SERVICE and live.artifact_uri == artifact.uri

    def _adapter_of(self, subject: Subject) -> str:
        """Return the name of the adapter that a subject is a version of."""
        known = None if self._lookup is None else self._lookup.adapter_of(subject.component)
        return known or subject.name.partition("@")[0]

    def _version(self, subject: Subject, against: str) -> Artifact | None:
        """Return the version of an adapter that `against` names; None if it names none."""
        if against.startswith(SCHEME):
            return Artifact(uri=against, digest=digest_in_key(against))
        if self._lookup is None:
            return None
        adapter = self._adapter_of(subject)
        return self._lookup.find_version(adapter, against.removeprefix(f"{adapter}@"))

    def _component(self, subject: Subject, against: str) -> tuple[str, str]:
        """Return the component that `against` names, and its name for people."""
        component, name = self._of_fleet(against) or (against, against)
        if component == subject.component:
            raise UsageError(f"'--against' should be another version or component, got {against!r}")
        if self._service.describe(component) is not None:
            return component, name
        lookup, adapter, known, hint = self._lookup, self._adapter_of(subject), "", ""
        if lookup is not None:
            known = f" ({', '.join(each.version for each in lookup.versions(adapter))})"
            hint = did_you_mean(against, lookup.known)
        raise CommandError(
            f"'--against' should be a version of {adapter}{known}, an archive in S3, an adapter or a"
            f" component, got {against!r}{hint}"
        )

    def _of_fleet(self, name: str) -> tuple[str, str] | None:
        """Return the component and the name of an adapter of the fleet; None if it has none of this name."""
        if self._lookup is None:
            return None
        try:
            found = self._lookup.find([name])
        except NoAnswerError:
            raise
        except CommandError:
            return None
        return next(iter(found.items()))

    def _identity(self, component: str, uri: str | None) -> str | None:
        if uri is None:
            return None
        record = self.fleet.registry.records.find(component) if self.fleet is not None else None
        serving = record.serving if record is not None else None
        known = serving.digest if serving is not None and serving.uri == uri else None
        return known or digest_in_key(uri)


def _versions(account: Account, base: str, subjects: Sequence[Subject]) -> dict[str, str]:
    """Return what components serve. An adapter's answers depend on its base model, too."""
    described = account.service.describe_base(base)
    versions = {base: f"{described.version} of {described.live.created}"}
    for subject in subjects:
        if subject.component == base:
            continue
        live = account.service.describe(subject.component)
        same = live is not None and live.artifact_uri == subject.artifact
        what = subject.identity if same else None
        if what is None and live is not None:
            what = f"{live.artifact_uri} of {live.modified}"
        versions[subject.component] = f"{what} on {versions[base]}"
    return versions


def _content(account: Account, artifact: Artifact) -> str:
    """Return a text that changes with an archive's content: its digest, or else its URI and ETag."""
    if artifact.digest is not None:
        return artifact.digest
    found = account.service.find_archive(artifact.uri)
    return f"{artifact.uri} {found.etag}" if found is not None else artifact.uri
