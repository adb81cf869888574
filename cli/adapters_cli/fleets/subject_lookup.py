"""Finding what an evaluation compares: adapters by name beside their base model, or two versions of one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapter_fleet.common.archive_names import digest_in_key
from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.aws.account import Account
from adapters_cli.aws.archive_content import archive_content
from adapters_cli.evaluation.result import Subject, base_name
from adapters_cli.fleets.adapter_lookup import AdapterLookup, find_components, no_component
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.versions import is_named
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError


@dataclass(frozen=True, kw_only=True)
class FoundSubjects:
    """Components of one endpoint that are compared.

    base:
        The component of their base model.
    versions:
        What each component serves, by component: identities, or what else changes with them.
    absent:
        The baseline's artifact, if no component serves it. It needs a temporary component, in whose place
        the baseline's `component` stands: a name that is the same in each run.
    of_fleet:
        True if a fleet has the subjects, and False for components of an endpoint.
    """

    endpoint: str
    base: str
    baseline: Subject
    subjects: Sequence[Subject]
    versions: Mapping[str, str]
    absent: Artifact | None = None
    of_fleet: bool = False

    def changed(self, account: Account) -> list[str]:
        """Describe the components once more; return the names of those that serve something else by now."""
        live = [subject for subject in (self.baseline, *self.subjects) if self._is_live(subject)]
        now = _versions(account, self.base, live)
        return [
            subject.name for subject in live if now[subject.component] != self.versions[subject.component]
        ]

    def _is_live(self, subject: Subject) -> bool:
        return self.absent is None or subject is not self.baseline


def find_subjects(
    account: Account,
    names: Sequence[str],
    components: Sequence[str],
    *,
    against: str | None = None,
) -> FoundSubjects:
    """Return adapters and components beside their base model, or beside another version of the only one.

    `against` is a version, an archive in S3, an adapter or a component. Raises CommandError for names that do
    not exist, or that cannot be compared, and UsageError if nothing is named.
    """
    asked = find_components(account, names, components, base=None)
    if against is not None and len(asked.names) != 1:
        raise UsageError(f"--against is for one adapter, got {len(asked.names)}")
    found = None
    if asked.base is not None:
        found = find_fleet(account)
    lookup = _SubjectLookup(account, found)
    subjects = [lookup.subject(component, name, asked.endpoint) for component, name in asked.names.items()]
    bases = {lookup.base_of(subject) for subject in subjects}
    if len(bases) > 1:
        raise CommandError(f"the adapters should have one base component, got {', '.join(sorted(bases))}")
    [base] = bases
    if len({subject.name for subject in subjects}) < len(subjects):
        raise UsageError("the adapters should have different names: reports tell them apart by these")
    baseline, absent = Subject(name=base_name(asked.names.values()), component=base), None
    if against is not None:
        baseline, absent = lookup.other(subjects[0], against, base, asked.endpoint)
    live = [*subjects] if absent is not None else [baseline, *subjects]
    versions = _versions(account, base, live)
    if absent is not None:
        versions[baseline.component] = f"{archive_content(account, absent)} on {versions[base]}"
    return FoundSubjects(
        endpoint=asked.endpoint,
        base=base,
        baseline=baseline,
        subjects=subjects,
        versions=versions,
        absent=absent,
        of_fleet=found is not None,
    )


class _SubjectLookup:
    """Describes components, and finds what a fleet knows of them."""

    def __init__(self, account: Account, fleet: Fleet | None) -> None:
        self._account, self._service, self._fleet = account, account.service, fleet
        self._lives: dict[str, ObservedComponent] = {}

    def subject(self, component: str, name: str, endpoint: str) -> Subject:
        """Return a component with the artifact that it serves. Raises CommandError if it cannot be asked."""
        live = self._service.describe(component)
        if live is None or live.endpoint != endpoint:
            raise no_component(self._account, endpoint, component)
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
    ) -> tuple[Subject, Artifact | None]:
        """Return the baseline that `against` means, and its artifact if no component serves it."""
        artifact = self._version(subject, against)
        if artifact is None:
            component, name = self._component(subject, against)
            if component == base:
                return Subject(name=base_name([subject.name]), component=base), None
            other = self.subject(component, name, endpoint)
            if (their_base := self.base_of(other)) != base:
                raise CommandError(f"{name} should be on the base component {base}, got {their_base}")
            return other, None
        if artifact.same_version_as(Artifact(uri=subject.artifact or "", digest=subject.identity)):
            raise CommandError(f"{subject.name} serves version {artifact.version} itself")
        name = f"{subject.name}@{artifact.version}"
        return Subject(name=name, component=name, artifact=artifact.uri, identity=artifact.digest), artifact

    def _version(self, subject: Subject, against: str) -> Artifact | None:
        """Return the version of an adapter that `against` names; None if it names none."""
        if against.startswith(SCHEME):
            return Artifact(uri=against, digest=digest_in_key(against))
        found = [artifact for artifact in self._known(subject) if is_named(artifact, against)]
        if len(found) > 1:
            raise CommandError(f"'--against {against}' names several versions of '{subject.name}'")
        return found[0] if found else None

    def _known(self, subject: Subject) -> Sequence[Artifact]:
        """Return the versions that a fleet knows of an adapter."""
        record = self._fleet.registry.record(subject.component) if self._fleet is not None else None
        return () if record is None else record.versions

    def _component(self, subject: Subject, against: str) -> tuple[str, str]:
        """Return the component that `against` names, and its name for people."""
        component, name = self._of_fleet(against) or (against, against)
        if component == subject.component:
            raise UsageError(f"'--against' should be another version or component, got {against!r}")
        if self._service.describe(component) is not None:
            return component, name
        known = ", ".join(artifact.version for artifact in self._known(subject))
        raise CommandError(
            f"'--against' should be a version of {subject.name}{known and f' ({known})'}, an archive in S3,"
            f" an adapter or a component, got {against!r}{did_you_mean(against, self._names())}"
        )

    def _names(self) -> Iterable[str]:
        """Return the names of the fleet's adapters and of their components; none without a fleet."""
        return () if self._fleet is None else AdapterLookup(self._fleet, newest_generation(self._fleet)).known

    def _of_fleet(self, name: str) -> tuple[str, str] | None:
        """Return the component and the name of an adapter of the fleet; None if it has none of this name."""
        if self._fleet is None:
            return None
        try:
            found = AdapterLookup(self._fleet, newest_generation(self._fleet)).find([name])
        except NoAnswerError:
            raise
        except CommandError:
            return None
        return next(iter(found.items()))

    def _identity(self, component: str, uri: str | None) -> str | None:
        if uri is None:
            return None
        record = self._fleet.registry.record(component) if self._fleet is not None else None
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
