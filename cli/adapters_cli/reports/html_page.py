"""An evaluation as one HTML file that asks no host for anything."""

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.differences import differences
from adapters_cli.evaluation.result import EvaluationResult, MetricFacts, Subject
from adapters_cli.reports import figures, pictures, verdict
from adapters_cli.reports.item_ranking import gain, lowest_gain, worst_first
from adapters_cli.reports.markup import clean

_MOST_ITEMS = 500
"""Items of a page: more make it slow to open. `result.json` has all."""

_LONGEST = 4_000
"""Characters that the page shows of a text."""


def html_page(result: EvaluationResult) -> str:
    """Return the report of an evaluation."""
    style, script = (
        resources.files("adapters_cli.reports").joinpath(name).read_text("utf-8")
        for name in ("page.css", "page.js")
    )
    # Whatever is no markup is escaped, and only the page's own style and script may act.
    page = _template().render(
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
        result=result,
        names=[result.baseline.name, *(subject.name for subject in result.subjects)],
        items=worst_first(result, result.subjects)[:_MOST_ITEMS],
        places={item.id: place for place, item in enumerate(result.items)},
        has_texts=any(item.prompt or item.reference for item in result.items),
        axis=pictures.gain_axis(result.comparisons, result.metrics),
        metrics=verdict.metrics_by_name(result),
        scores=lambda subject, metric: _scores(result, subject, metric),
        item_gain=lambda item: lowest_gain(result, item, result.subjects),
        gain_of=lambda item, name: gain(item, name, result.baseline.name, result.metrics),
    )
    return str(page)


def _scores(result: EvaluationResult, subject: Subject, metric: MetricFacts) -> tuple[list[float], ...]:
    """Return the scores of baseline and subject on the items that both have."""
    pairs = [
        (theirs, mine)
        for item in result.items
        if (theirs := item.scores.get(result.baseline.name, {}).get(metric.name)) is not None
        and (mine := item.scores.get(subject.name, {}).get(metric.name)) is not None
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("adapters_cli.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    environment.filters |= {
        name: getattr(figures, name)
        for name in (
            "score", "gain", "percent", "gain_interval", "percent_interval", "p_value", "seconds",
            "short_title", "tick",
        )
    }  # fmt: skip
    environment.filters["cut"] = _cut
    environment.globals |= {
        "counted": counted,
        "differences": lambda other, text: differences(clean(other), clean(text)),
        "pictures": pictures,
        "verdict": verdict,
    }
    return environment.get_template("evaluation.html.j2")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST].rstrip()} … ({len(text):,} characters)"
