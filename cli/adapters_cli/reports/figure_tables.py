"""The tables of gains and of latency, with a row of a picture in each line."""

from collections.abc import Sequence

from adapters_cli.evaluation.result import Comparison, EvaluationResult, Latency, Subject
from adapters_cli.reports import figures, pictures, verdict
from adapters_cli.reports.markup import Markup, element, joined
from adapters_cli.reports.pictures import Axis


def metric_table(result: EvaluationResult, subject: Subject, axis: Axis) -> Markup:
    """Return the metrics of a subject beside those of the baseline, with a forest plot of the gains."""
    metrics = verdict.metrics_by_name(result)
    headings = [
        "Metric",
        result.baseline.name,
        subject.name,
        "Gain",
        "Relative gain",
        "Interval of the gain",
        "p",
        "Better / worse / equal",
    ]
    rows = []
    for comparison in verdict.comparisons_of(result, subject):
        metric = metrics[comparison.metric]
        title, _, basis = metric.title.partition(" (")
        notes = [f"({basis}"] if basis else []
        notes += [] if metric.higher_is_better else ["lower is better"]
        cells = [
            figures.score(comparison.baseline_mean),
            figures.score(comparison.mean),
            joined(figures.gain(comparison.difference), _small(figures.gain_interval(comparison.interval))),
            _relative_gain(comparison),
            pictures.gain_strip(comparison, metric, axis, side=verdict.side(comparison, metric)),
            figures.p_value(comparison.p_adjusted),
            f"{comparison.better:,} / {comparison.worse:,} / {comparison.equal:,}",
        ]
        rows.append([joined(title, _small(", ".join(notes)) if notes else None), *cells])
    return _table(headings, rows, picture=5, scale=pictures.gain_scale(axis))


def latency_table(result: EvaluationResult) -> Markup:
    """Return the percentiles of each subject, and how they compare with the baseline's."""
    base = result.baseline.name
    axis = pictures.latency_axis(result.latency)
    headings = [
        "Subject",
        "Median",
        "p90",
        "p99",
        "Time",
        f"Median ÷ {base}",
        "Tokens of an answer",
        "Answers",
        "Errors",
    ]
    rows = []
    for latency in result.latency:
        kind = "base" if latency.subject == base else "subject"
        tokens = latency.mean_completion_tokens
        cells = [
            figures.seconds(latency.p50),
            figures.seconds(latency.p90),
            figures.seconds(latency.p99),
            pictures.latency_strip(latency, axis, kind=kind) if axis is not None else figures.NONE,
            _ratio(latency),
            figures.NONE if tokens is None else f"{tokens:.1f}",
            f"{latency.answers:,}",
            f"{latency.errors:,}",
        ]
        rows.append([element("bdi", latency.subject), *cells])
    return _table(headings, rows, picture=4, scale=None if axis is None else pictures.latency_scale(axis))


def _relative_gain(comparison: Comparison) -> str:
    interval = comparison.relative_interval
    if comparison.relative is None:
        return figures.NONE
    return joined(
        figures.percent(comparison.relative),
        _small(figures.percent_interval(interval)) if interval is not None else None,
    )


def _ratio(latency: Latency) -> str:
    interval = latency.ratio_interval
    if latency.ratio is None:
        return figures.NONE
    return joined(
        figures.ratio(latency.ratio),
        _small(f"{interval.low:.2f} to {interval.high:.2f}") if interval is not None else None,
    )


def _small(text: str) -> Markup:
    return element("small", text)


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, picture: int, scale: Markup | None
) -> Markup:
    """Return a table whose rows are stacked where there is no room, each cell after its heading.

    scale:
        The ticks of the pictures: in the heading of their column, and below each where rows are stacked.
    """
    head = (
        element("th", text, scale, scope="col", class_="plot")
        if column == picture
        else element("th", text, scope="col")
        for column, text in enumerate(headings)
    )
    below = None if scale is None else element("div", scale, class_="stacked")
    body = (
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(
                element("td", cell, below, class_="plot")
                if column == picture
                else element("td", cell, data_label=headings[column])
                for column, cell in enumerate(cells[1:], start=1)
            ),
        )
        for cells in rows
    )
    return element("table", element("thead", element("tr", *head)), element("tbody", *body), class_="figures")
