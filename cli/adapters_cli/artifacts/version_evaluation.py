"""Evaluating a version before anybody serves it: on a temporary component, beside its base model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from adapter_fleet.common.counts import counted
from adapter_fleet.evaluation.requirement import Requirement
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.artifacts.temporary_component import temporary_component
from adapters_cli.aws.account import Account
from adapters_cli.aws.archive_content import archive_content
from adapters_cli.aws.engine_name import engine_name
from adapters_cli.aws.generation import Generation, GenerationRequest
from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
from adapters_cli.evaluation.answer_log import AnswerLog
from adapters_cli.evaluation.dataset import Dataset
from adapters_cli.evaluation.evaluation import EvaluationPlan, evaluate
from adapters_cli.evaluation.metrics.metric import Metric
from adapters_cli.evaluation.result import Decoding, EvaluationResult, Subject, base_name
from adapters_cli.output.errors import CommandError
from adapters_cli.output.progress_bars import AnswerBar


@dataclass(frozen=True, kw_only=True)
class VersionEvaluator:
    """Evaluates versions over one dataset, one after the other, on one base component.

    base_model:
        The base model's name; None where it is unknown.
    log:
        Keeps every answer. The base model is asked once for all versions.
    """

    account: Account
    endpoint: str
    base: str
    base_model: str | None = None
    dataset: Dataset
    metrics: Sequence[Metric]
    decoding: Decoding
    log: AnswerLog
    requirements: Sequence[Requirement] = ()
    seed: int = 0
    jobs: int = 8

    @property
    def base_name(self) -> str:
        """The base model's name as records have it: its component's where its own is unknown."""
        return self.base_model or self.base

    def evaluate(self, name: str, artifact: Artifact, *, served_by: str | None = None) -> EvaluationResult:
        """Ask a version and the base model, and return the result.

        The version runs on a temporary component, unless a component serves it already. Answers that the log
        has of this very version are not asked again. Raises CommandError if answers are errors, or if the
        version does not come into service.
        """
        # The temporary component has another name in each run, and the log has to know the version.
        subject = Subject(
            name=name, component=f"{name}@{artifact.version}", artifact=artifact.uri, identity=artifact.digest
        )
        versions = {
            self.base: self._base_version,
            subject.component: f"{archive_content(self.account, artifact)} on {self._base_version}",
        }
        plan = replace(self._plan(subject, versions), engine=self._engine)
        if served_by is not None:
            return self._evaluated(plan, {subject.component: served_by})
        if self.log.unanswered(plan.questions()):
            with temporary_component(self.account, self.endpoint, self.base, name, artifact) as component:
                return self._evaluated(plan, {subject.component: component})
        return self._evaluated(plan, {})

    def _evaluated(self, plan: EvaluationPlan, routes: dict[str, str]) -> EvaluationResult:
        endpoint = RuntimeEndpoint.connect(self.endpoint, self.account, connections=self.jobs)

        def ask(component: str, request: GenerationRequest) -> Generation:
            return endpoint.generate(routes.get(component, component), request)

        with AnswerBar() as bar:
            found = evaluate(
                plan,
                self.log,
                ask,
                jobs=self.jobs,
                watching=bar.watching,
                now=self.account.now(),
                note=bar.note,
            )
        if found.errors:
            first = next(
                answer.error
                for item in found.result.items
                for answer in item.answers.values()
                if answer.error is not None
            )
            count = counted(found.errors, "answer")
            raise CommandError(f"{count} of its evaluation failed, such as: {first}")
        return found.result

    def _plan(self, subject: Subject, versions: dict[str, str]) -> EvaluationPlan:
        return EvaluationPlan(
            endpoint=self.endpoint,
            baseline=Subject(name=base_name([subject.name]), component=self.base),
            subjects=[subject],
            versions=versions,
            dataset=self.dataset,
            decoding=self.decoding,
            metrics=self.metrics,
            requirements=self.requirements,
            seed=self.seed,
        )

    @cached_property
    def _base_version(self) -> str:
        described = self.account.service.describe_base(self.base)
        return f"{described.version} of {described.live.created}"

    @cached_property
    def _engine(self) -> str | None:
        return engine_name(self.account, self.endpoint, self.base)
