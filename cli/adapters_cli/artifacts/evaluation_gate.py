"""The gate of `adapters publish`: whether a version may be named in a manifest, by its evaluation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from adapter_fleet.common.naming import is_same_model
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.artifacts.evaluation_store import EvaluationStore
from adapters_cli.artifacts.last_evaluation import last_evaluation
from adapters_cli.artifacts.version_evaluation import VersionEvaluator
from adapters_cli.evaluation.no_worse import check_same_questions, no_worse_than
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.stored_evaluation import StoredEvaluation
from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import print_note


@dataclass(frozen=True, kw_only=True)
class EvaluationGate:
    """Evaluates versions, stores the results, and holds them against requirements and the last version.

    no_worse_than_last:
        True if a version may not be worse than the one before it.
    report:
        Called with each adapter's name and result.
    """

    evaluator: VersionEvaluator
    store: EvaluationStore
    no_worse_than_last: bool = False
    report: Callable[[str, EvaluationResult], None] = lambda _name, _result: None

    def admit(
        self,
        name: str,
        artifact: Artifact,
        last: Artifact | None = None,
        recorded: EvaluationRecord | None = None,
    ) -> EvaluationRecord:
        """Evaluate a version and return the record for a manifest.

        `last` is the version that the manifest names now, and `recorded` its evaluation there. Raises
        CommandError with the figures if the version does not pass: its result is stored all the same.
        """
        if artifact.digest is None:
            raise CommandError(f"{artifact.uri} should have a digest, by which its results are found")
        is_new = not artifact.same_version_as(last)
        if not is_new and recorded is not None and self._covers(recorded):
            self._judge(name, recorded)
            return recorded
        before = None
        if self.no_worse_than_last and last is not None and is_new:
            # Before the questions are asked, as it may be missing.
            dataset = self.evaluator.dataset.facts
            before = last_evaluation(self.store, name, last, dataset, recorded).evaluation
            metrics = [metric.facts for metric in self.evaluator.metrics]
            check_same_questions(before, dataset, self.evaluator.decoding, metrics)
        result = self.evaluator.evaluate(name, artifact)
        outcomes = list(result.requirements)
        stored = StoredEvaluation.of(result, name)
        if before is not None:
            outcomes += no_worse_than(before, stored, subject=name)
        elif self.no_worse_than_last and last is None:
            print_note(f"{name}: there is no version before this one, so it is no worse than any")
        result = replace(result, requirements=tuple(outcomes))
        stored = replace(stored, requirements=tuple(outcomes))
        self.report(name, result)
        uri = self.store.write(artifact.uri, artifact.digest, stored).uri
        if missed := [outcome.reason for outcome in outcomes if not outcome.met]:
            raise CommandError("\n".join([*missed, f"its result is {uri}"]))
        return stored.record(uri, base=self.evaluator.base_name)

    def _covers(self, recorded: EvaluationRecord) -> bool:
        """Return True if a record answers the question: then the version is not asked again."""
        if recorded.base is None or recorded.decoding is None:
            return False
        evaluator = self.evaluator
        asked = {requirement.metric for requirement in evaluator.requirements}
        return (
            is_same_model(recorded.base, evaluator.base_name)
            and recorded.decoding == evaluator.decoding.text
            and recorded.dataset == evaluator.dataset.facts.digest
            and asked <= recorded.figures.keys()
        )

    def _judge(self, name: str, recorded: EvaluationRecord) -> None:
        outcomes = [one.judge(recorded.means, subject=name) for one in self.evaluator.requirements]
        if missed := [reason for met, reason in outcomes if not met]:
            raise CommandError("\n".join([*missed, f"its result is {recorded.result}"]))
