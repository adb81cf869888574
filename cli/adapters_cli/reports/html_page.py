"""An evaluation, or a comparison of answers, as one HTML file."""

from collections.abc import Sequence

from adapters_cli.evaluation.result import Comparison, EvaluatedItem, EvaluationResult, Latency, Subject
from adapters_cli.output.text import counted
from adapters_cli.reports import figures, pictures, verdict
from adapters_cli.reports.item_ranking import worst_first
from adapters_cli.reports.item_view import item_view, packed
from adapters_cli.reports.markup import Markup, element, joined
from adapters_cli.reports.page import page

_WORST = 20
"""Items that the page shows on paper and without JavaScript."""


def html_page(result: EvaluationResult) -> str:
    """Return the report of an evaluation."""
    links = [("metrics", "Metrics"), ("distributions", "Distributions")]
    links += [("latency", "Latency")] if result.latency else []
    links += [("provenance", "Provenance"), ("items", "Items")]
    return page(
        title=f"{', '.join(subject.name for subject in result.subjects)} beside {result.baseline.name}: evaluation",
        kind="Evaluation report",
        links=links,
        tools=_choice(result),
        body=joined(
            _verdict(result),
            _metrics(result),
            _distributions(result),
            _latency(result) if result.latency else None,
            _provenance(result),
            _items(result),
        ),
        data=packed(result),
    )


def comparison_page(
    items: Sequence[EvaluatedItem], names: Sequence[str], *, made_at: str, endpoint: str, engine: str | None
) -> str:
    """Return the answers of several names to the same prompts, side by side.

    Differences are marked against the reference where an item has one, else against the first name's answer.
    """
    views = []
    for item in items:
        first = item.answers.get(names[0])
        text = first.text if first is not None and first.error is None else ""

        def other(name: str, reference: str = item.reference, text: str = text) -> str:
            return reference or ("" if name == names[0] else text)

        heading = item.id if len(items) > 1 else "Answers"
        views.append(item_view(item, names, (), heading=heading, compared_with=other))
    against = "the reference" if any(item.reference for item in items) else f"the answer of {names[0]}"
    return page(
        title=f"{', '.join(names)}: answers side by side",
        kind="Comparison of answers",
        links=[],
        tools=Markup(),
        body=joined(
            element(
                "section",
                element("h1", f"{', '.join(names)} side by side"),
                element(
                    "p",
                    f"{counted(len(items), 'prompt')}, {made_at}, endpoint {endpoint}, "
                    f"{engine or 'the engine does not name itself'}.",
                    class_="facts",
                ),
                _mark_legend(against),
            ),
            element("section", *views, class_=f"items of-{min(len(names), 4)}"),
        ),
    )


def _choice(result: EvaluationResult) -> Markup:
    if len(result.subjects) < 2:
        return Markup()
    options = (
        element("option", subject.name, value=str(number)) for number, subject in enumerate(result.subjects)
    )
    return element("label", "Adapter ", element("select", *options, id="subject"))


def _verdict(result: EvaluationResult) -> Markup:
    state = ("passed" if result.passed else "failed") if result.requirements else "open"
    facts = (
        f"{counted(result.dataset.items, 'item')} of {result.dataset.source}, {result.made_at}, "
        f"on {verdict.engine(result)}"
    )
    return element(
        "section",
        element(
            "h1", element("span", class_="sign", aria_hidden="true"), element("bdi", verdict.headline(result))
        ),
        element("p", facts, class_="facts"),
        _requirements(result) if result.requirements else None,
        element(
            "ul",
            *(element("li", verdict.sentence(result, subject)) for subject in result.subjects),
            class_="findings",
        ),
        _warnings(result),
        class_=f"verdict {state}",
        id="verdict",
        aria_label="Verdict",
    )


def _requirements(result: EvaluationResult) -> Markup:
    several = len(result.subjects) > 1
    lines = []
    for outcome in sorted(result.requirements, key=lambda outcome: outcome.met):
        state = "met" if outcome.met else "not met"
        lines.append(
            element(
                "li",
                element("span", state, class_="state"),
                element(
                    "span",
                    element("code", outcome.requirement),
                    f" for {outcome.subject}" if several else None,
                    ": ",
                    outcome.reason,
                ),
                class_="met" if outcome.met else "unmet",
            )
        )
    return element("ul", *lines, class_="requirements")


def _warnings(result: EvaluationResult) -> Markup | None:
    lines = verdict.warnings(result)
    if not lines:
        return None
    return element(
        "div",
        element("h2", "Before you believe it"),
        element("ul", *(element("li", line) for line in lines)),
        class_="warnings",
    )


def _metrics(result: EvaluationResult) -> Markup:
    axis = pictures.gain_axis(result.comparisons, result.metrics)
    return element(
        "section",
        element("h2", "Metrics and gains"),
        element(
            "p",
            f"Means over the items that both answered. Gain is the adapter less {result.baseline.name}, with its "
            "95 % interval (paired bootstrap). p is that of a paired permutation test, adjusted for all "
            "comparisons (Holm). In the picture, right of the line is better.",
            class_="note",
        ),
        *(_for_subject(result, subject, _metric_table(result, subject, axis)) for subject in result.subjects),
        element(
            "p",
            *(
                element(
                    "span",
                    element("span", class_=f"swatch point-{kind}", aria_hidden="true"),
                    words,
                    class_="key",
                )
                for kind, words in (
                    ("better", "better"),
                    ("worse", "worse"),
                    ("unclear", "no clear difference"),
                )
            ),
            class_="legend",
        ),
        id="metrics",
        class_="card",
    )


def _for_subject(result: EvaluationResult, subject: Subject, *content: str | None) -> Markup:
    """Return a part of the page about one subject, which is shown while that subject is chosen."""
    heading = element("h3", element("bdi", subject.name), class_="of") if len(result.subjects) > 1 else None
    return element("div", heading, *content, data_subject=str(result.subjects.index(subject)))


def _metric_table(result: EvaluationResult, subject: Subject, axis: pictures.Axis) -> Markup:
    metrics = verdict.metrics_by_name(result)
    headings = (
        "Metric",
        result.baseline.name,
        subject.name,
        "Gain",
        "Relative gain",
        joined("Interval of the gain", pictures.gain_scale(axis)),
        "p",
        "Better / worse / equal",
    )
    rows = []
    for comparison in verdict.comparisons_of(result, subject):
        metric = metrics[comparison.metric]
        sure = verdict.believable(comparison)
        strip = pictures.gain_strip(comparison, metric, axis, believable=sure)
        title, _, rest = metric.title.partition(" (")
        parts = [f"({rest}" if rest else "", "" if metric.higher_is_better else "lower is better"]
        basis = ", ".join(part for part in parts if part)
        cells = (
            figures.score(comparison.baseline_mean),
            figures.score(comparison.mean),
            joined(figures.gain(comparison.difference), _small(figures.gain_interval(comparison.interval))),
            _relative(comparison),
            strip,
            figures.p_value(comparison.p_adjusted),
            f"{comparison.better:,} / {comparison.worse:,} / {comparison.equal:,}",
        )
        rows.append(
            element(
                "tr",
                element("th", title, _small(basis) if basis else None, scope="row"),
                *(
                    element(
                        "td",
                        cell,
                        data_label="Interval" if cell is strip else heading,
                        class_="plot" if cell is strip else None,
                    )
                    for heading, cell in zip(headings[1:], cells, strict=True)
                ),
            )
        )
    return _table(headings, rows)


def _relative(comparison: Comparison) -> str:
    if comparison.relative is None:
        return "–"
    interval = comparison.relative_interval
    return joined(
        figures.percent(comparison.relative),
        _small(figures.percent_interval(interval)) if interval is not None else None,
    )


def _small(text: str) -> Markup:
    return element("small", text)


def _table(headings: Sequence[str], rows: Sequence[Markup]) -> Markup:
    head = (
        element("th", heading, scope="col", class_="plot" if "<svg" in heading else None)
        for heading in headings
    )
    return element("table", element("thead", element("tr", *head)), element("tbody", *rows), class_="figures")


def _distributions(result: EvaluationResult) -> Markup:
    return element(
        "section",
        element("h2", "Distributions of scores"),
        *(_for_subject(result, subject, _distribution_grid(result, subject)) for subject in result.subjects),
        id="distributions",
        class_="card",
    )


def _distribution_grid(result: EvaluationResult, subject: Subject) -> Markup:
    base = result.baseline.name
    means = {comparison.metric: comparison for comparison in verdict.comparisons_of(result, subject)}
    found = []
    for metric in result.metrics:
        pairs = [
            (theirs, mine)
            for item in result.items
            if (theirs := item.scores.get(base, {}).get(metric.name)) is not None
            and (mine := item.scores.get(subject.name, {}).get(metric.name)) is not None
        ]
        comparison = means.get(metric.name)
        caption = (
            f": {figures.score(comparison.baseline_mean)} → {figures.score(comparison.mean)}"
            if comparison is not None
            else ""
        )
        found.append(
            element(
                "figure",
                element("figcaption", element("b", figures.short_title(metric)), caption),
                pictures.distribution(
                    metric, (base, [pair[0] for pair in pairs]), (subject.name, [pair[1] for pair in pairs])
                ),
            )
        )
    legend = pictures.legend(("base", base), ("subject", subject.name))
    return joined(
        element("p", legend, element("span", "vertical lines: means", class_="key"), class_="legend"),
        element("div", *found, class_="grid"),
    )


def _latency(result: EvaluationResult) -> Markup:
    base = result.baseline.name
    axis = pictures.latency_axis(result.latency)
    headings = (
        "Subject",
        "Median",
        "p90",
        "p99",
        joined("Seconds", pictures.latency_scale(axis)) if axis is not None else "Seconds",
        f"Median ÷ {base}",
        "Tokens of an answer",
        "Answers",
        "Errors",
    )
    rows = [_latency_row(latency, headings, axis, base) for latency in result.latency]
    return element(
        "section",
        element("h2", "Latency"),
        element(
            "p",
            f"From the request to the whole answer, as this run's requests saw it, on {verdict.engine(result)}. "
            "Who writes longer answers takes longer: compare the tokens first.",
            class_="note",
        ),
        _table(headings, rows),
        element(
            "p",
            element("span", "● median", class_="key"),
            element("span", "◆ p90", class_="key"),
            element("span", "▮ p99", class_="key"),
            class_="legend",
        ),
        id="latency",
        class_="card",
    )


def _latency_row(latency: Latency, headings: Sequence[str], axis: pictures.Axis | None, base: str) -> Markup:
    quotient: str = "–"
    if latency.ratio is not None:
        interval = latency.ratio_interval
        quotient = joined(
            figures.ratio(latency.ratio),
            _small(f"{interval.low:.2f} to {interval.high:.2f}") if interval is not None else None,
        )
    kind = "base" if latency.subject == base else "subject"
    strip = pictures.latency_strip(latency, axis, kind=kind) if axis is not None else Markup("–")
    tokens = latency.mean_completion_tokens
    cells = (
        figures.seconds(latency.p50),
        figures.seconds(latency.p90),
        figures.seconds(latency.p99),
        strip,
        quotient,
        "–" if tokens is None else f"{tokens:.1f}",
        f"{latency.answers:,}",
        f"{latency.errors:,}",
    )
    return element(
        "tr",
        element("th", element("bdi", latency.subject), scope="row"),
        *(
            element(
                "td",
                cell,
                data_label="Seconds" if cell is strip else heading,
                class_="plot" if cell is strip else None,
            )
            for heading, cell in zip(headings[1:], cells, strict=True)
        ),
    )


def _provenance(result: EvaluationResult) -> Markup:
    rows = (
        element("div", element("dt", name), element("dd", value))
        for name, value in verdict.provenance(result)
    )
    return element(
        "section",
        element("h2", "Provenance"),
        element("dl", *rows, class_="provenance"),
        id="provenance",
        class_="card",
    )


def _items(result: EvaluationResult) -> Markup:
    return element(
        "section",
        element("h2", "Items"),
        element(
            "noscript",
            element(
                "p",
                "The browser of all items needs JavaScript. Below are the worst ones.",
                class_="note",
            ),
        ),
        _mark_legend("the reference"),
        element(
            "div",
            _controls(result),
            element("div", id="list", class_="items"),
            _pager(),
            class_="js",
            id="browser",
        ),
        *(_worst_items(result, subject) for subject in result.subjects),
        id="items",
        class_="card",
    )


def _mark_legend(against: str) -> Markup:
    return element(
        "p",
        element(
            "span",
            element("ins", "marked"),
            " not in ",
            element("span", against, class_="against"),
            class_="key",
        ),
        element("span", element("del", "struck through"), " missing from the answer", class_="key"),
        class_="legend marks",
    )


def _controls(result: EvaluationResult) -> Markup:
    base = result.baseline.name
    metrics = [("all", "All metrics")]
    metrics += [(str(number), figures.short_title(metric)) for number, metric in enumerate(result.metrics)]
    return element(
        "form",
        element(
            "label",
            "Search",
            element(
                "input",
                type="search",
                id="search",
                autocomplete="off",
                placeholder="words of prompts and answers",
            ),
        ),
        _select(
            "Order",
            "order",
            [
                ("worst", f"Worst against {base}"),
                ("best", f"Best against {base}"),
                ("lowest", "Lowest score"),
                ("highest", "Highest score"),
                ("slowest", "Slowest"),
                ("dataset", "As in the dataset"),
            ],
        ),
        _select("By", "metric", metrics),
        _select(
            "Show",
            "show",
            [
                ("all", "All items"),
                ("worse", f"Worse than {base}"),
                ("better", f"Better than {base}"),
                ("sides", "Changed sides"),
                ("errors", "Errors"),
            ],
        ),
        _select(
            "Mark differences from",
            "against",
            [
                ("reference", "the reference"),
                ("base", f"the answer of {base}"),
                ("nothing", "nothing"),
            ],
        ),
        element(
            "label",
            element("input", type="checkbox", id="missing", checked=True),
            " Missing words",
            class_="check",
        ),
        class_="controls",
        id="controls",
        role="search",
    )


def _select(title: str, name: str, options: Sequence[tuple[str, str]]) -> Markup:
    made = (element("option", words, value=value) for value, words in options)
    return element("label", title, element("select", *made, id=name))


def _pager() -> Markup:
    return element(
        "div",
        element("button", "Previous", type="button", id="previous"),
        element("output", id="count", aria_live="polite", for_="controls"),
        element("button", "Next", type="button", id="next"),
        class_="pager",
    )


def _worst_items(result: EvaluationResult, subject: Subject) -> Markup:
    names = [result.baseline.name, subject.name]
    items = worst_first(result, subject)[:_WORST]
    return element(
        "div",
        element(
            "h3", f"The {counted(len(items), 'item')} that ", element("bdi", subject.name), " answered worst"
        ),
        *(
            item_view(item, names, result.metrics, heading=f"{number}. {item.id}")
            for number, item in enumerate(items, start=1)
        ),
        data_subject=str(result.subjects.index(subject)),
        class_="items worst",
    )
