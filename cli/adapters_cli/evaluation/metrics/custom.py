"""A metric that the user wrote: a function of a Python file."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapter_fleet.common.naming import known_or_meant
from adapters_cli.evaluation.metrics.metric import Metric, Pair, ScoreError
from adapters_cli.evaluation.result import MetricFacts


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
