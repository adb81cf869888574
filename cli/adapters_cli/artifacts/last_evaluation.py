"""The last stored result of an adapter: that of the version which a fleet has now."""

from adapter_fleet.common.counts import counted
from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.artifacts.evaluation_store import EvaluationStore
from adapters_cli.evaluation.result import DatasetFacts, EvaluationResult
from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import few


def last_evaluation(
    store: EvaluationStore, name: str, artifact: Artifact, dataset: DatasetFacts
) -> EvaluationResult:
    """Return the newest stored result of a version over a dataset.

    Raises CommandError if there is none: it says over which datasets there are results, and how to make one.
    """
    if artifact.digest is None or not artifact.uri.startswith(SCHEME):
        unknown = "digest" if artifact.digest is None else "bucket"
        raise CommandError(
            f"{name}: the {unknown} of its last version, {artifact.uri}, is not known here, and so no result"
            " of it over this dataset"
        )
    found = store.newest(artifact.uri, artifact.digest, dataset=dataset.digest)
    if found is not None:
        return found
    others = store.uris(artifact.uri, artifact.digest)
    has = f"it has {few([uri.rpartition('/')[2] for uri in others])}" if others else "it has none"
    raise CommandError(
        f"{name}: its last version, {artifact.version}, should have a stored result over this dataset"
        f" (sha256:{dataset.digest[:12]}, {counted(dataset.items, 'item')} of {dataset.source}), and {has};"
        f" while the fleet serves that version, run 'adapters evaluate {name}' with the same options, and"
        " --store in place of --no-worse-than last"
    )
